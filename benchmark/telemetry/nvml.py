"""The GPU, as NVML tells it: what it is, and what it is doing now."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from benchmark.telemetry.errors import GpuFailed
from benchmark.telemetry.model import (
    ComputeMode,
    GpuIdentity,
    GpuSample,
    VirtualizationMode,
)
from benchmark.telemetry.nvml_library import (
    CallFailed,
    GpuLost,
    NotGiven,
    NvmlLibrary,
    Pass,
    as_integer,
    as_text,
)
from benchmark.telemetry.processes import ProcessBook, ProcessView
from benchmark.telemetry.selection import Selection, select

_Name = TypeVar("_Name")

_VIRTUALIZATION_MODES: dict[str, VirtualizationMode] = {
    "NVML_GPU_VIRTUALIZATION_MODE_NONE": "NONE",
    "NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH": "PASSTHROUGH",
    "NVML_GPU_VIRTUALIZATION_MODE_VGPU": "VGPU",
    "NVML_GPU_VIRTUALIZATION_MODE_HOST_VGPU": "HOST_VGPU",
    "NVML_GPU_VIRTUALIZATION_MODE_HOST_VSGA": "HOST_VSGA",
}
_COMPUTE_MODES: dict[str, ComputeMode] = {
    "NVML_COMPUTEMODE_DEFAULT": "DEFAULT",
    "NVML_COMPUTEMODE_EXCLUSIVE_THREAD": "EXCLUSIVE_THREAD",
    "NVML_COMPUTEMODE_PROHIBITED": "PROHIBITED",
    "NVML_COMPUTEMODE_EXCLUSIVE_PROCESS": "EXCLUSIVE_PROCESS",
}
# The older names: the binding keeps them beside the newer "EventReason" ones, which lack some.
_THROTTLE_REASONS = {
    "nvmlClocksThrottleReasonGpuIdle": "gpu_idle",
    "nvmlClocksThrottleReasonApplicationsClocksSetting": "applications_clocks_setting",
    "nvmlClocksThrottleReasonSwPowerCap": "sw_power_cap",
    "nvmlClocksThrottleReasonHwSlowdown": "hw_slowdown",
    "nvmlClocksThrottleReasonSyncBoost": "sync_boost",
    "nvmlClocksThrottleReasonSwThermalSlowdown": "sw_thermal_slowdown",
    "nvmlClocksThrottleReasonHwThermalSlowdown": "hw_thermal_slowdown",
    "nvmlClocksThrottleReasonHwPowerBrakeSlowdown": "hw_power_brake_slowdown",
    "nvmlClocksThrottleReasonDisplayClockSetting": "display_clock_setting",
    "nvmlClocksThrottleReasonBoardLimit": "board_limit",
    "nvmlClocksThrottleReasonReliability": "reliability",
}
_COMPUTE_PROCESSES = (
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetComputeRunningProcesses_v2",
)
_GRAPHICS_PROCESSES = (
    "nvmlDeviceGetGraphicsRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses_v2",
)
# A storm of errors must not hold the sampler; what is left comes with the next sample.
_EVENTS_A_SAMPLE = 16
# NVML's documents do not agree on whether 0 means "at once" or "for ever"; 1 ms is neither.
_EVENT_WAIT_MILLISECONDS = 1


class NvmlSource:
    """One GPU, opened for sampling. Not safe for use by two threads at a time.

    On a MIG instance, memory and processes are the instance's; clocks, power, temperature, energy
    and errors are the whole GPU's, because NVML gives them for nothing smaller.
    """

    def __init__(self, library: NvmlLibrary, selection: Selection, processes: ProcessBook) -> None:
        """Prefer ``NvmlSource.open``, which finds the GPU and undoes itself when that fails."""
        self._library = library
        self._device = selection.device
        self._instance = selection.device if selection.instance is None else selection.instance
        self._whole = selection.instance is None
        self._processes = processes
        self._reasons = tuple(
            (bit, reason)
            for name, reason in _THROTTLE_REASONS.items()
            if (bit := library.optional_constant(name)) is not None
        )
        self._lost = False
        self._closed = False
        self._events = self._watch_events()

    @classmethod
    def open(
        cls,
        device: int | str = 0,
        *,
        nvml: Any = None,
        environment: Mapping[str, str] | None = None,
        root: Path = Path("/"),
    ) -> "NvmlSource":
        """Open a GPU by CUDA ordinal, UUID, UUID prefix or MIG name.

        An ordinal counts what ``CUDA_VISIBLE_DEVICES`` in ``environment`` (default: ours) shows; a
        name is taken as it is. ``nvml`` stands in for the binding, ``root`` for the directory of
        ``/proc``. Raises NvmlUnavailable or GpuNotFound.
        """
        library = NvmlLibrary(nvml)
        library.start()
        try:
            selection = select(library, device, os.environ if environment is None else environment)
            return cls(library, selection, ProcessBook(root))
        except BaseException:
            library.stop()
            raise

    def identity(self) -> GpuIdentity:
        """What the GPU is and how it is set; all ``None`` when it is lost."""
        if self._lost:
            return GpuIdentity()
        try:
            return self._ask_identity()
        except GpuLost:
            self._lost = True
            return GpuIdentity()

    def sample(self, own_pids: Iterable[int], time_s: float = 0.0) -> GpuSample:
        """Read the GPU now. ``own_pids`` are the processes that are ours, with all their
        descendants.

        Raises GpuFailed when the driver answers nothing any more. A lost GPU is no error but a
        sample that says so, and is not asked again: questions to it may hang.
        """
        if self._lost:
            return GpuSample(time_s=time_s, lost=True)
        xid_errors = self._take_xid_errors()
        ask = Pass(self._library)
        try:
            sample = self._ask_sample(ask, own_pids, time_s, xid_errors)
        except GpuLost:
            self._lost = True
            # What the driver said on the way down (Xid 79, most often) belongs to this sample.
            xid_errors = _joined(xid_errors, self._take_xid_errors())
            return GpuSample(time_s=time_s, lost=True, xid_errors=xid_errors)
        if ask.failures and not ask.answers:
            raise GpuFailed(
                f"The NVIDIA driver stopped answering: {ask.failures[0]}",
                "dmesg on the machine with the GPU says why.",
            )
        return sample

    def close(self) -> None:
        """Let NVML go. May be called twice, and after the GPU was lost."""
        if self._closed:
            return
        self._closed = True
        if self._events is not None:
            Pass(self._library).value(("nvmlEventSetFree", self._events))
            self._events = None
        self._library.stop()

    def __enter__(self) -> "NvmlSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask_sample(
        self,
        ask: Pass,
        own_pids: Iterable[int],
        time_s: float,
        xid_errors: tuple[int, ...] | None,
    ) -> GpuSample:
        constant = self._library.constant
        device = self._device
        utilization = ask.value(("nvmlDeviceGetUtilizationRates", device))
        memory = ask.value(("nvmlDeviceGetMemoryInfo", self._instance))
        violation = ask.value(
            ("nvmlDeviceGetViolationStatus", device, constant("NVML_PERF_POLICY_THERMAL"))
        )
        processes = self._ask_processes(ask, own_pids)
        return GpuSample(
            time_s=time_s,
            sm_clock_mhz=ask.integer(("nvmlDeviceGetClockInfo", device, constant("NVML_CLOCK_SM"))),
            memory_clock_mhz=ask.integer(
                ("nvmlDeviceGetClockInfo", device, constant("NVML_CLOCK_MEM"))
            ),
            power_watts=ask.thousandths(("nvmlDeviceGetPowerUsage", device)),
            temperature_celsius=self._ask_temperature(ask),
            utilization_percent=as_integer(getattr(utilization, "gpu", None)),
            memory_used_bytes=as_integer(getattr(memory, "used", None)),
            energy_millijoules=ask.integer(("nvmlDeviceGetTotalEnergyConsumption", device)),
            throttle_reasons=self._ask_throttle_reasons(ask),
            thermal_violation_nanoseconds=as_integer(getattr(violation, "violationTime", None)),
            process_count=None if processes is None else processes.listed,
            foreign_processes=None if processes is None else processes.foreign,
            unidentified_processes=None if processes is None else processes.unidentified,
            pcie_generation=ask.integer(("nvmlDeviceGetCurrPcieLinkGeneration", device)),
            pcie_width=ask.integer(("nvmlDeviceGetCurrPcieLinkWidth", device)),
            pcie_replays=ask.integer(("nvmlDeviceGetPcieReplayCounter", device)),
            ecc_uncorrected=ask.integer(
                (
                    "nvmlDeviceGetTotalEccErrors",
                    device,
                    constant("NVML_MEMORY_ERROR_TYPE_UNCORRECTED"),
                    constant("NVML_VOLATILE_ECC"),
                )
            ),
            xid_errors=xid_errors,
        )

    def _ask_temperature(self, ask: Pass) -> int | None:
        sensor = self._library.constant("NVML_TEMPERATURE_GPU")
        return ask.integer(
            ("nvmlDeviceGetTemperatureV", self._device, sensor),
            ("nvmlDeviceGetTemperature", self._device, sensor),
        )

    def _ask_throttle_reasons(self, ask: Pass) -> tuple[str, ...] | None:
        mask = ask.integer(
            ("nvmlDeviceGetCurrentClocksEventReasons", self._device),
            ("nvmlDeviceGetCurrentClocksThrottleReasons", self._device),
        )
        if mask is None:
            return None
        known = [(bit, reason) for bit, reason in self._reasons if mask & bit]
        rest = mask & ~sum(bit for bit, _ in known)
        # A reason newer than this table is kept by its number rather than lost.
        unknown = [f"0x{rest:x}"] if rest else []
        return tuple(sorted([reason for _, reason in known] + unknown))

    def _ask_processes(self, ask: Pass, own_pids: Iterable[int]) -> ProcessView | None:
        compute = ask.value(*((name, self._instance) for name in _COMPUTE_PROCESSES))
        graphics = ask.value(*((name, self._instance) for name in _GRAPHICS_PROCESSES))
        if compute is None:
            return None
        listed = {int(entry.pid) for entry in compute}
        listed.update(int(entry.pid) for entry in graphics or ())
        return self._processes.judge(listed, own_pids)

    def _watch_events(self) -> Any | None:
        """An event set that hears Xid errors from now on; ``None`` where NVML has none."""
        wanted = self._library.constant("nvmlEventTypeXidCriticalError")
        events = None
        try:
            if not self._library.call("nvmlDeviceGetSupportedEventTypes", self._device) & wanted:
                return None
            events = self._library.call("nvmlEventSetCreate")
            self._library.call("nvmlDeviceRegisterEvents", self._device, wanted, events)
        except (NotGiven, CallFailed, GpuLost):
            if events is not None:
                Pass(self._library).value(("nvmlEventSetFree", events))
            return None
        return events

    def _take_xid_errors(self) -> tuple[int, ...] | None:
        if self._events is None:
            return None
        wanted = self._library.constant("nvmlEventTypeXidCriticalError")
        errors = []
        for _ in range(_EVENTS_A_SAMPLE):
            try:
                event = self._library.call(
                    "nvmlEventSetWait", self._events, _EVENT_WAIT_MILLISECONDS
                )
            except (NotGiven, CallFailed, GpuLost):
                # The ordinary end is a timeout, which NVML counts as an error. A lost GPU is found
                # by the questions that follow.
                break
            if event.eventType == wanted:
                errors.append(int(event.eventData))
        return tuple(errors)

    def _ask_identity(self) -> GpuIdentity:
        ask = Pass(self._library)
        device, constant = self._device, self._library.constant
        graphics, memory = constant("NVML_CLOCK_GRAPHICS"), constant("NVML_CLOCK_MEM")

        def integer(name: str, *arguments: int) -> int | None:
            return ask.integer((name, device, *arguments))

        default_clock = "nvmlDeviceGetDefaultApplicationsClock"
        total = getattr(ask.value(("nvmlDeviceGetMemoryInfo", self._instance)), "total", None)
        capability = ask.value(("nvmlDeviceGetCudaComputeCapability", device))
        cuda = ask.integer(
            ("nvmlSystemGetCudaDriverVersion_v2",), ("nvmlSystemGetCudaDriverVersion",)
        )
        return GpuIdentity(
            index=integer("nvmlDeviceGetIndex"),
            name=ask.text(("nvmlDeviceGetName", device)),
            uuid=ask.text(("nvmlDeviceGetUUID", device)),
            mig_uuid=None if self._whole else ask.text(("nvmlDeviceGetUUID", self._instance)),
            pci_bus_id=as_text(getattr(ask.value(("nvmlDeviceGetPciInfo", device)), "busId", None)),
            compute_capability=None if capability is None else ".".join(map(str, capability)),
            vbios_version=ask.text(("nvmlDeviceGetVbiosVersion", device)),
            driver_version=ask.text(("nvmlSystemGetDriverVersion",)),
            cuda_driver_version=_cuda_version(cuda),
            ecc_mode=ask.flag(("nvmlDeviceGetEccMode", device)),
            mig_mode=ask.flag(("nvmlDeviceGetMigMode", device)),
            persistence_mode=ask.flag(("nvmlDeviceGetPersistenceMode", device)),
            compute_mode=self._named(ask, "nvmlDeviceGetComputeMode", _COMPUTE_MODES),
            enforced_power_limit_watts=ask.thousandths(("nvmlDeviceGetEnforcedPowerLimit", device)),
            default_power_limit_watts=ask.thousandths(
                ("nvmlDeviceGetPowerManagementDefaultLimit", device)
            ),
            application_graphics_clock_mhz=integer("nvmlDeviceGetApplicationsClock", graphics),
            application_memory_clock_mhz=integer("nvmlDeviceGetApplicationsClock", memory),
            default_application_graphics_clock_mhz=integer(default_clock, graphics),
            default_application_memory_clock_mhz=integer(default_clock, memory),
            maximum_graphics_clock_mhz=integer("nvmlDeviceGetMaxClockInfo", graphics),
            maximum_sm_clock_mhz=integer("nvmlDeviceGetMaxClockInfo", constant("NVML_CLOCK_SM")),
            maximum_memory_clock_mhz=integer("nvmlDeviceGetMaxClockInfo", memory),
            pcie_generation=integer("nvmlDeviceGetCurrPcieLinkGeneration"),
            pcie_generation_maximum=integer("nvmlDeviceGetMaxPcieLinkGeneration"),
            pcie_width=integer("nvmlDeviceGetCurrPcieLinkWidth"),
            pcie_width_maximum=integer("nvmlDeviceGetMaxPcieLinkWidth"),
            total_memory_bytes=as_integer(total),
            virtualization_mode=self._named(
                ask, "nvmlDeviceGetVirtualizationMode", _VIRTUALIZATION_MODES
            ),
            sees_every_process=self._processes.sees_every_process,
        )

    def _named(self, ask: Pass, question: str, names: Mapping[str, _Name]) -> _Name | None:
        answer = ask.integer((question, self._device))
        for constant, name in names.items():
            if answer is not None and answer == self._library.constant(constant):
                return name
        return None


def _cuda_version(number: int | None) -> str | None:
    # NVML gives 12040 for 12.4.
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _joined(
    first: tuple[int, ...] | None, second: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    return None if first is None and second is None else (first or ()) + (second or ())
