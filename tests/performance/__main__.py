"""Performance checks: ratios against a reference in the same run, medians of interleaved pairs.

    python -m tests.performance [startup] [harness] [configuration] [log_panel] [console]
        [kubernetes] [gke] [comparison] [calibration] [injected]

Prints every figure and exits with 1 when a ratio misses its bound. Run it on a quiet machine;
absolute numbers mean little on a shared one. What was seen is written into RESULTS.md by hand.
"""

from __future__ import annotations

import argparse
import sys

from tests.performance import (
    calibration,
    comparison,
    configuration,
    console,
    gke,
    harness,
    injected,
    kubernetes,
    log_panel,
    startup,
)
from tests.performance.pairs import Outcome

CHECKS = {
    "startup": startup.check,
    "harness": harness.check,
    "configuration": configuration.check,
    "log_panel": log_panel.check,
    "console": console.check,
    "kubernetes": kubernetes.check,
    "gke": gke.check,
    "comparison": comparison.check,
    "calibration": calibration.check,
    "injected": injected.check,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.performance")
    parser.add_argument("checks", nargs="*", help=f"which of {', '.join(CHECKS)} (default: all)")
    chosen = parser.parse_args().checks or list(CHECKS)
    if unknown := set(chosen) - CHECKS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    outcomes: list[Outcome] = []
    for name in chosen:
        print(f"== {name}", flush=True)
        for outcome in CHECKS[name]():
            print(outcome, flush=True)
            outcomes.append(outcome)
    missed = [outcome for outcome in outcomes if not outcome.met]
    print(f"{len(outcomes) - len(missed)} of {len(outcomes)} bounds met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
