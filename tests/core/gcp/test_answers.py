"""Reading fields that may be missing, or of another type."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.gcp import answers

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(value=ANYTHING)
def test_whatever_a_field_holds_it_is_read_as_what_was_asked_for(value: Any) -> None:
    answer = {"field": value}
    assert isinstance(answers.text(answer, "field"), str)
    assert isinstance(answers.whole(answer, "field"), int)
    assert math.isfinite(answers.number(answer, "field"))
    assert isinstance(answers.part(answer, "field"), dict)
    assert all(isinstance(each, dict) for each in answers.parts(answer, "field"))
    assert all(isinstance(each, str) for each in answers.texts(answer, "field"))
    assert all(isinstance(each, str) for each in answers.labels(answer, "field").values())
    moment = answers.moment(answer, "field")
    assert moment is None or moment.tzinfo is not None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-11-23T05:46:12Z", datetime(2026, 11, 23, 5, 46, 12, tzinfo=UTC)),
        (
            "2026-11-22T21:46:12.5-08:00",
            datetime(2026, 11, 22, 21, 46, 12, 500000, timezone(timedelta(hours=-8))),
        ),
        ("2026-11-23T05:46:12.123456789Z", datetime(2026, 11, 23, 5, 46, 12, 123456, UTC)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_moment_is_read_with_its_zone(said: str, meant: datetime | None) -> None:
    assert answers.moment({"at": said}, "at") == meant


@given(whole=st.integers(-(2**63), 2**63 - 1))
def test_a_number_of_64_bits_comes_as_text(whole: int) -> None:
    assert answers.whole({"size": str(whole)}, "size") == whole


def test_a_resource_is_named_by_the_end_of_its_url() -> None:
    url = "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a/disks/d"
    assert answers.last(url) == "d"
    assert answers.last("") == ""
