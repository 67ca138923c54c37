"""The looks of a study on results with known figures, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy
import pytest

from benchmark.errors import ResultFileError
from benchmark.results import RESULT_FILE, write_result
from core.cli.study import exit_code
from core.cli.study_conduct import Conductor, Ran
from core.cli.study_judge import StudyJudge
from core.cli.study_store import StudyStore
from core.cli.study_words import Outlook, StudyWords
from core.errors import ExitCode
from core.report.reading import read_leg
from core.run.events import RunState
from core.run.journal import Journal
from core.verdict.comparison import compare
from core.verdict.model import Verdict
from core.verdict.study import Block, End, LegPlan, Look
from tests.core.runs import NOON, named_run
from tests.core.verdict.scene import BLOCK, STARTED, a_result
from tests.core.verdict.studies import a_plan

Rate = Callable[[Block], float]


@dataclass
class StoredRuns:
    """Runs that are over at once: each is a result with the throughput that ``rate`` says."""

    journal: Journal
    results: Path
    rate: Rate
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the xen leg's results."""
    asked_to_stop: bool = False
    void: tuple[str, ...] = ()
    count: int = 0
    of_baseline: Callable[[], dict[str, Any]] = dict
    """Changes of the baseline's next result."""
    interrupted: int = -1
    """Which run is."""

    def start(self, leg: LegPlan, block: Block, rates_from: str | None, note: str) -> str:
        run = f"run-{self.count:02d}-{leg.label}"
        folder = self.results / "runs" / run
        folder.mkdir(parents=True)
        result = a_result(
            (self.rate(block),),
            leg=leg.label,
            run_id=run,
            started_at=STARTED + self.count * BLOCK,
            **(self.of_baseline() if block.is_baseline else self.changes),
        )
        write_result(result, folder / RESULT_FILE)
        (folder / "measurements").mkdir()
        (folder / "measurements" / "latencies.npy").write_bytes(b"raw")
        named_run(self.journal, run, leg=leg.label, folder=folder, state=RunState.DONE)
        self.count += 1
        return run

    def find(self, note: str) -> str | None:
        raise AssertionError("nothing was killed")

    def follow(self, run: str) -> None:
        """It is over."""

    def ending(self, run: str) -> Ran:
        if run.startswith(f"run-{self.interrupted:02d}-"):
            return Ran("interrupted", "SIGINT")
        return Ran("void", "it was hot.") if run in self.void else Ran("good")


def at(noise: float, overhead: float = 0.0) -> Rate:
    """Return throughputs of both legs with log-normal noise."""
    generator = numpy.random.default_rng(7)

    def rate(block: Block) -> float:
        slower = 1.0 if block.is_baseline else 1.0 - overhead
        return float(100.0 * slower * numpy.exp(generator.normal(0.0, noise)))

    return rate


def unneeded(_seconds: float) -> None:
    raise AssertionError("nothing failed")


def each_one_minute(blocks: Sequence[Block]) -> Outlook:
    return Outlook(60.0 * len(blocks), 0.25 * len(blocks))


@dataclass
class Played:
    end: End
    folder: Path
    results: Path
    said: list[str]
    events: list[dict[str, Any]]
    runs: int

    def document(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / name).read_text())
        return found


@pytest.fixture
def play(journal: Journal, results: Path) -> Callable[..., Played]:
    """Conduct a whole study on stored results."""

    def conducted(
        rate: Rate,
        changes: dict[str, Any] | None = None,
        void: tuple[str, ...] = (),
        of_baseline: Callable[[], dict[str, Any]] = dict,
        interrupted: int = -1,
        **values: Any,
    ) -> Played:
        runs = StoredRuns(journal, results, rate, changes or {}, void=void)
        runs.of_baseline, runs.interrupted = of_baseline, interrupted
        said: list[str] = []
        lines: list[str] = []
        with StudyStore.create(results, a_plan(**values)) as store:
            words = StudyWords(store, each_one_minute, said.append, lines.append, lambda: NOON)
            judge = StudyJudge(store, results, journal, lambda: NOON)
            words.planned()
            conductor = Conductor(store, runs, judge, words, unneeded)
            end = conductor.conduct() or conductor.resume(NOON)
        assert end is not None
        events = [json.loads(line) for line in lines]
        return Played(end, store.folder, results, said, events, runs.count)

    return conducted


def test_equal_legs_on_a_quiet_machine_are_within_target_at_the_first_look(
    play: Callable[..., Played],
) -> None:
    played = play(at(noise=0.002), looks=(5, 10), blocks=10)
    assert (played.end.kind, played.end.verdict) == ("decided", Verdict.WITHIN)
    assert exit_code(played.end) == ExitCode.DONE
    assert played.runs == 2 * 3 + 2 * 5
    for suffix in ("md", "json", "html"):
        latest = (played.results / f"comparison.{suffix}").read_bytes()
        assert latest == (played.folder / f"comparison.{suffix}").read_bytes()
        assert (played.folder / f"calibration.{suffix}").stat().st_size > 1000
    look = played.document("comparison.json")["look"]
    assert (look["number"], look["of"], look["blocks"]) == (1, 2, [5, 10])


def test_a_leg_that_is_slower_exceeds_the_target(play: Callable[..., Played]) -> None:
    played = play(at(noise=0.005, overhead=0.12), looks=(5, 10), blocks=10)
    assert (played.end.kind, played.end.verdict) == ("decided", Verdict.EXCEEDS)
    assert exit_code(played.end) == ExitCode.EXCEEDS_TARGET


def test_what_stays_unsure_is_measured_to_the_end(play: Callable[..., Played]) -> None:
    played = play(at(noise=0.005, overhead=0.047), blocks=6, looks=(3, 6))
    assert (played.end.kind, played.end.verdict) == ("undecided", Verdict.INCONCLUSIVE)
    assert exit_code(played.end) == ExitCode.NO_VERDICT
    assert played.runs == 6 + 12


def test_a_run_whose_result_contradicts_itself_ends_the_study(play: Callable[..., Played]) -> None:
    (entry,) = a_result((100.0,)).benchmarks
    lying = entry.model_copy(update={"throughput_samples_per_s": 2 * 100.0})
    with pytest.raises(ResultFileError, match="is not a valid result file"):
        play(at(noise=0.002), {"benchmarks": (lying,)}, calibration=0)


def test_a_noisy_machine_is_told_what_it_would_take(play: Callable[..., Played]) -> None:
    played = play(at(noise=0.2))
    assert (played.end.kind, played.end.verdict) == ("noisy", None)
    assert exit_code(played.end) == ExitCode.NO_VERDICT
    assert played.runs == 6
    assert not (played.results / "comparison.md").exists()
    assert (played.folder / "calibration.md").exists()
    text = "\n".join(played.said)
    assert "A/A did not come out within target, so the legs were not measured" in text
    assert "A/A is not within target after 3 pairs" in text
    assert "Measure longer" in text
    assert "more blocks of each leg would settle it" in text


def test_legs_that_can_never_be_compared_cost_one_pair(play: Callable[..., Played]) -> None:
    changes = {"configuration": {"threads": 3}}
    played = play(at(noise=0.002), changes, calibration=0)
    assert (played.end.kind, played.end.verdict) == ("refused", Verdict.REFUSED)
    assert "number of threads" in played.end.reason
    assert exit_code(played.end) == ExitCode.NO_VERDICT
    assert played.runs == 2
    assert "refused" in (played.results / "comparison.md").read_text()


def test_what_is_allowed_is_measured_and_is_never_within_target(
    play: Callable[..., Played],
) -> None:
    changes = {"configuration": {"threads": 3}}
    played = play(at(noise=0.002), changes, calibration=0, allow=("threads",))
    assert (played.end.kind, played.end.verdict) == ("undecided", Verdict.INCONCLUSIVE)
    assert played.runs == 12


def test_a_run_that_does_not_count_is_named_in_the_report(play: Callable[..., Played]) -> None:
    played = play(at(noise=0.002), void=("run-01-xen",), calibration=0)
    assert played.end.verdict is Verdict.WITHIN
    assert played.runs == 2 * 3 + 1
    (warning,) = [each for each in played.document("comparison.json")["warnings"] if "hot" in each]
    assert "Run run-01-xen of the study (the second leg) does not count" in warning
    assert any(
        "run-01-xen does not count (void): it was hot. It is measured" in line
        for line in played.said
    )


def test_aa_that_is_within_goes_on_to_the_legs_though_a_difference_was_allowed(
    play: Callable[..., Played],
) -> None:
    changes = {"configuration": {"threads": 3}}
    turns = iter(range(100))
    played = play(
        at(noise=0.002),
        of_baseline=lambda: changes if next(turns) % 2 else {},
        allow=("threads",),
    )
    assert (played.end.kind, played.runs) == ("undecided", 6 + 12)
    assert played.document("calibration.json")["verdict"] == "inconclusive"


@pytest.mark.parametrize(("noise", "after"), [(0.005, [6]), (0.042, [6, 12])])
def test_aa_lasts_until_it_is_within_target_and_no_longer(
    play: Callable[..., Played], noise: float, after: list[int]
) -> None:
    played = play(at(noise=noise), calibration=12, blocks=12, looks=(6, 12))
    looks = [event["look"] for event in played.events if event["event"] == "study_looked"]
    assert [look["blocks"] for look in looks if look["phase"] == "calibration"] == after
    assert played.end.verdict is not None
    found = played.document("calibration.json")["look"]
    assert (found["number"], found["of"]) == (len(after), 2)


def test_an_interrupted_run_and_its_partner_are_named_in_the_report(
    play: Callable[..., Played],
) -> None:
    played = play(at(noise=0.002), calibration=0, interrupted=3)
    warnings = "\n".join(played.document("comparison.json")["warnings"])
    assert "it is interrupted: SIGINT" in warnings
    assert "its pair was interrupted before the other run was over" in warnings
    assert played.runs == 2 * 3 + 2


def test_compare_takes_the_folders_of_a_studys_legs(
    play: Callable[..., Played], journal: Journal
) -> None:
    played = play(at(noise=0.002), looks=(5, 10), blocks=10)
    legs = [
        read_leg(str(played.folder / name), played.results, journal) for name in ("baseline", "xen")
    ]
    runs = [sorted(source.result.run_id for source in leg) for leg in legs]
    document = played.document("comparison.json")
    assert runs == [sorted(document[side]["runs"]) for side in ("first", "second")]
    assert compare(legs[0], legs[1]).verdict is Verdict.WITHIN
    raw = played.folder / "baseline" / runs[0][0] / "measurements" / "latencies.npy"
    assert raw.resolve().is_relative_to(played.folder)
    assert raw.stat().st_nlink == 2
    moved = played.results.with_name("elsewhere")
    played.results.rename(moved)
    folder = moved / "studies" / played.folder.name / "xen"
    assert len(read_leg(str(folder), moved, journal)) == 5


def test_people_are_told_where_it_is_and_why_there_is_no_verdict_yet(
    play: Callable[..., Played],
) -> None:
    played = play(at(noise=0.002), looks=(3, 6), calibration=3)
    begun = [line for line in played.said if line.startswith("Study: run ")]
    assert begun[0].startswith("Study: run 1 of at most 18: A/A, pair 1 of 3, baseline.")
    assert "18 min 00 s and $4.50 left at most." in begun[0]
    assert "pair 1 of 6" in begun[6]
    # Once before each look, and none for the A/A.
    why = [line for line in played.said if "no verdict before" in line]
    assert len(why) == 1
    looks = [line for line in played.said if "pairs: " in line]
    assert looks[0].startswith("Study: A/A, look 1 of 1, after 3 pairs: within target.")
    assert looks[1].startswith("Study: look 1 of 2, after 3 pairs: ")
    assert any("throughput" in line and " to " in line for line in played.said)


def test_programs_are_told_the_same_as_json_lines(play: Callable[..., Played]) -> None:
    played = play(at(noise=0.2), calibration=3)
    names = [event["event"] for event in played.events]
    pairs = ["study_block_begins", "study_block_ended"] * 6
    assert names == ["study_planned", *pairs, "study_looked", "study_ended"]
    assert {event["study"] for event in played.events} == {played.folder.name}
    assert played.events[1]["usd_left"] == pytest.approx(18 * 0.25)
    assert played.events[-2]["verdict"] == "inconclusive"
    assert played.events[-1]["kind"] == "noisy"


def test_a_price_that_is_not_known_is_no_zero(journal: Journal, results: Path) -> None:
    said: list[str] = []
    with StudyStore.create(results, a_plan(calibration=0)) as store:
        words = StudyWords(store, lambda _: Outlook(60.0, None), said.append, None, lambda: NOON)
        words.planned()
        words.begins(Block(phase="legs", side="first", number=1))
    assert any("a cost that is not known" in line for line in said)
    assert not any("$0" in line for line in said)


def test_a_look_reads_the_results_that_are_on_disk(journal: Journal, results: Path) -> None:
    runs = StoredRuns(journal, results, at(noise=0.002))
    plan = a_plan(calibration=0, blocks=3, looks=(3,))
    sides: dict[str, list[str]] = {"first": [], "second": []}
    for number in (1, 2, 3):
        for side in ("first", "second"):
            block = Block(phase="legs", side=side, number=number)
            leg = plan.baseline if block.is_baseline else plan.xen
            sides[side].append(runs.start(leg, block, None, f"note {side} {number}"))
    with StudyStore.create(results, plan) as store:
        judge = StudyJudge(store, results, journal, lambda: NOON + timedelta(hours=1))
    look = Look(phase="legs", number=1, blocks=3)
    found = judge.look(look, tuple(sides["first"]), tuple(sides["second"]), None)
    assert found.verdict is Verdict.WITHIN
    assert found.first.runs == tuple(sides["first"])
    assert all(each.paired for each in found.measurements)
    broken = results / "runs" / sides["second"][0] / RESULT_FILE
    broken.write_text(broken.read_text().replace("100", "900"))
    with pytest.raises(ResultFileError, match=RESULT_FILE):
        judge.look(look, tuple(sides["first"]), tuple(sides["second"]), None)
