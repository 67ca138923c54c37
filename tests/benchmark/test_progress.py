"""What the benchmark says while it runs can be read later, and by an older reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmark.plan import SHIPPED_PROFILES, load_profile
from benchmark.progress import Failed, Progressed, Started, parse_progress


@pytest.mark.parametrize("profile", SHIPPED_PROFILES)
def test_a_started_benchmark_says_its_whole_plan(profile: str) -> None:
    plan = load_profile(profile)
    said = Started(plan=plan, measurements=len(plan.measurements()))
    line = said.model_dump_json()
    assert "\n" not in line
    assert parse_progress(line) == said


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_a_sentence_survives_its_line(sentence: str, remedy: str) -> None:
    said = Failed(sentence=sentence, remedy=remedy, exit_code=2)
    line = said.model_dump_json()
    assert "\n" not in line
    assert parse_progress(line) == said
    assert parse_progress(line.encode()) == said


def test_a_newer_writers_fields_are_passed_over() -> None:
    said = Failed(sentence="No.", remedy="", exit_code=1)
    newer = {**json.loads(said.model_dump_json()), "mood": "gloomy"}
    assert parse_progress(json.dumps(newer)) == said


def test_what_is_unknown_is_null_and_not_zero() -> None:
    said = Progressed(
        name="offline-b1",
        block=1,
        phase="measuring",
        elapsed_s=0.5,
        samples_done=0,
        samples_total=None,
        samples_per_s=None,
        latest_batch_ms=None,
        remaining_s=None,
    )
    document = json.loads(said.model_dump_json())
    for field in ("samples_total", "samples_per_s", "latest_batch_ms", "remaining_s", "gpu"):
        assert document[field] is None


@given(st.binary() | st.text() | st.sampled_from(["{}", "[" * 9999, '{"event": "surprise"}']))
def test_what_is_no_record_is_a_validation_error(line: str | bytes) -> None:
    with pytest.raises(ValidationError):
        parse_progress(line)
