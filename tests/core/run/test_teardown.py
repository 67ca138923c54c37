"""Teardown: in which order, with which proof, and what it says of that which has none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import WorkError
from core.run.events import Event, Left, ResourceDeleted, ResourceIntended, RunState, Stage
from core.run.follow import follow
from core.run.journal import Journal, Run
from core.run.process import utc_now
from core.run.status import STATUS_FILE
from core.run.teardown import Hand, Teardown, TeardownPlan
from core.run.view import ResourceView, RunView, StageState
from tests.core.runs import assert_whole, named_run, new_run, start_stand_in
from tests.core.teardowns import (
    OBEDIENT,
    STUBBORN,
    Recorder,
    Start,
    billed,
    ended,
    note,
    note_process,
    proofs,
    starting,
    tear_down,
)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start shell scripts; what a test leaves of them is killed."""
    with starting() as begin:
        yield begin


def plan_of(journal: Journal, run: Run) -> TeardownPlan:
    return Teardown(journal, run, utc_now, hands={}).plan()


class TestPlan:
    """What would be done, in which order, and what it costs until then."""

    def test_the_runs_process_comes_first_then_the_newest(
        self, journal: Journal, results: Path, start: Start
    ) -> None:
        run = new_run(journal, results)
        journal.set_process(run.id, start(OBEDIENT))
        note(journal, run, billed("cluster", "c1", 0.54), billed("disk", "d1", 0.01))
        note_process(journal, run, None)
        plan = plan_of(journal, run)
        assert [removal.intended.name for removal in plan.removals] == [
            *("run", "benchmark", "d1", "c1"),
        ]
        assert plan.usd_per_hour == pytest.approx(0.55)

    def test_what_was_proved_gone_is_not_in_it(self, journal: Journal, results: Path) -> None:
        run = ended(journal, results)
        note(journal, run, billed("disk", "d1", 1), billed("disk", "d2", 1))
        note(journal, run, ResourceDeleted(kind="disk", name="d1", proof="asked"))
        assert [removal.intended.name for removal in plan_of(journal, run).removals] == ["d2"]

    @pytest.mark.parametrize(
        ("resources", "name"),
        [
            ([], ""),
            ([billed("image", "i", 0)], ""),
            ([billed("disk", "d", 0.1), billed("image", "i", 0.2)], "i"),
            ([billed("cluster", "c1", 0.1), billed("cluster", "c2", 5)], "c1"),
            ([billed("node pool", "p", 9), billed("cluster", "c", 0.1)], "c"),
            ([billed("cluster", "free", 0), billed("disk", "d", 0.1)], "d"),
        ],
    )
    def test_the_name_to_type_is_that_of_what_costs(
        self, journal: Journal, results: Path, resources: list[ResourceIntended], name: str
    ) -> None:
        run = ended(journal, results)
        note(journal, run, *resources)
        plan = plan_of(journal, run)
        assert plan.confirmation == name
        assert plan.command == f"gpubench-tui --no-ui teardown {run.id}" + (
            f" --yes {name}" if name else ""
        )

    def test_planning_writes_nothing(self, journal: Journal, results: Path) -> None:
        run = ended(journal, results)
        note(journal, run, billed("cluster", "c", 1))
        before = journal.lines(run.id)
        plan_of(journal, run)
        assert journal.lines(run.id) == before


class TestRunProcess:
    """The run itself is stopped as ``stop`` does it."""

    async def test_a_run_under_way_is_interrupted_first(self, state: Path, results: Path) -> None:
        process, run_id = start_stand_in(state, results, "forever")
        taken: list[str] = []
        with Journal(state) as journal:
            for _line, event in follow(journal, run_id, utc_now):
                if event.record.event == "remarked":
                    break
            run = journal.run(run_id)
            hand = Recorder()
            note(journal, run, billed("cluster", "c", 1))
            left = await tear_down(
                journal,
                run,
                hands={"cluster": hand},
                take=lambda _line, event: taken.append(event.record.event),
                stop_patience_s=60.0,
            )
            assert left == ()
            assert journal.run(run_id).state is RunState.INTERRUPTED
        assert process.wait(60) == 130
        assert taken[:2] == ["stage_started", "teardown_started"]
        assert taken.index("run_finished") < taken.index("resource_deleted")
        assert taken[-2:] == ["teardown_finished", "stage_finished"]
        assert hand.deleted == ["c"]

    async def test_a_run_that_does_not_listen_is_killed(
        self, journal: Journal, results: Path, start: Start
    ) -> None:
        run, process = new_run(journal, results), start(STUBBORN)
        journal.set_process(run.id, process)
        assert await tear_down(journal, run) == ()
        assert not process.alive()
        assert journal.state_now(journal.run(run.id), utc_now()) is RunState.DIED
        assert "process run" in proofs(journal, run)

    async def test_a_run_of_another_machine_is_left_and_the_rest_goes(
        self, journal: Journal, results: Path, start: Start
    ) -> None:
        process = start(OBEDIENT)
        run = named_run(journal, "far", state=RunState.RUNNING, host="elsewhere", process=process)
        note(journal, run, billed("cluster", "c", 1))
        (left,) = await tear_down(journal, run, hands={"cluster": Recorder()})
        assert (left.kind, left.name) == ("process", "run")
        assert left.delete_command == "gpubench-tui --no-ui stop far"
        assert process.alive()
        assert list(proofs(journal, run)) == ["cluster c"]

    async def test_a_run_that_is_about_to_start_is_not_called_gone(
        self, journal: Journal, results: Path
    ) -> None:
        (left,) = await tear_down(journal, new_run(journal, results))
        assert "no process yet" in left.reason


class TestHands:
    """Proof is asked for; what has none is listed."""

    async def test_a_kind_without_a_hand_is_never_called_gone(
        self, journal: Journal, results: Path
    ) -> None:
        run = ended(journal, results)
        note(journal, run, billed("cluster", "c", 0.54))
        (left,) = await tear_down(journal, run)
        assert left == Left(
            kind="cluster",
            name="c",
            reason="This version cannot remove a cluster",
            delete_command="remove c",
        )
        view = RunView.of(journal.events(run.id))
        assert view.resources["cluster", "c"].exists
        assert view.torn_down is not None
        assert view.torn_down.left == (left,)
        assert view.stages[Stage.TEARDOWN].state is StageState.FAILED
        assert "cluster c" in (run.folder / STATUS_FILE).read_text()

    async def test_the_newest_goes_first(self, journal: Journal, results: Path) -> None:
        run, hand = ended(journal, results), Recorder()
        note(journal, run, *(billed("disk", name, 1) for name in "abc"))
        assert await tear_down(journal, run, hands={"disk": hand}) == ()
        assert hand.deleted == ["c", "b", "a"]

    async def test_a_delete_that_was_accepted_is_no_proof(
        self, journal: Journal, results: Path
    ) -> None:
        run = ended(journal, results)
        note(journal, run, billed("disk", "d", 1))
        (left,) = await tear_down(journal, run, hands={"disk": Recorder(really=False)})
        assert left.reason == "It is still there"

    async def test_a_delete_that_failed_is_proved_all_the_same(
        self, journal: Journal, results: Path
    ) -> None:
        run = ended(journal, results)
        note(journal, run, billed("disk", "d", 1))
        hand = Recorder(fault=WorkError("It was gone before."))
        assert await tear_down(journal, run, hands={"disk": hand}) == ()

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            (WorkError("Not allowed."), "Not allowed"),
            (ZeroDivisionError("oh"), "A fault of this program: ZeroDivisionError('oh')"),
        ],
    )
    async def test_a_hand_that_fails_keeps_no_other_from_its_work(
        self, journal: Journal, results: Path, fault: Exception, words: str
    ) -> None:
        run = ended(journal, results)
        note(journal, run, billed("disk", "d", 1), billed("image", "i", 1))
        hands: dict[str, Hand] = {
            "image": Recorder(fault=fault, really=False),
            "disk": Recorder(),
        }
        (left,) = await tear_down(journal, run, hands=hands)
        assert (left.name, left.reason) == ("i", words)
        assert list(proofs(journal, run)) == ["disk d"]

    async def test_an_interrupted_teardown_says_what_it_did_not_do(
        self, journal: Journal, results: Path
    ) -> None:
        run = ended(journal, results)
        note(journal, run, billed("disk", "d", 1), billed("image", "i", 1))
        reached = asyncio.Event()

        class Endless(Recorder):
            async def delete(self, resource: ResourceView) -> None:
                reached.set()
                await asyncio.Event().wait()

        hands = {"image": Recorder(), "disk": Endless()}
        task = asyncio.ensure_future(tear_down(journal, run, hands=hands))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        torn_down = RunView.of(journal.events(run.id)).torn_down
        assert torn_down is not None
        assert [left.name for left in torn_down.left] == ["d"]
        assert "interrupted" in torn_down.left[0].reason


class TestAgain:
    """Twice, or two at once, is the same."""

    async def test_a_finished_run_has_left_nothing(self, journal: Journal, results: Path) -> None:
        process, run_id = start_stand_in(journal.path.parent, results, "nothing")
        assert process.wait(60) == 0
        run = journal.run(run_id)
        taken: list[Event] = []
        assert await tear_down(journal, run, take=lambda _line, event: taken.append(event)) == ()
        assert [event.record.event for event in taken] == [
            *("stage_started", "teardown_started", "teardown_finished", "stage_finished"),
        ]
        assert {event.stage for event in taken} == {Stage.TEARDOWN}
        assert "- [x] teardown" in (run.folder / STATUS_FILE).read_text()

    async def test_the_second_finds_nothing(
        self, journal: Journal, results: Path, start: Start
    ) -> None:
        run, process = ended(journal, results), start(OBEDIENT)
        note_process(journal, run, process)
        assert await tear_down(journal, run) == ()
        first = proofs(journal, run)
        assert await tear_down(journal, run) == ()
        assert proofs(journal, run) == first
        view = RunView.of(journal.events(run.id))
        assert view.teardown is not None
        assert view.teardown.resources == ()

    async def test_what_was_left_is_tried_again(self, journal: Journal, results: Path) -> None:
        run = ended(journal, results)
        note(journal, run, billed("cluster", "c", 1))
        assert len(await tear_down(journal, run)) == 1
        assert await tear_down(journal, run, hands={"cluster": Recorder()}) == ()
        view = RunView.of(journal.events(run.id))
        assert view.stages[Stage.TEARDOWN].state is StageState.DONE

    async def test_two_at_once_both_end_with_nothing_left(
        self, state: Path, results: Path, start: Start
    ) -> None:
        with Journal(state) as one, Journal(state) as two:
            run, process = ended(one, results), start(STUBBORN)
            note_process(one, run, process)
            assert await asyncio.gather(tear_down(one, run), tear_down(two, run)) == [(), ()]
            deleted = [
                event.record.event
                for event in one.events(run.id)
                if event.record.event == "resource_deleted"
            ]
        assert deleted == ["resource_deleted"]
        assert not process.alive()
        assert_whole(state)
