"""The stream's lines: what is written is what is read, and text stays text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from benchmark.progress import Remarked
from core.run.events import (
    Event,
    RunFinished,
    RunStarted,
    RunState,
    Stage,
    Unrecognised,
    parse_event,
)
from tests.core.records import HOSTILE, RECORD_TYPES, events_with, records_of
from tests.core.runs import NOON

ANY_EVENT = events_with(st.one_of(*map(records_of, RECORD_TYPES)))


def event(record: Any, stage: Stage | None = None) -> Event:
    return Event(1, "run", NOON, stage, 0, record)


@pytest.mark.parametrize("model", RECORD_TYPES, ids=lambda model: model.__name__)
def test_every_record_comes_back_as_it_was_written(model: type[BaseModel]) -> None:
    @given(events_with(records_of(model)))
    def comes_back(written: Event) -> None:
        assert parse_event(written.to_line()) == written

    comes_back()


@given(ANY_EVENT)
def test_a_line_is_one_line_of_ascii_json(written: Event) -> None:
    line = written.to_line()
    assert line.isascii()
    assert line.isprintable()
    document = json.loads(line)
    assert document["event"] == written.record.event
    assert list(document)[:5] == ["sequence", "run", "time", "stage", "log_position"]


@given(ANY_EVENT, st.dictionaries(st.text(min_size=1).map("new_{}".format), st.integers()))
def test_fields_of_a_newer_writer_are_ignored(written: Event, unknown: dict[str, int]) -> None:
    line = json.dumps({**json.loads(written.to_line()), **unknown})
    assert parse_event(line) == written


def test_an_event_of_a_newer_version_is_read_as_one_that_means_nothing_here() -> None:
    line = event(RunStarted(pid=1, version="1")).to_line().replace("run_started", "run_imagined")
    read = parse_event(line)
    assert read.record == Unrecognised(event="run_imagined")
    assert (read.sequence, read.run, read.time) == (1, "run", NOON)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_survives_as_data_and_reaches_no_terminal(text: str) -> None:
    line = event(Remarked(message=text)).to_line()
    assert line.isprintable()
    record = parse_event(line).record
    assert isinstance(record, Remarked)
    assert record.message == text


def test_record_names_are_unique_and_facts_in_the_past() -> None:
    names = [model.model_fields["event"].default for model in RECORD_TYPES]
    assert len(set(names)) == len(names)
    assert all(name.endswith("ed") for name in names)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "{}",
        '{"event": "run_started"}',
        event(RunStarted(pid=1, version="1")).to_line().replace('"pid":1', '"pid":"one"'),
        event(RunStarted(pid=1, version="1")).to_line().replace('"stage":null', '"stage":"lunch"'),
        event(RunStarted(pid=1, version="1")).to_line().replace("2026-05-04", "yesterday"),
        event(RunStarted(pid=1, version="1")).to_line().replace('"sequence":1', '"sequence":null'),
    ],
)
def test_what_is_no_event_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_event(line)


def test_an_event_of_a_newer_version_is_passed_on_without_a_meaning() -> None:
    line = event(RunStarted(pid=1, version="1")).to_line().replace("run_started", "run_imagined")
    assert parse_event(line).record == Unrecognised(event="run_imagined")


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        (RunState.CREATED, False),
        (RunState.RUNNING, False),
        (RunState.DONE, True),
        (RunState.FAILED, True),
        (RunState.INTERRUPTED, True),
        (RunState.DIED, True),
    ],
)
def test_a_run_has_ended_unless_it_is_created_or_running(state: RunState, ended: bool) -> None:
    assert state.ended is ended


def test_an_event_of_a_stage_names_it() -> None:
    finished = RunFinished(state=RunState.DONE, exit_code=0, seconds=1.5, sentence="Done.")
    assert json.loads(event(finished).to_line())["stage"] is None
    assert json.loads(event(finished, Stage.JOB).to_line())["stage"] == "job"
