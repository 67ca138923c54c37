"""Following: everything from the first event on, in order, until the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.progress import Remarked
from core.run.events import Event, RunFinished, RunState
from core.run.follow import follow
from core.run.journal import Journal
from core.run.liveness import ProcessIdentity, identify, this_host
from tests.core.runs import NOON, TickingClock, execute, named_run, new_run
from tests.core.stages import remark

END = RunFinished(state=RunState.DONE, exit_code=0, seconds=1, sentence="The end.")


def never(_seconds: float) -> None:
    pytest.fail("nothing was left to wait for")


def living(journal: Journal, name: str = "run") -> str:
    """A run of this very process."""
    named_run(journal, name, host=this_host())
    identity = identify()
    assert identity is not None
    journal.set_process(name, identity)
    return name


def followed(journal: Journal, name: str, pause: Callable[[float], None]) -> list[Event]:
    found = []
    for line, event in follow(journal, name, lambda: NOON, pause):
        assert line == event.to_line()
        found.append(event)
    return found


def test_a_finished_run_is_replayed_as_it_was_stored(journal: Journal, results: Path) -> None:
    run = new_run(journal, results, clock=TickingClock())
    execute(journal, run, remark, results, TickingClock())
    stored = [line for _sequence, line in journal.lines(run.id)]
    for _ in range(2):
        assert [line for line, _event in follow(journal, run.id, TickingClock(), never)] == stored


def test_attaching_in_the_middle_gives_everything_from_the_first_event(journal: Journal) -> None:
    name = living(journal)
    for number in range(3):
        journal.append(name, Remarked(message=str(number)), time=NOON)
    steps = iter([Remarked(message="3"), Remarked(message="4"), END])

    def pause(_seconds: float) -> None:
        journal.append(name, next(steps), time=NOON)

    events = followed(journal, name, pause)
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6]
    assert events[-1].record == END


def test_two_followers_see_the_same(journal: Journal) -> None:
    name = living(journal)
    journal.append(name, Remarked(message="x"), time=NOON)
    first = follow(journal, name, lambda: NOON, never)
    next(first)
    journal.append(name, END, time=NOON)
    assert [event.sequence for _line, event in first] == [2]
    assert [event.sequence for event in followed(journal, name, never)] == [1, 2]


def test_following_waits_while_nothing_happens(journal: Journal) -> None:
    name = living(journal)
    waits = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 5:
            journal.append(name, END, time=NOON)

    assert len(followed(journal, name, pause)) == 1
    assert len(waits) == 5
    assert all(0 < seconds <= 1 for seconds in waits)


def test_a_run_that_died_comes_to_an_end_with_all_that_it_had(journal: Journal) -> None:
    named_run(journal, "run", host=this_host())
    journal.set_process("run", ProcessIdentity(2**22, 1))
    journal.append("run", Remarked(message="last words"), time=NOON)
    events = followed(journal, "run", never)
    assert [event.record for event in events] == [Remarked(message="last words")]


def test_words_written_just_before_a_death_are_not_missed(journal: Journal) -> None:
    name = living(journal)

    def dies(_seconds: float) -> None:
        journal.append(name, Remarked(message="last words"), time=NOON)
        journal.set_process(name, ProcessIdentity(2**22, 1))

    assert [event.record.event for event in followed(journal, name, dies)] == ["remarked"]


def test_nothing_follows_the_end(journal: Journal) -> None:
    name = living(journal)
    journal.append(name, END, time=NOON)
    journal.append(name, Remarked(message="a late one"), time=NOON)
    assert [event.record for event in followed(journal, name, never)] == [END]
