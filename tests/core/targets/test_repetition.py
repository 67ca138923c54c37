"""What was heard of a pod before its run's process was killed is not told again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmark.progress import Remarked
from core.run.events import AnyRecord, Event, PartChanged, Stage
from core.run.log import LOG_FILE, RunLog
from core.run.pipeline import StageContext
from core.targets.repetition import Heard, heard_before
from tests.core.runs import small_plan

NOON = datetime(2026, 11, 23, 12, 0, 0, 123_456, UTC)
POD = "gpu-benchmark-baseline-x1y2z"
SEEN = PartChanged(kind="pod", name=POD, state="working", detail="runs")


def context(
    folder: Path,
    records: Sequence[AnyRecord] = (),
    lines: Sequence[tuple[str, datetime]] = (),
) -> StageContext:
    """A run's stage, with what its killed process had written."""
    log = RunLog(folder / LOG_FILE, lambda: NOON)
    for number, (source, time) in enumerate(lines):
        log.write(source, f"line {number}", time)
    log.close()
    return StageContext(
        run_id="run-1",
        leg="baseline",
        folder=folder,
        results_dir=folder,
        plan=small_plan(),
        emit=lambda record: None,
        log=lambda source, text, time=None: None,
        before=tuple(
            Event(number, "run-1", NOON, Stage.JOB, 0, record)
            for number, record in enumerate(records, 1)
        ),
    )


def heard(folder: Path, records: Sequence[AnyRecord], *lines: tuple[str, datetime]) -> Heard:
    return heard_before(context(folder, records, lines), POD, "benchmark")


def old_lines(found: Heard, *times: datetime | None) -> list[bool]:
    return [found.is_old_line(time) for time in times]


def test_a_pod_that_was_never_seen_has_said_nothing_yet(tmp_path: Path) -> None:
    other = PartChanged(kind="pod", name="another", state="working", detail="runs")
    found = heard(tmp_path, [other, Remarked(message="x")], ("benchmark", NOON))
    assert not found.is_old_record()
    assert old_lines(found, NOON) == [False]


def test_as_many_records_as_are_in_the_journal_are_old(tmp_path: Path) -> None:
    found = heard(tmp_path, [SEEN, Remarked(message="one"), Remarked(message="two")])
    assert [found.is_old_record() for _ in range(4)] == [True, True, False, False]


def test_records_of_other_stages_do_not_count(tmp_path: Path) -> None:
    made = context(tmp_path, [SEEN, Remarked(message="of the job")])
    costs = Event(9, "run-1", NOON, None, 0, Remarked(message="of the costs"))
    found = heard_before(replace(made, before=(*made.before, costs)), POD, "benchmark")
    assert [found.is_old_record() for _ in range(2)] == [True, False]


def test_lines_up_to_the_last_one_in_the_log_are_old(tmp_path: Path) -> None:
    first, last = NOON, NOON + timedelta(seconds=3)
    found = heard(tmp_path, [SEEN], ("benchmark", first), ("benchmark", last))
    later = last + timedelta(milliseconds=1)
    assert old_lines(found, first, last, later) == [True, True, False]


def test_of_lines_of_one_millisecond_as_many_are_old_as_the_log_has(tmp_path: Path) -> None:
    # The log keeps milliseconds, the kubelet tells nanoseconds.
    times = [NOON.replace(microsecond=123_000 + each) for each in (100, 200, 300)]
    found = heard(tmp_path, [SEEN], ("benchmark", times[0]), ("benchmark", times[1]))
    assert old_lines(found, *times) == [True, True, False]


def test_lines_of_other_sources_do_not_count(tmp_path: Path) -> None:
    late = NOON + timedelta(minutes=5)
    found = heard(tmp_path, [SEEN], ("benchmark", NOON), ("image", late))
    assert old_lines(found, late) == [False]


def test_a_damaged_log_and_a_line_without_time_hide_nothing(tmp_path: Path) -> None:
    made = context(tmp_path, [SEEN], [("benchmark", NOON)])
    with (tmp_path / LOG_FILE).open("ab") as log:
        log.write(b"\xff\xfe [benchmark] no time\nyesterday [benchmark] no time either\n")
    found = heard_before(made, POD, "benchmark")
    assert old_lines(found, NOON, None, NOON + timedelta(seconds=1)) == [True, False, False]
