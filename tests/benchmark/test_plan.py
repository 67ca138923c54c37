"""A profile is a plan that can be run, or one sentence that names everything wrong with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import PlanError
from benchmark.plan import (
    SHIPPED_PROFILES,
    Execution,
    Plan,
    Scenario,
    load_profile,
    make_plan,
    shipped_profile_text,
)

OFFLINE = {"scenario": "Offline", "batch_sizes": [1, 8], "duration_s": 3}
SINGLE_STREAM = {"scenario": "SingleStream", "query_count": 64}


def plan_error(**values: Any) -> str:
    """Return the sentence with which these values are refused."""
    with pytest.raises(PlanError) as caught:
        make_plan({"scenarios": [OFFLINE], **values}, "my.toml")
    sentence = caught.value.sentence
    assert sentence.startswith("my.toml cannot be run: ")
    assert sentence.endswith(".")
    assert sentence.isprintable()
    return sentence


def test_the_reference_profile_has_the_reference_deployments_sizes() -> None:
    plan = load_profile("reference")
    sizes = [
        (str(m.scenario), m.batch_size, m.duration_s, m.query_count) for m in plan.measurements()
    ]
    assert sizes == [
        ("Offline", 1, 30, None),
        ("Offline", 8, 30, None),
        ("Offline", 32, 30, None),
        ("Server", 1, None, 1000),
        ("Server", 8, None, 1000),
        ("Server", 32, None, 1000),
        ("SingleStream", 1, None, 500),
    ]
    assert plan.model == "resnet50-v1.5"


def test_the_quick_profile_compiles_nothing_and_says_that_it_is_quick() -> None:
    plan = load_profile("quick")
    assert plan.execution is Execution.EAGER
    assert plan.weights == "random"
    assert "quick" in plan.description.lower()


def test_probes_run_with_the_reference_profile_and_where_they_are_asked_for() -> None:
    assert load_profile("reference").probes
    assert not load_profile("quick").probes
    assert not make_plan({"scenarios": [OFFLINE]}, "here").probes
    assert make_plan({"scenarios": [OFFLINE], "probes": True}, "here").probes


@pytest.mark.parametrize("name", SHIPPED_PROFILES)
def test_every_shipped_profile_is_called_by_its_name(name: str) -> None:
    assert load_profile(name).profile == name


def test_a_copy_of_a_shipped_profile_is_the_same_plan(tmp_path: Path) -> None:
    copy = tmp_path / "copy.toml"
    copy.write_text(shipped_profile_text("reference"))
    assert load_profile(str(copy)) == load_profile("reference")


@pytest.mark.parametrize(
    ("scenario", "field"),
    [
        ({**SINGLE_STREAM, "query_count": 0}, "scenarios.0.query_count"),
        ({**SINGLE_STREAM, "query_count": -5}, "scenarios.0.query_count"),
        ({**SINGLE_STREAM, "query_count": "64"}, "scenarios.0.query_count"),
        ({**SINGLE_STREAM, "query_count": 64.5}, "scenarios.0.query_count"),
        ({**SINGLE_STREAM, "query_count": True}, "scenarios.0.query_count"),
        ({**OFFLINE, "duration_s": -1}, "scenarios.0.duration_s"),
        ({**OFFLINE, "duration_s": 0}, "scenarios.0.duration_s"),
        ({**OFFLINE, "duration_s": float("inf")}, "scenarios.0.duration_s"),
        ({**OFFLINE, "duration_s": float("nan")}, "scenarios.0.duration_s"),
        ({**OFFLINE, "duration_s": "30"}, "scenarios.0.duration_s"),
        ({**OFFLINE, "batch_sizes": [0]}, "scenarios.0.batch_sizes.0"),
        ({**OFFLINE, "batch_sizes": 8}, "scenarios.0.batch_sizes"),
        ({**OFFLINE, "batch_sizes": []}, "scenarios.0.batch_sizes"),
        ({**OFFLINE, "scenario": "Offlin"}, "scenarios.0.scenario"),
        ({**OFFLINE, "batch": 8}, "scenarios.0.batch"),
        ({**OFFLINE, "executions": ["turbo"]}, "scenarios.0.executions.0"),
        ({**OFFLINE, "host_to_device": ["yes"]}, "scenarios.0.host_to_device.0"),
        ({"scenario": "Offline"}, "duration_s"),
        ({**OFFLINE, "query_count": 5}, "query_count"),
        ({"scenario": "Server", "duration_s": 3}, "query_count"),
        ({"scenario": "Server"}, "query_count"),
        ({**SINGLE_STREAM, "batch_sizes": [8]}, "batch_sizes must be [1]"),
    ],
)
def test_an_impossible_scenario_is_refused_by_the_name_of_its_field(
    scenario: dict[str, Any], field: str
) -> None:
    assert field in plan_error(scenarios=[scenario])


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scenarios": []}, "scenarios"),
        ({"scenarios": "Offline"}, "scenarios"),
        ({"sample_count": 0}, "sample_count"),
        ({"sample_count": True}, "sample_count"),
        ({"sample_count": "256"}, "sample_count"),
        ({"repeats": 0}, "repeats"),
        ({"probes": "yes"}, "probes"),
        ({"threads": -1}, "threads"),
        ({"device": "tpu"}, "device"),
        ({"device": "cuda:-1"}, "device"),
        ({"precision": "fp8"}, "precision"),
        ({"weights": 7}, "weights"),
        ({"weights": ""}, "weights"),
        ({"weights": "a\0b"}, "weights"),
        ({"dataset": ""}, "dataset"),
        ({"server": {"load": 1.5}}, "server.load"),
        ({"server": {"arrival_rates": {"server-b8": -3.0}}}, "server.arrival_rates.server-b8"),
        ({"server": {"percentile": 1.0}}, "server.percentile"),
        ({"warm_up": {"minimum_s": 5.0, "maximum_s": 1.0}}, "maximum_s must not be below"),
        ({"warm_up": {"tolerance": float("nan")}}, "warm_up.tolerance"),
        ({"seeds": {"qsl": -1}}, "seeds.qsl"),
        ({"model": "resnet18"}, "model"),
        ({"colour": "red"}, "colour: is not a known field"),
    ],
)
def test_an_impossible_plan_is_refused_by_the_name_of_its_field(
    values: dict[str, Any], field: str
) -> None:
    assert field in plan_error(**values)


def test_one_sentence_names_all_wrong_fields() -> None:
    sentence = plan_error(sample_count=0, repeats=-1, colour="red", server={"load": 2})
    for field in ("sample_count", "repeats", "colour", "server.load"):
        assert sentence.count(field) == 1


def test_a_batch_larger_than_the_qsl_is_refused_with_both_numbers() -> None:
    sentence = plan_error(
        scenarios=[{"scenario": "Offline", "duration_s": 1, "batch_sizes": [64]}], sample_count=32
    )
    assert "batch size 64" in sentence
    assert "sample_count = 32" in sentence


@pytest.mark.parametrize(
    "scenarios", [[OFFLINE, OFFLINE], [{**OFFLINE, "batch_sizes": [8, 1, 8]}]], ids=["twice", "in"]
)
def test_a_measurement_that_stands_twice_is_refused(scenarios: list[Any]) -> None:
    assert "stands twice: offline-b" in plan_error(scenarios=scenarios)


def test_a_field_name_from_a_strangers_file_steers_no_terminal() -> None:
    sentence = plan_error(**{"\x1b[2J\nsecond line": 1, "x" * 1000: 1})
    assert "\\x1b[2J" in sentence
    assert "x" * 100 not in sentence


def test_the_rates_of_a_first_leg_can_be_given_by_measurement() -> None:
    server = {"scenario": "Server", "query_count": 100, "batch_sizes": [1, 8]}
    rates = {"server-b8": 12.5}
    plan = make_plan({"scenarios": [server], "server": {"arrival_rates": rates}}, "here")
    assert plan.server.arrival_rates == rates


@pytest.mark.parametrize("name", ["offline-b1", "server-b32", ""])
def test_a_rate_of_a_measurement_that_is_not_there_is_refused(name: str) -> None:
    assert f"names no Server measurement: {name}" in plan_error(
        server={"arrival_rates": {name: 12.5}}
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"profile = ", "is not valid TOML"),
        (b"just words", "is not valid TOML"),
        (b'profile = "\xff"', "it is not UTF-8 text"),
        (b"", "scenarios: is missing"),
        (b"a = " + b"[" * 50_000, "is nested too deeply"),
        (b"scenarios = 3", "scenarios: should be a valid"),
        (b'[[scenarios]]\nscenario = "Offline"\nduration_s = "3"', "scenarios.0.duration_s"),
        (b'repeats = 1979-05-27\n[[scenarios]]\nscenario = "Offline"\nduration_s = 3', "repeats"),
    ],
)
def test_a_file_that_is_no_profile_is_refused_by_name(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(PlanError) as caught:
        load_profile(str(path))
    assert str(path) in caught.value.sentence
    assert said in caught.value.sentence


@pytest.mark.parametrize("name", ["Reference", "no/such.toml", "a\0b", "."])
def test_a_profile_that_is_not_there_is_refused_with_the_names_of_those_that_are(name: str) -> None:
    with pytest.raises(PlanError) as caught:
        load_profile(name)
    assert all(shipped in caught.value.remedy for shipped in SHIPPED_PROFILES)


PROFILE_FRAGMENTS = st.sampled_from(
    ["[", "]", "=", '"', "scenarios", "Offline", "duration_s", "\n", "{", "}", ",", "1", "-", "nan"]
)


@given(st.lists(PROFILE_FRAGMENTS, max_size=30).map("".join) | st.text(max_size=50))
def test_any_text_is_a_plan_or_a_plan_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        plan = load_profile(str(path))
    except PlanError:
        return
    assert plan.measurements()


batch_sizes = st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True)
executions = st.lists(st.sampled_from(["auto", "eager", "jit"]), max_size=3, unique=True)
copies = st.lists(st.booleans(), min_size=1, max_size=2, unique=True)
sizes = st.floats(0.001, 86_400)


@st.composite
def scenario_plans(draw: st.DrawFn, scenario: Scenario) -> dict[str, Any]:
    values: dict[str, Any] = {
        "scenario": scenario,
        "batch_sizes": [1] if scenario is Scenario.SINGLE_STREAM else draw(batch_sizes),
        "executions": draw(executions),
        "host_to_device": draw(copies),
    }
    if scenario is Scenario.OFFLINE:
        values["duration_s"] = draw(sizes)
    else:
        values["query_count"] = draw(st.integers(1, 100_000))
    return values


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    chosen = draw(st.lists(st.sampled_from(list(Scenario)), min_size=1, max_size=4, unique=True))
    plan = make_plan(
        {
            "profile": draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=100)),
            "scenarios": [draw(scenario_plans(scenario)) for scenario in chosen],
            "repeats": draw(st.integers(1, 1000)),
            "sample_count": draw(st.integers(64, 2000)),
            "server": {
                "load": draw(st.floats(0.01, 0.99)),
            },
            "seeds": {"data": draw(st.integers(0, 2**63 - 1))},
        },
        "a generated plan",
    )
    servers = [m.name for m in plan.measurements() if m.scenario is Scenario.SERVER]
    given_rates = draw(st.lists(st.sampled_from(servers), unique=True)) if servers else []
    rates = {name: draw(st.floats(0.001, 1e7)) for name in given_rates}
    server = {**plan.server.model_dump(), "arrival_rates": rates}
    return make_plan({**plan.model_dump(), "server": server}, "a generated plan")


@given(plans())
def test_a_plan_survives_being_stored_as_json(plan: Plan) -> None:
    stored = plan.model_dump_json()
    assert Plan.model_validate_json(stored) == plan
    assert make_plan(json.loads(stored), "the stored plan") == plan
    assert make_plan(plan.model_dump(), "the plan's own values") == plan


@given(plans())
def test_measurement_names_are_unique_and_safe_as_folder_names(plan: Plan) -> None:
    names = [measurement.name for measurement in plan.measurements()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,99}", name) for name in names)


@given(plans())
def test_every_batch_size_path_and_copy_setting_is_measured_once(plan: Plan) -> None:
    expected = sum(
        len(part.batch_sizes) * max(1, len(part.executions)) * len(part.host_to_device)
        for part in plan.scenarios
    )
    assert len(plan.measurements()) == expected
