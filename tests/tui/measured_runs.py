"""Runs whose truth is known, see :mod:`tests.core.verdict.scene`, in a test's own journal."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from benchmark.results import RESULT_FILE, Result, write_result
from core.run.events import RunFinished, RunState
from core.run.journal import Journal, Run
from tests.core.runs import named_run
from tests.core.verdict.scene import BLOCK, STARTED, Values, a_result

STEADY = [100.0, 101.0, 99.5, 100.5, 100.0, 99.0, 101.5, 100.0, 100.5, 99.5]
"""Ten blocks that differ by 1 %."""


def slower(percent: float) -> list[float]:
    """Blocks that differ as much, and are slower."""
    return [value * (1 - percent / 100) for value in reversed(STEADY)]


def measured_run(
    state: Path,
    results: Path,
    leg: str,
    throughput: Values,
    *,
    later: int = 0,
    **changes: object,
) -> Run:
    """Write a run down that measured these; it began the time of ``later`` blocks later."""
    result = a_result(
        throughput,
        leg=leg,
        started_at=STARTED + later * BLOCK,
        between=2 * BLOCK,
        **changes,  # type: ignore[arg-type]
    )
    return written_run(state, results, result)


def written_run(state: Path, results: Path, result: Result) -> Run:
    """Write a result down as that of a run which ended well."""
    folder = results / "runs" / result.run_id
    folder.mkdir(parents=True)
    write_result(result, folder / RESULT_FILE)
    with Journal(state) as journal:
        run = named_run(
            journal,
            result.run_id,
            leg=result.leg,
            profile=result.plan.profile,
            folder=folder,
            created_at=result.started_at,
        )
        journal.append(
            run.id,
            RunFinished(state=RunState.DONE, exit_code=0, seconds=1.0, sentence="Done."),
            time=result.timestamp + timedelta(minutes=1),
        )
    return run
