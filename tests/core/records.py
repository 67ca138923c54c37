"""Hypothesis strategies for every record of the stream, made from the models' own fields."""

from __future__ import annotations

import types
import typing
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal, Union

from hypothesis import strategies as st
from pydantic import BaseModel

from benchmark import progress
from benchmark.plan import SHIPPED_PROFILES, Plan, load_profile
from core.run import events
from core.run.events import Event, Stage

RECORD_TYPES: tuple[type[BaseModel], ...] = (
    *typing.get_args(events.RunRecord),
    *typing.get_args(progress.ProgressRecord),
)

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    '"}\n{"sequence": 1}',
    "line\r\nline\u2028line",
    "</script><img src=x onerror=alert(1)>",
    "\u202eevil\u2066 \u200b\x00",
    "=cmd|' /C calc'!A0",
    "[red]markup[/red] {braces} %s",
    "日本語 \U0001f600",
)
texts = st.one_of(st.text(max_size=30), st.sampled_from(HOSTILE))


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Return values for a field's annotation."""
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: texts,
        int: st.integers(-(2**63), 2**63),
        bool: st.booleans(),
        float: st.floats(allow_nan=False, allow_infinity=False),
        type(None): st.none(),
        datetime: st.datetimes(timezones=st.just(UTC)),
        Plan: st.sampled_from([load_profile(name) for name in SHIPPED_PROFILES]),
    }
    if annotation in simple:
        return simple[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is dict:
        return st.dictionaries(texts, st.one_of(texts, st.integers(-(2**53), 2**53), st.none()))
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=4).map(tuple)
    if issubclass(annotation, Enum):
        return st.sampled_from(list(annotation))
    return records_of(annotation)


def records_of(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Return instances of a model."""
    fields = {name: values_of(field.annotation) for name, field in model.model_fields.items()}
    return st.builds(model, **fields)


# Milliseconds are what a line keeps.
times = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))


def events_with(records: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    """Return events that carry these records."""
    return st.builds(
        Event,
        sequence=st.integers(1, 2**53),
        run=texts,
        time=times,
        stage=st.none() | st.sampled_from(Stage),
        log_position=st.integers(0, 2**53),
        record=records,
    )
