from typing import Any

import pytest

from benchmark.telemetry import (
    GpuIdentity,
    GpuSample,
    SourceFailure,
    remarks,
    void_reasons,
)
from tests.benchmark.telemetry.builders import (
    changed,
    gpu_samples,
    host_samples,
    recording,
    window,
)

HEALTHY = gpu_samples(150)
HEAT = ("hw_slowdown", "hw_thermal_slowdown")


def test_nothing_speaks_against_a_healthy_gpu() -> None:
    telemetry = recording(HEALTHY, host_samples(150, steal_percent=0.1))
    assert void_reasons(telemetry) == ()
    assert remarks(telemetry) == ()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"throttle_reasons": HEAT}, "the GPU was slowed by heat in 12 of 150 samples"),
        (
            {"throttle_reasons": ("sw_thermal_slowdown",)},
            "the GPU was slowed by heat in 12 of 150 samples",
        ),
        (
            {"throttle_reasons": ("hw_power_brake_slowdown", "hw_slowdown")},
            "the GPU was slowed by the power brake of the machine in 12 of 150 samples",
        ),
        (
            {"throttle_reasons": ("hw_slowdown",)},
            "the GPU's hardware cut its clocks for a reason the driver does not name"
            " in 12 of 150 samples",
        ),
        (
            {"foreign_processes": (4711,)},
            "a foreign process (pid 4711) was on the GPU in 12 of 150 samples",
        ),
        (
            {"foreign_processes": (12, 4711)},
            "2 foreign processes (pids 12, 4711) were on the GPU in 12 of 150 samples",
        ),
    ],
)
def test_a_state_inside_the_window_voids_with_its_number(
    values: dict[str, Any], reason: str
) -> None:
    telemetry = recording(changed(HEALTHY, range(40, 52), **values))
    assert void_reasons(telemetry) == (reason,)
    assert void_reasons(telemetry, window(0.0, 7.0)) == ()
    assert void_reasons(telemetry, window(10.3, 30.0)) == ()


def test_one_hot_sample_is_enough() -> None:
    telemetry = recording(changed(HEALTHY, [70], throttle_reasons=("sw_thermal_slowdown",)))
    assert void_reasons(telemetry) == ("the GPU was slowed by heat in 1 of 150 samples",)


def test_a_hardware_slowdown_for_a_moment_is_a_remark() -> None:
    telemetry = recording(changed(HEALTHY, [10, 70], throttle_reasons=("hw_slowdown",)))
    assert void_reasons(telemetry) == ()
    assert remarks(telemetry) == (
        "the GPU's hardware cut its clocks for a moment in 2 of 150 samples",
    )


def test_a_power_cap_is_a_remark() -> None:
    telemetry = recording(changed(HEALTHY, range(30), throttle_reasons=("sw_power_cap",)))
    assert void_reasons(telemetry) == ()
    assert remarks(telemetry) == (
        "the power limit held the GPU's clocks down in 30 of 150 samples",
    )


def test_an_ecc_error_between_two_samples_at_the_end_is_not_missed() -> None:
    telemetry = recording(changed(HEALTHY, range(101, 150), ecc_uncorrected=2))
    reason = "the GPU's count of uncorrected ECC errors grew by 2"
    assert void_reasons(telemetry, window(5.0, 20.1)) == (reason,)
    assert void_reasons(telemetry, window(5.0, 19.9)) == ()
    assert void_reasons(telemetry, window(20.3, 25.0)) == ()


def test_old_ecc_errors_do_not_void() -> None:
    assert void_reasons(recording(gpu_samples(10, ecc_uncorrected=7))) == ()


def test_an_xid_error_voids_the_window_it_fell_into() -> None:
    telemetry = recording(changed(HEALTHY, [100], xid_errors=(31, 43)))
    reason = "the driver reported 2 Xid errors (31, 43)"
    assert void_reasons(telemetry, window(5.0, 20.0)) == (reason,)
    # Reported by the first sample after the window, it may have happened inside.
    assert void_reasons(telemetry, window(5.0, 19.9)) == (reason,)
    # Reported by the last sample before the window, it did not.
    assert void_reasons(telemetry, window(20.1, 25.0)) == ()


def test_one_xid_error_is_said_in_the_singular() -> None:
    telemetry = recording(changed(HEALTHY, [100], xid_errors=(79,)))
    assert void_reasons(telemetry) == ("the driver reported 1 Xid error (79)",)


def test_a_lost_gpu_voids() -> None:
    lost = [GpuSample(time_s=2.0, lost=True), GpuSample(time_s=2.2, lost=True)]
    telemetry = recording([*gpu_samples(10), *lost])
    assert void_reasons(telemetry) == ("the GPU was lost, 2.0 s into the recording",)
    assert void_reasons(telemetry, window(0.0, 1.9)) != ()
    assert void_reasons(telemetry, window(0.0, 1.7)) == ()


def test_heat_of_the_cpu_voids_a_cpu_measurement_and_is_a_remark_to_a_gpu_one() -> None:
    host = [
        *host_samples(5, thermal_throttle_count=100),
        *(
            sample.model_copy(update={"time_s": sample.time_s + 1.0})
            for sample in host_samples(5, thermal_throttle_count=103)
        ),
    ]
    on_cpu = recording(host=host, gpu_watched=False)
    assert void_reasons(on_cpu) == ("the CPU was slowed by heat 3 times",)
    assert void_reasons(on_cpu, window(1.1, 1.8)) == ()
    on_gpu = recording(gpu_samples(10), host)
    assert void_reasons(on_gpu) == ()
    assert remarks(on_gpu) == ("the CPU was slowed by heat 3 times",)


def test_stolen_time_is_a_remark_above_five_percent() -> None:
    assert remarks(recording(HEALTHY, host_samples(5, steal_percent=5.0))) == ()
    assert remarks(recording(HEALTHY, host_samples(5, steal_percent=7.25))) == (
        "the hypervisor gave 7.2 % of the allowed CPUs' time to others",
    )


def test_a_clock_that_had_not_settled_is_a_remark() -> None:
    telemetry = recording(changed(HEALTHY, range(20), sm_clock_mhz=1200))
    assert remarks(telemetry) == ("the GPU's clock had not settled: 1200 to 1590 MHz (SM)",)
    assert remarks(telemetry, window(4.0, 30.0)) == ()


def test_persistence_mode_off_is_a_remark() -> None:
    off, unknown = GpuIdentity(persistence_mode=False), GpuIdentity()
    assert remarks(recording(HEALTHY, identity=off)) == ("persistence mode is off",)
    assert remarks(recording(HEALTHY, identity=unknown)) == ()


def test_a_container_that_hides_other_processes_is_a_remark() -> None:
    identity = GpuIdentity(sees_every_process=False)
    assert remarks(recording(HEALTHY, identity=identity)) == (
        "on the GPU only this container's own processes may have been visible",
    )


def test_a_slow_pcie_link_is_a_remark_by_what_it_reached_under_load() -> None:
    identity = GpuIdentity(pcie_generation_maximum=3, pcie_width_maximum=16)
    samples = changed(gpu_samples(10, pcie_generation=3, pcie_width=8), [0], pcie_generation=1)
    assert remarks(recording(samples, identity=identity)) == (
        "the PCIe link reached width 8 of a possible 16",
    )


def test_heat_that_only_the_drivers_counter_saw_is_a_remark() -> None:
    samples = changed(
        gpu_samples(10, thermal_violation_nanoseconds=0),
        range(5, 10),
        thermal_violation_nanoseconds=40_000_000,
    )
    assert void_reasons(recording(samples)) == ()
    assert remarks(recording(samples)) == (
        "the driver counted 0.040 s of heat limitation, though no sample shows any",
    )


def test_processes_that_cannot_be_told_apart_do_not_void_but_are_said() -> None:
    unknown: dict[str, Any] = {"foreign_processes": None, "unidentified_processes": 1}
    steady = recording(gpu_samples(10, **unknown))
    said = "whether other processes used the GPU cannot be told from here in 10 of 10 samples"
    assert void_reasons(steady) == ()
    assert remarks(steady) == (said,)
    joined = recording(changed(gpu_samples(10, **unknown), range(5, 10), process_count=2))
    assert void_reasons(joined) == ()
    assert remarks(joined) == (
        said,
        "the number of processes on the GPU changed between 1 and 2",
    )


def test_what_could_not_be_checked_is_said() -> None:
    samples = gpu_samples(10, throttle_reasons=None, xid_errors=None)
    assert remarks(recording(samples)) == (
        "the driver does not say why clocks change, so heat could not be ruled out",
        "Xid errors could not be watched here",
    )


def test_a_window_without_samples_is_said() -> None:
    telemetry = recording(HEALTHY, host_samples(150))
    said = "no telemetry sample fell into the measuring window"
    assert remarks(telemetry, window(5.05, 5.15)) == (said,)
    assert remarks(recording(gpu_watched=False)) == (said,)


def test_a_gap_and_failures_and_thinning_are_said() -> None:
    later = [sample.model_copy(update={"time_s": sample.time_s + 5}) for sample in HEALTHY]
    gap = recording([*gpu_samples(10), *later])
    assert remarks(gap) == ("telemetry has a gap of 3.2 s",)
    failure = SourceFailure(source="gpu", first_time_s=1.0, count=2, message="gone")
    failed = recording(HEALTHY, failures=(failure,), dropped_samples=7)
    assert remarks(failed) == (
        "7 telemetry samples were thinned out",
        "telemetry: gpu failed 2 times: gone",
    )
