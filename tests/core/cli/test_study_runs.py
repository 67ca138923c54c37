"""How a study sees its runs: what became of them, and which load they take over."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.plan import make_plan
from benchmark.results import RESULT_FILE, Result, write_result
from core.cli.following import Stopper
from core.cli.parser import Options
from core.cli.study_conduct import Ran
from core.cli.study_runs import StudyRuns, needed_rates, settings_here, with_rates
from core.errors import WorkError
from core.run.events import (
    Left,
    ResourceDeleted,
    ResourceIntended,
    RunFinished,
    RunState,
    Stage,
    StageFailed,
    StageFinished,
    StageStarted,
    StopRequested,
    TeardownFinished,
    TeardownStarted,
)
from core.run.journal import Journal, Run
from core.run.launch import NewRun, create_run
from core.run.process import utc_now
from core.settings import Settings
from core.verdict.study import LegPlan
from tests.core.runs import NOON, execute, small_plan
from tests.core.stages import Work, fail, nothing, refuse
from tests.core.verdict.scene import a_result

STAGES = (Stage.PREFLIGHT, Stage.JOB, Stage.RESULTS)


@pytest.fixture
def runs(journal: Journal, results: Path, state: Path) -> StudyRuns:
    settings = Settings(results_dir=results, state_dir=state)
    return StudyRuns(journal, settings, Options(quiet=True), Stopper(journal, lambda _: None))


def a_run(journal: Journal, results: Path, note: str = "", target: str = "local") -> Run:
    new = NewRun(target, "baseline", small_plan(), STAGES, results, "gpubench-tui", note=note)
    return create_run(journal, new, utc_now)


def ended(journal: Journal, results: Path, work: Work, result: Result | None = None) -> str:
    run = a_run(journal, results)
    execute(journal, run, work, results)
    if result is not None:
        write_result(result, run.folder / RESULT_FILE)
    return run.id


def dead(journal: Journal, results: Path, target: str) -> str:
    """A run whose process was never seen, and that was written down long ago."""
    new = NewRun(target, "baseline", small_plan(), STAGES, results, "gpubench-tui")
    run = create_run(journal, new, lambda: NOON)
    return run.id


def test_a_run_is_found_by_the_note_in_its_first_event(
    runs: StudyRuns, journal: Journal, results: Path
) -> None:
    made = [a_run(journal, results, f"Run {number} of study S.") for number in (1, 11)]
    assert runs.find("Run 1 of study S.") == made[0].id
    assert runs.find("Run 11 of study S.") == made[1].id
    assert runs.find("Run 2 of study S.") is None


def test_a_run_with_a_good_block_of_everything_counts(
    runs: StudyRuns, journal: Journal, results: Path
) -> None:
    run = ended(journal, results, nothing, a_result((100.0, 101.0)))
    assert runs.ending(run) == Ran("good")


def test_a_run_without_a_good_block_of_something_is_void(
    runs: StudyRuns, journal: Journal, results: Path
) -> None:
    both = {"offline-b8": (100.0, 101.0), "singlestream-b1": (10.0, 11.0)}
    of_one = a_result(both, void={("offline-b8", 1): "hot", ("offline-b8", 2): "hot"})
    found = runs.ending(ended(journal, results, nothing, of_one))
    assert (found.outcome, found.reason) == ("void", "offline-b8: hot")
    one_of_two = a_result(both, void={("offline-b8", 1): "hot"})
    assert runs.ending(ended(journal, results, nothing, one_of_two)).outcome == "good"


def test_a_run_whose_result_cannot_be_read_is_void(
    runs: StudyRuns, journal: Journal, results: Path
) -> None:
    found = runs.ending(ended(journal, results, nothing))
    assert found.outcome == "void"
    assert RESULT_FILE in found.reason


def test_what_failed_is_told_from_what_would_fail_again(
    runs: StudyRuns, journal: Journal, results: Path
) -> None:
    found = runs.ending(ended(journal, results, fail))
    assert found.outcome == "failed"
    assert "The stand-in failed." in found.reason
    found = runs.ending(ended(journal, results, refuse))
    assert found.outcome == "impossible"
    assert "nonsense" in found.reason


def test_a_run_here_that_died_is_over(runs: StudyRuns, journal: Journal, results: Path) -> None:
    run = dead(journal, results, "local")
    runs.follow(run)
    assert runs.ending(run).outcome == "died"


def test_a_run_on_a_cluster_that_died_may_have_left_what_costs_money(
    runs: StudyRuns, journal: Journal, results: Path
) -> None:
    run = dead(journal, results, "gke")
    with pytest.raises(WorkError, match="may still be there"):
        runs.ending(run)


def test_what_a_teardown_left_is_named(runs: StudyRuns, journal: Journal, results: Path) -> None:
    run = dead(journal, results, "gke")
    left = Left(kind="cluster", name="c", reason="no answer", delete_command="gcloud ...")
    journal.append(run, TeardownStarted(resources=("cluster c",)), time=NOON)
    journal.append(run, TeardownFinished(left=(left,), seconds=1.0), time=NOON)
    assert runs.ending(run).left == "cluster c"


CLUSTER = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: none}}]
"""


def test_a_run_that_was_killed_while_it_stopped_is_ended_and_measured_again(
    runs: StudyRuns,
    journal: Journal,
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "kubeconfig").write_text(CLUSTER)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    run = dead(journal, results, "kubernetes")
    journal.append(run, StopRequested(reason="SIGINT"), time=NOON)
    runs.follow(run)
    assert runs.ending(run).outcome == "interrupted"
    assert journal.run(run).state is RunState.INTERRUPTED


def uncollected(journal: Journal, results: Path) -> str:
    """A run whose pod still holds what it measured."""
    run = dead(journal, results, "kubernetes")
    for record in (
        ResourceIntended(kind="job", name="default/job", delete_command="kubectl ..."),
        StageFailed(stage=Stage.RESULTS, sentence="Not collected.", remedy="", seconds=1.0),
        RunFinished(state=RunState.FAILED, exit_code=1, sentence="Not collected.", seconds=2.0),
    ):
        journal.append(run, record, time=NOON, stage=Stage.RESULTS)
    return run


def test_results_that_a_pod_still_holds_are_neither_lost_nor_measured_again(
    runs: StudyRuns, journal: Journal, results: Path
) -> None:
    run = uncollected(journal, results)
    with pytest.raises(WorkError, match="not here yet: Not collected") as raised:
        runs.ending(run)
    assert f"collect {run}" in raised.value.remedy


def test_results_that_somebody_collected_since_count(
    runs: StudyRuns, journal: Journal, results: Path
) -> None:
    run = uncollected(journal, results)
    journal.append(run, StageStarted(stage=Stage.RESULTS), time=NOON, stage=Stage.RESULTS)
    finished = StageFinished(stage=Stage.RESULTS, summary="", seconds=1.0)
    journal.append(run, finished, time=NOON, stage=Stage.RESULTS)
    folder = journal.run(run).folder
    folder.mkdir(parents=True, exist_ok=True)
    write_result(a_result((100.0,)), folder / RESULT_FILE)
    assert runs.ending(run) == Ran("good")


def test_what_a_teardown_gave_up_is_a_failure(
    runs: StudyRuns, journal: Journal, results: Path
) -> None:
    run = uncollected(journal, results)
    deleted = ResourceDeleted(kind="job", name="default/job", proof="no such Job")
    journal.append(run, deleted, time=NOON)
    assert runs.ending(run).outcome == "failed"


def test_later_runs_carry_the_load_of_the_first() -> None:
    server = {"scenario": "Server", "batch_sizes": [8], "query_count": 46}
    plan = make_plan({"scenarios": [server]}, "the test's plan")
    first = a_result({"server-b8": (100.0,)})
    rates = needed_rates(first, plan)
    assert rates == first.arrival_rates()
    later = with_rates(plan, rates)
    assert later.server.arrival_rates == rates
    # A rate that the plan has already is the user's, and stays.
    assert needed_rates(first, later) == {}
    assert needed_rates(first, small_plan()) == {}


def test_a_study_goes_on_where_it_lies_now(tmp_path: Path) -> None:
    stored = Settings(leg="xen", precision="bf16", results_dir=tmp_path / "then")
    leg = LegPlan(settings=stored.model_dump(mode="json"), plan=small_plan())
    here = settings_here(leg, Settings(results_dir=tmp_path / "now", state_dir=tmp_path / "state"))
    assert here == stored.model_copy(
        update={"results_dir": tmp_path / "now", "state_dir": tmp_path / "state"}
    )
