"""The way from two legs to a report: the raw files are looked at, and nothing of it is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy
import pytest

from benchmark.errors import InputError
from core.report.comparing import comparison_cost, comparison_report
from core.report.export import FORMATS, render_comparison
from core.run.journal import Journal
from core.verdict.comparison import Request
from core.verdict.legs import Source
from core.verdict.model import Verdict
from tests.core.costs import after, session
from tests.core.runs import named_run
from tests.core.verdict.raw_scene import raw_source
from tests.core.verdict.scene import BLOCK, STARTED, legs

WRITTEN = datetime(2026, 7, 2, tzinfo=UTC)


def measured(folder: Path) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Two legs of four blocks with their raw files, 10 % apart."""
    random = numpy.random.default_rng(1)
    found = []
    for place, (leg, slower) in enumerate((("baseline", 1.0), ("xen", 1.1))):
        blocks = [
            (10e6 * slower * random.lognormal(0, 0.02, 500)).astype(numpy.int64) for _ in range(4)
        ]
        start = STARTED + place * BLOCK / 2
        found.append((raw_source(folder / leg, blocks, leg=leg, started_at=start),))
    return found[0], found[1]


def test_the_raw_files_are_drawn(tmp_path: Path) -> None:
    report = comparison_report(*measured(tmp_path), Request(), None, WRITTEN)
    assert report.comparison.verdict is Verdict.EXCEEDS
    assert (report.written_at, report.cost) == (WRITTEN, None)
    document = render_comparison(report, "html")
    for picture in ("overhead by block", "latencies of all blocks", "throughput over time"):
        assert f"singlestream-b1 (graph): {picture}</figcaption>" in document
    assert document.count("<svg") == 4


def test_a_raw_file_that_says_otherwise_is_a_refusal(tmp_path: Path) -> None:
    both = measured(tmp_path)
    raw = sorted((tmp_path / "xen").rglob("latencies.npy"))[0]
    raw.write_bytes(raw.read_bytes()[:-8] + b"\1" * 8)
    report = comparison_report(*both, Request(), None, WRITTEN)
    assert report.comparison.verdict is Verdict.REFUSED
    assert "raw" in {refusal.key for refusal in report.comparison.refusals}
    for form in FORMATS:
        assert render_comparison(report, form)


def test_what_could_not_be_checked_is_said_once_for_each_leg() -> None:
    report = comparison_report(*legs(), Request(notes=("A note.",)), None, WRITTEN)
    notes = [note for note in report.comparison.warnings if "raw files" in note]
    assert len(notes) == 2
    assert all(note.endswith("So it is with 9 more runs.") for note in notes)
    assert "A note." in report.comparison.warnings


def test_a_wrong_request_is_one_sentence() -> None:
    with pytest.raises(InputError, match="no such key"):
        comparison_report(*legs(), Request(allow=frozenset({"nonsense"})), None, WRITTEN)


def test_the_cost_is_that_of_the_runs_which_the_journal_knows(tmp_path: Path) -> None:
    both = legs(interleaved=False)
    with Journal(tmp_path) as journal:
        assert comparison_cost(*both, journal, after(9000)) is None
        name = both[0][0].result.run_id
        named_run(journal, name)
        for told in session():
            journal.append(name, told.record, time=told.time)
        found = comparison_cost(*both, journal, after(9000))
    assert found is not None
    assert found.first is not None
    assert found.first.usd == pytest.approx(0.375)
    assert found.second is None
