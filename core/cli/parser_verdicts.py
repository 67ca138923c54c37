"""The grammar of the verbs that compare legs."""

from __future__ import annotations

import argparse
from typing import Any

from core.cli.completing import complete_result
from core.cli.flags import RUN_FLAGS
from core.cli.parser_parts import add_json, add_quiet, add_quiet_only, add_settings, add_verb

# Settings that a leg has by itself, or that no study has: each of its runs is one block.
_NO_STUDYS = ("leg", "repeats")


def add_verdicts(verbs: Any) -> None:
    """Add ``compare``, ``study`` and ``history``."""
    _add_compare(verbs)
    _add_study(verbs)
    _add_history(verbs)


def _add_compare(verbs: Any) -> None:
    compare = add_verb(
        verbs, "compare", "baseline against another layer: the verdict and its reports"
    )
    for name, words in (
        ("first", "the leg that is measured against"),
        ("second", "the other one"),
    ):
        argument = compare.add_argument(
            name, metavar=name.upper(), help=f"{words}: a run, a leg, a result file or a folder"
        )
        argument.completer = complete_result  # type: ignore[attr-defined]
    _add_target_overhead(compare)
    compare.add_argument(
        "--output",
        metavar="FILE",
        help="the Markdown report; JSON and HTML go beside it (default: results/comparison.md)",
    )
    compare.add_argument(
        "--allow",
        metavar="KEY",
        action="append",
        help="compare although KEY differs; marked, and never within target",
    )
    compare.add_argument(
        "--noise",
        nargs=2,
        metavar=("RUN", "RUN"),
        help="the noise floor: the same leg measured twice (A/A)",
    )
    compare.add_argument(
        "--same", action="store_true", help="A/A: both are the same leg; is the noise below target?"
    )
    add_json(compare, "print the comparison as one JSON object")
    add_quiet_only(compare)


def _add_study(verbs: Any) -> None:
    study = add_verb(
        verbs, "study", "measure both legs in interleaved blocks until the verdict is sure"
    )
    for name in ("baseline", "xen"):
        study.add_argument(
            f"--{name}",
            metavar="NAME=VALUE",
            action="append",
            help=f"a setting of the {name} leg alone, for instance runtime_class=xen",
        )
    study.add_argument("--blocks", type=int, help="of each leg at most (default: 10)")
    study.add_argument(
        "--looks", metavar="N,N", help="look after so many blocks (default: half, all)"
    )
    study.add_argument(
        "--calibration",
        type=int,
        metavar="N",
        help="most pairs of A/A first; 0: none (default: --blocks)",
    )
    _add_target_overhead(study)
    study.add_argument(
        "--allow", metavar="KEY", action="append", help="as compare has it: never within target"
    )
    study.add_argument(
        "--resume", nargs="?", const="latest", metavar="STUDY", help="go on with an interrupted one"
    )
    study.add_argument("--dry-run", action="store_true", help="print the plan and start nothing")
    add_settings(study, {name: text for name, text in RUN_FLAGS.items() if name not in _NO_STUDYS})
    add_quiet(study)


def _add_history(verbs: Any) -> None:
    history = add_verb(verbs, "history", "one plan's runs over time; what changed beyond the noise")
    argument = history.add_argument(
        "run",
        nargs="?",
        default="latest",
        help="a run or leg whose plan it is (default: the latest)",
    )
    argument.completer = complete_result  # type: ignore[attr-defined]
    add_json(history, "as one JSON object")


def _add_target_overhead(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target-overhead",
        metavar="PERCENT",
        help="what the overhead must be below (default: 5%%)",
    )
