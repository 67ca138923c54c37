import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmark.telemetry import GpuSample, Statistics, TelemetrySummary, Window, summarize
from tests.benchmark.telemetry.builders import gpu_samples, host_samples, recording, window

finite = st.floats(min_value=-1e12, max_value=1e12)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), finite), max_size=40))
def test_statistics_describe_the_values_that_were_there(values: list[float | None]) -> None:
    samples = [
        GpuSample(time_s=float(index), power_watts=value) for index, value in enumerate(values)
    ]
    summary = summarize(recording(samples))
    known = [value for value in values if value is not None]
    if not known:
        assert summary.power_watts is None
        assert "power_watts" in summary.unavailable
        return
    assert summary.power_watts is not None
    mean = summary.power_watts.mean
    assert mean == pytest.approx(statistics.fmean(known), rel=1e-9, abs=1e-3)
    assert min(known) <= mean <= max(known)
    assert summary.power_watts == Statistics(
        count=len(known),
        minimum=min(known),
        median=statistics.median(known),
        mean=mean,
        maximum=max(known),
        last=known[-1],
    )
    assert "power_watts" not in summary.unavailable


@settings(deadline=None)
@given(
    st.lists(finite, min_size=1, max_size=30),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_only_samples_inside_the_window_count(values: list[float], one: int, other: int) -> None:
    start, end = sorted((one, other))
    samples = [
        GpuSample(time_s=float(index), power_watts=value) for index, value in enumerate(values)
    ]
    summary = summarize(recording(samples), window(start, end))
    inside = values[start : end + 1]
    assert summary.gpu_sample_count == len(inside)
    assert summary.duration_s == pytest.approx(end - start)
    if inside:
        assert summary.power_watts is not None
        assert summary.power_watts.count == len(inside)
        assert summary.power_watts.last == inside[-1]
    else:
        assert summary.power_watts is None


def test_an_empty_recording_has_an_empty_summary() -> None:
    summary = recording().summary()
    assert summary.gpu_sample_count == summary.host_sample_count == 0
    assert summary.duration_s == 0
    assert summary.energy_joules is None


def test_energy_is_interpolated_to_the_ends_of_the_window() -> None:
    # 100 W, sampled once a second: 100,000 mJ from one sample to the next.
    samples = [
        GpuSample(time_s=float(second), energy_millijoules=5_000_000 + 100_000 * second)
        for second in range(11)
    ]
    telemetry = recording(samples)
    assert telemetry.summary().energy_joules == pytest.approx(1000)
    assert telemetry.summary(window(2.5, 4.25)).energy_joules == pytest.approx(175)


def test_energy_of_a_window_that_was_hardly_sampled_is_unknown() -> None:
    samples = [GpuSample(time_s=second, energy_millijoules=1) for second in (0.0, 1.0, 2.0)]
    assert recording(samples).summary(window(0, 30)).energy_joules is None


def test_energy_over_a_restart_of_the_driver_is_unknown() -> None:
    counter = (900, 1000, 50, 150)
    samples = [
        GpuSample(time_s=float(second), energy_millijoules=value)
        for second, value in enumerate(counter)
    ]
    assert recording(samples).summary().energy_joules is None


def test_counters_are_taken_between_the_samples_that_enclose_the_window() -> None:
    errors = (0, 1, 1, 1, 4, 9)
    samples = [
        GpuSample(time_s=float(second), ecc_uncorrected=value)
        for second, value in enumerate(errors)
    ]
    telemetry = recording(samples)
    assert telemetry.summary(window(1.2, 2.8)).ecc_uncorrected == 0
    assert telemetry.summary(window(2.2, 3.5)).ecc_uncorrected == 3
    assert telemetry.summary().ecc_uncorrected == 9


def test_a_counter_that_was_restarted_counts_on_from_zero() -> None:
    samples = [
        GpuSample(time_s=float(second), pcie_replays=value)
        for second, value in enumerate((5, 7, 2, 3))
    ]
    assert recording(samples).summary().pcie_replays == 5


def test_reasons_are_counted_by_sample() -> None:
    samples = gpu_samples(3, throttle_reasons=("sw_power_cap",))
    samples += gpu_samples(2, throttle_reasons=("gpu_idle", "sw_power_cap"))
    assert recording(samples).summary().throttle_reason_samples == {
        "gpu_idle": 2,
        "sw_power_cap": 5,
    }


def test_quantities_of_a_gpu_that_nobody_watched_are_not_called_unavailable() -> None:
    host = host_samples(3, load_1m=0.5)
    watched = recording(host=host).summary().unavailable
    unwatched = recording(host=host, gpu_watched=False).summary().unavailable
    assert "power_watts" in watched
    assert "power_watts" not in unwatched
    assert "steal_percent" in unwatched
    assert "load_1m" not in unwatched


def test_a_summary_survives_json() -> None:
    summary = recording(gpu_samples(5), host_samples(5, steal_percent=1.5)).summary()
    assert TelemetrySummary.model_validate_json(summary.model_dump_json()) == summary


def test_a_window_cannot_end_before_it_starts() -> None:
    with pytest.raises(ValidationError, match="before it starts"):
        Window(start_s=2.0, end_s=1.0)


def test_records_are_frozen_and_refuse_what_they_do_not_know() -> None:
    sample = gpu_samples(1)[0]
    with pytest.raises(ValidationError, match="frozen"):
        sample.__setattr__("sm_clock_mhz", 1)
    with pytest.raises(ValidationError, match="extra"):
        GpuSample.model_validate({"time_s": 0, "sm_clock": 1})
