"""``python -m benchmark``: measure here, without the rest of the program.

Progress is JSON lines on stdout; what libraries say goes to stderr. SIGTERM ends it within two
seconds with what it has. Exit codes: 0 done, 1 the work failed, 2 wrong input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from benchmark.errors import InputError, ProblemError
from benchmark.plan import (
    LEG_PATTERN,
    RUN_ID_PATTERN,
    SHIPPED_PROFILES,
    Plan,
    load_profile,
    make_plan,
)
from benchmark.process import ASKED_BY, die_with_parent
from benchmark.progress import Failed, ProgressRecord

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    if os.environ.get(ASKED_BY):
        die_with_parent(signal.SIGTERM)
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")

    def emit(record: ProgressRecord) -> None:
        line.write(record.model_dump_json() + "\n")
        line.flush()

    try:
        _check_names(options)
        plan = _plan(options)
        # Only now: the parser and a wrong profile must answer at once.
        from benchmark.children import Interrupted, StopSwitch
        from benchmark.session import Session

        stop = StopSwitch()
        stop.listen()
        session = Session(
            plan=plan,
            output=Path(options.output),
            run_id=options.run_id,
            leg=options.leg,
            emit=emit,
            stop=stop,
        )
        try:
            session.run()
        except Interrupted:
            emit(
                Failed(
                    sentence="The benchmark was interrupted.",
                    remedy="The measurements that had finished, if any, are in the result file.",
                    exit_code=INTERRUPTED,
                )
            )
            return INTERRUPTED
    except ProblemError as error:
        emit(Failed(sentence=error.sentence, remedy=error.remedy, exit_code=error.exit_code))
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Nobody listens any more: the run process is gone, and its children go with it.
        sys.stderr.close()
        return 1
    return 0


def _check_names(options: argparse.Namespace) -> None:
    for flag, value, pattern in (
        ("--leg", options.leg, LEG_PATTERN),
        ("--run-id", options.run_id, RUN_ID_PATTERN),
    ):
        if not re.fullmatch(pattern, value):
            raise InputError(f"{flag} {value!r:.60} is no label.", f"It must match {pattern}.")


def _plan(options: argparse.Namespace) -> Plan:
    if options.plan is not None:
        return load_plan_file(Path(options.plan))
    plan = load_profile(options.profile)
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("repeats", "device", "precision", "execution", "weights", "dataset")
        if getattr(options, name) is not None
    }
    return make_plan({**plan.model_dump(), **given}, f"profile {options.profile}")


def load_plan_file(path: Path) -> Plan:
    """Read a plan as the run process stored it (JSON).

    Raises:
        PlanError: it cannot be read or run.
    """
    import json

    from benchmark.errors import PlanError

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"Plan {path} cannot be read: {error}.") from error
    return make_plan(values, str(path))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmark", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--profile",
        default="reference",
        help=f"a TOML file or one of: {', '.join(SHIPPED_PROFILES)} (default: reference)",
    )
    source.add_argument("--plan", help="a plan as JSON, as the run process stores it")
    parser.add_argument("--output", required=True, help="folder for the results")
    parser.add_argument("--leg", default="baseline", help="label of the results")
    parser.add_argument("--run-id", default="standalone", help="identity of the results")
    parser.add_argument("--repeats", type=int, help="processes for each measurement")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", help="auto, fp32, tf32, fp16 or bf16")
    parser.add_argument("--execution", help="auto, eager, jit, graph or compile")
    parser.add_argument("--weights", help="auto, pretrained, random or a file")
    parser.add_argument("--dataset", help="synthetic or a folder of images")
    return parser


if __name__ == "__main__":
    sys.exit(main())
