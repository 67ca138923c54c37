"""The child processes: ``prepare`` looks at the machine once, ``probe`` times the operations below
the model before a block, ``measure`` is one measurement.

``python -m benchmark.child FOLDER`` reads ``FOLDER/spec.json`` and writes ``FOLDER/outcome.json``.
It talks to its parent by JSON lines on stdout; whatever libraries print goes to stderr.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from benchmark.configuration import detect_hardware, resolve
from benchmark.environment import collect_environment
from benchmark.errors import MeasurementError, ProblemError
from benchmark.files import write_atomically
from benchmark.process import die_with_parent
from benchmark.protocol import (
    OUTCOME_FILE,
    SPEC,
    SPEC_FILE,
    Parent,
    Prepared,
    PrepareSpec,
    Probed,
    ProbeSpec,
)
from benchmark.validation import Record


def main(arguments: list[str]) -> int:
    """Do what ``spec.json`` in the folder says."""
    die_with_parent(signal.SIGKILL)
    folder = Path(arguments[0])
    # Libraries print to stdout; the parent's line must hold nothing else.
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    parent = Parent(line)
    try:
        spec = SPEC.validate_json((folder / SPEC_FILE).read_bytes())
        outcome: Record
        if spec.task == "prepare":
            outcome = _prepare(spec, parent)
        elif spec.task == "probe":
            outcome = _probe(spec)
        else:
            from benchmark.measure import measure

            outcome = measure(spec, folder, parent)
        write_atomically(folder / OUTCOME_FILE, outcome.model_dump_json(indent=1))
    except ProblemError as error:
        parent.say(
            "failed",
            sentence=error.sentence,
            remedy=error.remedy,
            exit_code=error.exit_code,
            this_only=isinstance(error, MeasurementError),
        )
        return error.exit_code
    parent.say("done")
    return 0


def _prepare(spec: PrepareSpec, parent: Parent) -> Prepared:
    from benchmark.dataset import check_dataset
    from benchmark.model import find_weights

    parent.say("phase", phase="loading")
    configuration = resolve(spec.plan, detect_hardware())
    check_dataset(spec.plan.dataset, spec.plan.sample_count)
    weights, _path = find_weights(spec.plan.weights, spec.plan.seeds.data)
    return Prepared(
        configuration=configuration,
        environment=collect_environment(configuration),
        weights=weights,
    )


def _probe(spec: ProbeSpec) -> Probed:
    from benchmark.probes.run import run_probes
    from benchmark.process import quiet_collector

    quiet_collector()
    return Probed(probes=run_probes(spec.configuration, spec.block))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
