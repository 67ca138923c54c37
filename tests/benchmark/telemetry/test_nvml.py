import os
from pathlib import Path

import pynvml
import pytest

from benchmark.telemetry import GpuFailed, GpuIdentity, GpuSample, NvmlSource, NvmlUnavailable
from tests.benchmark.telemetry.fake_nvml import FakeGpu, FakeInstance, FakeNvml
from tests.benchmark.telemetry.machines import CONTAINER, FIRST_NAMESPACE, place, process

OWN = 500
NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED


@pytest.fixture
def gpu() -> FakeGpu:
    return FakeGpu()


@pytest.fixture
def nvml(gpu: FakeGpu) -> FakeNvml:
    return FakeNvml(gpu)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    process(tmp_path, OWN)
    return place(tmp_path, FIRST_NAMESPACE)


@pytest.fixture
def source(nvml: FakeNvml, machine: Path) -> NvmlSource:
    return NvmlSource.open(nvml=nvml, environment={}, root=machine)


def everything_refused(code: int) -> dict[str, int]:
    kept = {"nvmlInit", "nvmlShutdown", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"}
    return {name: code for name in vars(FakeNvml) if name.startswith("nvml") and name not in kept}


def test_identity_says_what_the_gpu_is_and_how_it_is_set(source: NvmlSource) -> None:
    assert source.identity() == GpuIdentity(
        index=0,
        name="Tesla T4",
        uuid="GPU-8932f937-d72c-4106-c12f-20bd9faed9f6",
        pci_bus_id="00000000:00:04.0",
        compute_capability="7.5",
        vbios_version="90.04.38.00.03",
        driver_version="535.183.01",
        cuda_driver_version="12.2",
        ecc_mode=True,
        mig_mode=None,
        persistence_mode=True,
        compute_mode="EXCLUSIVE_PROCESS",
        enforced_power_limit_watts=70.0,
        default_power_limit_watts=70.0,
        application_graphics_clock_mhz=1590,
        application_memory_clock_mhz=5001,
        default_application_graphics_clock_mhz=585,
        default_application_memory_clock_mhz=5001,
        maximum_graphics_clock_mhz=1590,
        maximum_sm_clock_mhz=1590,
        maximum_memory_clock_mhz=5001,
        pcie_generation=3,
        pcie_generation_maximum=3,
        pcie_width=8,
        pcie_width_maximum=16,
        total_memory_bytes=16_106_127_360,
        virtualization_mode="PASSTHROUGH",
        sees_every_process=True,
    )


@pytest.mark.parametrize(
    ("number", "name"), [(0, "NONE"), (1, "PASSTHROUGH"), (2, "VGPU"), (3, "HOST_VGPU"), (77, None)]
)
def test_identity_names_the_virtualization_mode(
    source: NvmlSource, gpu: FakeGpu, number: int, name: str | None
) -> None:
    gpu.virtualization = number
    assert source.identity().virtualization_mode == name


def test_names_are_read_from_bindings_that_return_bytes(source: NvmlSource, gpu: FakeGpu) -> None:
    gpu.name = b"Tesla T4"
    assert source.identity().name == "Tesla T4"


def test_a_sample_has_the_units_of_its_field_names(source: NvmlSource, gpu: FakeGpu) -> None:
    gpu.compute_pids = [OWN]
    assert source.sample([OWN], 1.5) == GpuSample(
        time_s=1.5,
        sm_clock_mhz=1590,
        memory_clock_mhz=5000,
        power_watts=68.5,
        temperature_celsius=61,
        utilization_percent=97,
        memory_used_bytes=2_000_000_000,
        energy_millijoules=1_000_000,
        throttle_reasons=(),
        thermal_violation_nanoseconds=0,
        process_count=1,
        foreign_processes=(),
        unidentified_processes=0,
        pcie_generation=3,
        pcie_width=8,
        pcie_replays=0,
        ecc_uncorrected=0,
        xid_errors=(),
    )


@pytest.mark.parametrize(
    "code",
    [
        NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_VGPU_ECC_NOT_SUPPORTED,
    ],
)
def test_what_the_driver_does_not_give_is_null_and_never_zero(
    nvml: FakeNvml, gpu: FakeGpu, machine: Path, code: int
) -> None:
    gpu.refused = everything_refused(code)
    with NvmlSource.open(nvml=nvml, environment={}, root=machine) as source:
        assert source.sample([OWN], 1.0) == GpuSample(time_s=1.0)
        assert source.identity() == GpuIdentity(sees_every_process=True)


def test_a_missing_permission_for_one_value_leaves_the_others(
    source: NvmlSource, gpu: FakeGpu
) -> None:
    gpu.refused = {"nvmlDeviceGetComputeRunningProcesses": pynvml.NVML_ERROR_NO_PERMISSION}
    gpu.refused["nvmlDeviceGetComputeRunningProcesses_v2"] = pynvml.NVML_ERROR_NO_PERMISSION
    sample = source.sample([OWN])
    assert (sample.foreign_processes, sample.process_count) == (None, None)
    assert sample.sm_clock_mhz == 1590


def test_one_value_that_fails_for_an_unknown_reason_leaves_the_others(
    source: NvmlSource, gpu: FakeGpu
) -> None:
    gpu.refused = {"nvmlDeviceGetPowerUsage": pynvml.NVML_ERROR_UNKNOWN}
    sample = source.sample([OWN])
    assert (sample.power_watts, sample.temperature_celsius) == (None, 61)


@pytest.mark.parametrize("number", [2**32 - 1, 2**64 - 1])
def test_nvmls_number_for_not_available_is_null(
    source: NvmlSource, gpu: FakeGpu, number: int
) -> None:
    gpu.memory_used = gpu.replays = number
    sample = source.sample([OWN])
    assert (sample.memory_used_bytes, sample.pcie_replays) == (None, None)


def test_throttle_reasons_are_named_and_an_unknown_one_keeps_its_number(
    source: NvmlSource, gpu: FakeGpu
) -> None:
    gpu.reasons = (
        pynvml.nvmlClocksEventReasonHwSlowdown
        | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown
        | pynvml.nvmlClocksEventReasonSwPowerCap
        | 0x4000_0000
    )
    assert source.sample([OWN]).throttle_reasons == (
        "0x40000000",
        "hw_slowdown",
        "hw_thermal_slowdown",
        "sw_power_cap",
    )


@pytest.mark.parametrize(
    "name",
    [
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetComputeRunningProcesses",
    ],
)
def test_an_older_driver_or_binding_is_asked_by_the_older_name(
    nvml: FakeNvml, gpu: FakeGpu, machine: Path, name: str
) -> None:
    with NvmlSource.open(nvml=nvml, environment={}, root=machine) as source:
        expected = source.sample([OWN])
        gpu.refused = {name: pynvml.NVML_ERROR_FUNCTION_NOT_FOUND}
        assert source.sample([OWN]) == expected
        gpu.refused = {}
        nvml.missing = {name}
        assert source.sample([OWN]) == expected


def test_a_binding_that_does_not_match_the_driver_is_asked_for_the_version_it_has(
    source: NvmlSource, nvml: FakeNvml
) -> None:
    nvml.mismatched = {
        "nvmlDeviceGetComputeRunningProcesses",
        "nvmlDeviceGetGraphicsRunningProcesses",
    }
    assert source.sample([OWN]).foreign_processes == ()
    nvml.mismatched.add("nvmlDeviceGetComputeRunningProcesses_v2")
    assert source.sample([OWN]).foreign_processes is None


def test_foreign_processes_are_found_among_compute_and_graphics(
    source: NvmlSource, gpu: FakeGpu, machine: Path
) -> None:
    process(machine, 700)
    process(machine, 800)
    gpu.compute_pids, gpu.graphics_pids = [OWN, 700], [800, OWN]
    sample = source.sample([OWN])
    assert sample.foreign_processes == (700, 800)
    assert sample.process_count == 3


def test_host_numbers_seen_from_a_container_are_no_foreign_process(
    nvml: FakeNvml, gpu: FakeGpu, tmp_path: Path
) -> None:
    process(tmp_path, 7)
    gpu.compute_pids = [645_400]
    with NvmlSource.open(nvml=nvml, environment={}, root=place(tmp_path, CONTAINER)) as source:
        sample = source.sample([7])
        assert source.identity().sees_every_process is False
    assert sample.foreign_processes is None
    assert (sample.process_count, sample.unidentified_processes) == (1, 1)


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED])
def test_a_lost_gpu_says_so_and_is_not_asked_again(
    source: NvmlSource, nvml: FakeNvml, gpu: FakeGpu, code: int
) -> None:
    gpu.refused = {"nvmlDeviceGetPowerUsage": code}
    gpu.xids.append(62)
    gpu.xids_at_refusal.append(79)
    assert source.sample([OWN], 2.0) == GpuSample(time_s=2.0, lost=True, xid_errors=(62, 79))
    asked = len(nvml.calls)
    assert source.sample([OWN], 2.2) == GpuSample(time_s=2.2, lost=True)
    assert source.identity() == GpuIdentity()
    assert len(nvml.calls) == asked


def test_a_driver_that_goes_away_is_an_error_and_may_come_back(
    source: NvmlSource, nvml: FakeNvml
) -> None:
    nvml.gone = pynvml.NVML_ERROR_UNINITIALIZED
    with pytest.raises(GpuFailed, match="stopped answering") as raised:
        source.sample([OWN])
    assert raised.value.remedy
    nvml.gone = None
    assert source.sample([OWN]).sm_clock_mhz == 1590


@pytest.mark.parametrize(
    "code",
    [
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    ],
)
def test_no_usable_driver_is_one_clear_error(nvml: FakeNvml, code: int) -> None:
    nvml.init_error = code
    with pytest.raises(NvmlUnavailable, match="NVML cannot be used") as raised:
        NvmlSource.open(nvml=nvml, environment={})
    assert "nvidia-smi" in raised.value.remedy


def test_xid_errors_are_reported_once_with_the_next_sample(
    source: NvmlSource, gpu: FakeGpu
) -> None:
    gpu.xids.extend([31, 43])
    assert source.sample([OWN]).xid_errors == (31, 43)
    assert source.sample([OWN]).xid_errors == ()


def test_a_storm_of_xid_errors_does_not_hold_the_sampler(source: NvmlSource, gpu: FakeGpu) -> None:
    gpu.xids.extend([13] * 1000)
    first = source.sample([OWN]).xid_errors
    assert first is not None
    assert 0 < len(first) < 50
    assert source.sample([OWN]).xid_errors == first


def test_waiting_for_events_neither_blocks_nor_uses_the_ambiguous_zero(
    source: NvmlSource, nvml: FakeNvml
) -> None:
    source.sample([OWN])
    assert nvml.waits
    assert all(0 < milliseconds <= 5 for milliseconds in nvml.waits)


@pytest.mark.parametrize(
    "function",
    ["nvmlDeviceGetSupportedEventTypes", "nvmlEventSetCreate", "nvmlDeviceRegisterEvents"],
)
def test_where_events_are_not_supported_xid_errors_are_null(
    nvml: FakeNvml, gpu: FakeGpu, machine: Path, function: str
) -> None:
    gpu.refused = {function: NOT_SUPPORTED}
    with NvmlSource.open(nvml=nvml, environment={}, root=machine) as source:
        assert source.sample([OWN]).xid_errors is None
    assert nvml.event_sets == 0


def test_closing_gives_everything_back_once(source: NvmlSource, nvml: FakeNvml) -> None:
    assert (nvml.initialised, nvml.event_sets) == (1, 1)
    source.close()
    source.close()
    assert (nvml.initialised, nvml.event_sets) == (0, 0)


def test_closing_after_the_driver_went_away_is_quiet(source: NvmlSource, nvml: FakeNvml) -> None:
    nvml.gone = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    source.close()


def test_on_a_mig_instance_memory_and_processes_are_the_instances(
    nvml: FakeNvml, gpu: FakeGpu, machine: Path
) -> None:
    instance = FakeInstance(gpu, compute_pids=[OWN])
    gpu.instances, gpu.compute_pids = [instance], [OWN, 9999]
    gpu.refused = {"nvmlDeviceGetUtilizationRates": NOT_SUPPORTED}
    with NvmlSource.open(instance.uuid, nvml=nvml, environment={}, root=machine) as source:
        sample, identity = source.sample([OWN]), source.identity()
    assert (sample.memory_used_bytes, sample.process_count) == (1_000, 1)
    assert (sample.utilization_percent, sample.sm_clock_mhz) == (None, 1590)
    assert (identity.uuid, identity.mig_uuid) == (gpu.uuid, instance.uuid)
    assert (identity.mig_mode, identity.total_memory_bytes) == (True, 5_000)


def test_this_process_is_ours_on_this_machine(nvml: FakeNvml, gpu: FakeGpu) -> None:
    gpu.compute_pids = [os.getpid()]
    with NvmlSource.open(nvml=nvml, environment={}) as source:
        assert source.sample([os.getpid()]).foreign_processes == ()
        assert source.sample([os.getppid()]).foreign_processes == ()
