"""Stages run when what they need is done, side by side where they may, and stop together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError, ProblemError, StageError
from core.run import events
from core.run.events import AnyRecord, Stage
from core.run.pipeline import Pipeline, StageContext
from tests.core.runs import small_plan
from tests.core.stages import StandIn, crash, fail, forever, nothing

Work = Callable[[StageContext], Awaitable[str]]


class Stream:
    """Takes what stages emit, as the run's process does."""

    def __init__(self) -> None:
        self.said: list[tuple[Stage, AnyRecord]] = []
        self.logged: list[str] = []

    def context_of(self, stage: Stage) -> StageContext:
        return StageContext(
            run_id="run",
            leg="baseline",
            folder=Path("/nowhere"),
            results_dir=Path("/nowhere"),
            plan=small_plan(),
            emit=lambda record: self.said.append((stage, record)),
            log=lambda source, text: self.logged.append(f"{source}: {text}"),
        )

    def names(self, stage: Stage | None = None) -> list[str]:
        return [record.event for said, record in self.said if stage in (None, said)]

    def run(self, *stages: StandIn) -> None:
        asyncio.run(Pipeline(stages).run(self.context_of))


@pytest.fixture
def stream() -> Stream:
    return Stream()


def of(stage: Stage, *needs: Stage, work: Work = nothing) -> StandIn:
    return StandIn(stage, work, frozenset(needs))


def test_stages_run_in_the_order_of_their_needs(stream: Stream) -> None:
    stream.run(of(Stage.RESULTS, Stage.JOB), of(Stage.JOB, Stage.PREFLIGHT), of(Stage.PREFLIGHT))
    assert [(stage, record.event) for stage, record in stream.said] == [
        (stage, name)
        for stage in (Stage.PREFLIGHT, Stage.JOB, Stage.RESULTS)
        for name in ("stage_started", "stage_finished")
    ]


def test_a_finished_stage_says_what_it_did(stream: Stream) -> None:
    stream.run(of(Stage.JOB))
    finished = stream.said[-1][1]
    assert isinstance(finished, events.StageFinished)
    assert finished.summary == "nothing to do"
    assert finished.seconds >= 0


def test_independent_stages_run_side_by_side(stream: Stream) -> None:
    async def meeting() -> None:
        # Each waits for the other: one after the other they would never end.
        met = {Stage.CLUSTER: asyncio.Event(), Stage.IMAGE: asyncio.Event()}

        def meet(me: Stage, other: Stage) -> Work:
            async def work(_context: StageContext) -> str:
                met[me].set()
                await met[other].wait()
                return "met"

            return work

        stages = (
            of(Stage.CLUSTER, work=meet(Stage.CLUSTER, Stage.IMAGE)),
            of(Stage.IMAGE, work=meet(Stage.IMAGE, Stage.CLUSTER)),
        )
        await asyncio.wait_for(Pipeline(stages).run(stream.context_of), 30)

    asyncio.run(meeting())
    assert stream.names().count("stage_finished") == 2


def test_the_first_failure_is_raised_and_stops_the_others(stream: Stream) -> None:
    with pytest.raises(StageError) as caught:
        stream.run(of(Stage.CLUSTER, work=forever), of(Stage.IMAGE, work=fail))
    assert caught.value.sentence == "The stand-in failed."
    assert stream.names(Stage.CLUSTER)[-1] == "stage_stopped"
    assert stream.names(Stage.IMAGE) == ["stage_started", "stage_failed"]


def test_what_needs_a_failed_stage_never_starts(stream: Stream) -> None:
    with pytest.raises(StageError):
        stream.run(of(Stage.JOB, work=fail), of(Stage.RESULTS, Stage.JOB))
    assert stream.names(Stage.RESULTS) == []


def test_a_failure_while_being_stopped_does_not_hide_the_cause(stream: Stream) -> None:
    async def fails_when_stopped(_context: StageContext) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise InputError("A consequence.") from None
        return "never reached"

    with pytest.raises(ProblemError, match="stand-in failed"):
        stream.run(of(Stage.CLUSTER, work=fails_when_stopped), of(Stage.IMAGE, work=fail))
    assert stream.names(Stage.CLUSTER)[-1] == "stage_failed"


def test_a_failure_keeps_its_exit_code_and_remedy(stream: Stream) -> None:
    async def refuse(_context: StageContext) -> str:
        raise InputError("Nonsense.", "Give it sense.")

    with pytest.raises(InputError) as caught:
        stream.run(of(Stage.JOB, work=refuse))
    assert caught.value.exit_code == 2
    failed = stream.said[-1][1]
    assert isinstance(failed, events.StageFailed)
    assert (failed.sentence, failed.remedy) == ("Nonsense.", "Give it sense.")


def test_a_fault_of_the_program_becomes_a_failed_stage_with_its_cause(stream: Stream) -> None:
    with pytest.raises(StageError, match="fault of this program") as caught:
        stream.run(of(Stage.JOB, work=crash))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "deployment.log" in caught.value.remedy
    assert stream.names() == ["stage_started", "stage_failed"]


def test_a_stopped_run_says_so_of_each_stage_under_way(stream: Stream) -> None:
    async def stopped() -> None:
        pipeline = Pipeline(
            (
                of(Stage.CLUSTER, work=forever),
                of(Stage.IMAGE, work=forever),
                of(Stage.JOB, Stage.IMAGE),
            )
        )
        work = asyncio.ensure_future(pipeline.run(stream.context_of))
        while stream.names().count("remarked") < 2:
            await asyncio.sleep(0)
        work.cancel()
        await work

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())
    assert stream.names(Stage.CLUSTER)[-1] == "stage_stopped"
    assert stream.names(Stage.IMAGE)[-1] == "stage_stopped"
    assert stream.names(Stage.JOB) == []


def test_a_stage_that_gives_itself_up_fails_and_keeps_nobody_waiting(stream: Stream) -> None:
    async def gives_up(_context: StageContext) -> str:
        raise asyncio.CancelledError

    async def bounded() -> None:
        pipeline = Pipeline((of(Stage.JOB, work=gives_up), of(Stage.RESULTS, Stage.JOB)))
        await asyncio.wait_for(pipeline.run(stream.context_of), 60)

    with pytest.raises(StageError):
        asyncio.run(bounded())
    assert stream.names(Stage.RESULTS) == []


@pytest.mark.parametrize(
    "stages",
    [
        (of(Stage.JOB, Stage.PREFLIGHT),),
        (of(Stage.JOB, Stage.JOB),),
        (of(Stage.JOB, Stage.RESULTS), of(Stage.RESULTS, Stage.JOB)),
        (of(Stage.PREFLIGHT), of(Stage.JOB, Stage.RESULTS), of(Stage.RESULTS, Stage.JOB)),
        (of(Stage.JOB), of(Stage.JOB)),
    ],
    ids=["a missing one", "itself", "each other", "each other, beside a good one", "twice"],
)
def test_needs_that_cannot_be_met_are_refused_at_once(stages: tuple[StandIn, ...]) -> None:
    with pytest.raises(ValueError, match="stage"):
        Pipeline(stages)


@st.composite
def possible_needs(draw: st.DrawFn) -> list[tuple[Stage, frozenset[Stage]]]:
    """Stages, each needing some of those before it, then shuffled."""
    order = draw(st.permutations(list(Stage)))
    count = draw(st.integers(1, len(order)))
    needs = [
        (stage, draw(st.frozensets(st.sampled_from(order[:place]))) if place else frozenset())
        for place, stage in enumerate(order[:count])
    ]
    return draw(st.permutations(needs))


@given(possible_needs())
def test_no_stage_starts_before_its_needs_are_done(
    needs: list[tuple[Stage, frozenset[Stage]]],
) -> None:
    stream = Stream()

    async def gives_way(_context: StageContext) -> str:
        await asyncio.sleep(0)
        return "done"

    pipeline = Pipeline([of(stage, *needed, work=gives_way) for stage, needed in needs])
    asyncio.run(pipeline.run(stream.context_of))
    finished: set[Stage] = set()
    wanted = dict(needs)
    for stage, record in stream.said:
        if isinstance(record, events.StageStarted):
            assert wanted[stage] <= finished
        else:
            finished.add(stage)
    assert finished == set(wanted)
    places = {stage: place for place, stage in enumerate(pipeline.order)}
    assert all(places[need] < places[stage] for stage in wanted for need in wanted[stage])
