"""A stand-in for the module ``pynvml``: its names and errors, with GPUs made of plain values.

Constants and error classes are the real module's own, so they cannot drift; the functions are held
against it by ``test_fake_nvml.py``.
"""

import inspect
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml


@dataclass
class FakeInstance:
    """A MIG instance."""

    parent: "FakeGpu"
    uuid: str = "MIG-11111111-2222-3333-4444-555555555555"
    gpu_instance: int = 1
    compute_instance: int = 0
    memory_used: int = 1_000
    memory_total: int = 5_000
    compute_pids: list[int] = field(default_factory=list)


@dataclass
class FakeGpu:
    """A Tesla T4 at work, until told otherwise."""

    uuid: str = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
    name: str | bytes = "Tesla T4"
    sm_clock: int = 1590
    memory_clock: int = 5000
    power_milliwatts: int = 68_500
    temperature: int = 61
    utilization: int = 97
    memory_used: int = 2_000_000_000
    memory_total: int = 16_106_127_360
    energy_millijoules: int = 1_000_000
    reasons: int = 0
    violation: int = 0
    compute_pids: list[int] = field(default_factory=list)
    graphics_pids: list[int] = field(default_factory=list)
    ecc_uncorrected: int = 0
    replays: int = 0
    persistence: int = 1
    virtualization: int = pynvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH
    xids: deque[int] = field(default_factory=deque)
    xids_at_refusal: list[int] = field(default_factory=list)
    """What the driver reports while it refuses a question."""
    instances: list[FakeInstance] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    """Error codes by function: what this GPU does not give."""


class FakeNvml:
    """The module. Every call is counted in ``calls``."""

    def __init__(self, *gpus: FakeGpu) -> None:
        self.gpus = list(gpus) or [FakeGpu()]
        self.init_error: int | None = None
        self.gone: int | None = None
        """The error code that every function answers with, once the driver is gone."""
        self.missing: set[str] = set()
        """Functions that this binding does not have yet."""
        self.mismatched: set[str] = set()
        """Functions of which this binding knows another version than the driver."""
        self.calls: list[str] = []
        self.waits: list[int] = []
        self.initialised = 0
        self.event_sets = 0

    def __getattribute__(self, name: str) -> Any:
        read = object.__getattribute__
        if not name.startswith(("nvml", "NVML")):
            return read(self, name)
        if name in read(self, "missing"):
            raise AttributeError(name)
        if name in type(self).__dict__:
            return read(self, "_guarded")(name, read(self, name))
        real = getattr(pynvml, name)
        return _not_in_this_driver if inspect.isfunction(real) else real

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            if self.gone is not None:
                raise pynvml.NVMLError(self.gone)
            if name in self.mismatched:
                raise pynvml.NVMLLibraryMismatchError("unversioned function")
            target = arguments[0] if arguments else None
            gpu = target.parent if isinstance(target, FakeInstance) else target
            refused = gpu.refused if isinstance(gpu, FakeGpu) else self.gpus[0].refused
            if name in refused:
                if isinstance(gpu, FakeGpu):
                    gpu.xids.extend(gpu.xids_at_refusal)
                raise pynvml.NVMLError(refused[name])
            return function(*arguments)

        return call

    def nvmlInit(self) -> None:
        if self.init_error is not None:
            raise pynvml.NVMLError(self.init_error)
        self.initialised += 1

    def nvmlShutdown(self) -> None:
        self.initialised -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return "535.183.01"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 12_020

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeGpu | FakeInstance:
        for gpu in self.gpus:
            devices: list[FakeGpu | FakeInstance] = [gpu, *gpu.instances]
            for device in devices:
                if device.uuid == uuid:
                    return device
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, migDevice: FakeInstance) -> FakeGpu:
        return migDevice.parent

    def nvmlDeviceGetMaxMigDeviceCount(self, device: FakeGpu) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: FakeGpu, index: int) -> FakeInstance:
        if index >= len(device.instances):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return device.instances[index]

    def nvmlDeviceGetGpuInstanceId(self, device: FakeInstance) -> int:
        return device.gpu_instance

    def nvmlDeviceGetComputeInstanceId(self, device: FakeInstance) -> int:
        return device.compute_instance

    def nvmlDeviceGetIndex(self, handle: FakeGpu) -> int:
        return next(index for index, gpu in enumerate(self.gpus) if gpu is handle)

    def nvmlDeviceGetName(self, handle: FakeGpu) -> str | bytes:
        return handle.name

    def nvmlDeviceGetUUID(self, handle: FakeGpu | FakeInstance) -> str:
        return handle.uuid

    def nvmlDeviceGetPciInfo(self, handle: FakeGpu) -> Any:
        return SimpleNamespace(busId=b"00000000:00:04.0")

    def nvmlDeviceGetCudaComputeCapability(self, handle: FakeGpu) -> tuple[int, int]:
        return (7, 5)

    def nvmlDeviceGetVbiosVersion(self, handle: FakeGpu) -> str:
        return "90.04.38.00.03"

    def nvmlDeviceGetEccMode(self, handle: FakeGpu) -> list[int]:
        return [1, 1]

    def nvmlDeviceGetMigMode(self, device: FakeGpu) -> list[int]:
        if not device.instances:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [1, 1]

    def nvmlDeviceGetPersistenceMode(self, handle: FakeGpu) -> int:
        return handle.persistence

    def nvmlDeviceGetComputeMode(self, handle: FakeGpu) -> int:
        return int(pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: FakeGpu) -> int:
        return 70_000

    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle: FakeGpu) -> int:
        return 70_000

    def nvmlDeviceGetApplicationsClock(self, handle: FakeGpu, type: int) -> int:
        return 5001 if type == pynvml.NVML_CLOCK_MEM else 1590

    def nvmlDeviceGetDefaultApplicationsClock(self, handle: FakeGpu, type: int) -> int:
        return 5001 if type == pynvml.NVML_CLOCK_MEM else 585

    def nvmlDeviceGetMaxClockInfo(self, handle: FakeGpu, type: int) -> int:
        return 5001 if type == pynvml.NVML_CLOCK_MEM else 1590

    def nvmlDeviceGetCurrPcieLinkGeneration(self, handle: FakeGpu) -> int:
        return 3

    def nvmlDeviceGetMaxPcieLinkGeneration(self, handle: FakeGpu) -> int:
        return 3

    def nvmlDeviceGetCurrPcieLinkWidth(self, handle: FakeGpu) -> int:
        return 8

    def nvmlDeviceGetMaxPcieLinkWidth(self, handle: FakeGpu) -> int:
        return 16

    def nvmlDeviceGetVirtualizationMode(self, handle: FakeGpu) -> int:
        return handle.virtualization

    def nvmlDeviceGetClockInfo(self, handle: FakeGpu, type: int) -> int:
        return handle.memory_clock if type == pynvml.NVML_CLOCK_MEM else handle.sm_clock

    def nvmlDeviceGetPowerUsage(self, handle: FakeGpu) -> int:
        return handle.power_milliwatts

    def nvmlDeviceGetTemperatureV(self, handle: FakeGpu, sensor: int) -> int:
        return handle.temperature

    def nvmlDeviceGetTemperature(self, handle: FakeGpu, sensor: int) -> int:
        return handle.temperature

    def nvmlDeviceGetUtilizationRates(self, handle: FakeGpu) -> Any:
        return SimpleNamespace(gpu=handle.utilization, memory=40)

    def nvmlDeviceGetMemoryInfo(self, handle: FakeGpu | FakeInstance) -> Any:
        return SimpleNamespace(total=handle.memory_total, used=handle.memory_used, free=0)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: FakeGpu) -> int:
        return handle.energy_millijoules

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: FakeGpu) -> int:
        return handle.reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: FakeGpu) -> int:
        return handle.reasons

    def nvmlDeviceGetViolationStatus(self, device: FakeGpu, perfPolicyType: int) -> Any:
        return SimpleNamespace(referenceTime=1, violationTime=device.violation)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: FakeGpu | FakeInstance) -> list[Any]:
        return _processes(handle.compute_pids)

    def nvmlDeviceGetComputeRunningProcesses_v2(self, handle: FakeGpu | FakeInstance) -> list[Any]:
        return _processes(handle.compute_pids)

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: FakeGpu) -> list[Any]:
        return _processes(getattr(handle, "graphics_pids", []))

    def nvmlDeviceGetTotalEccErrors(self, handle: FakeGpu, errorType: int, counterType: int) -> int:
        return handle.ecc_uncorrected

    def nvmlDeviceGetPcieReplayCounter(self, handle: FakeGpu) -> int:
        return handle.replays

    def nvmlDeviceGetSupportedEventTypes(self, handle: FakeGpu) -> int:
        return int(pynvml.nvmlEventTypeXidCriticalError | pynvml.nvmlEventTypePState)

    def nvmlEventSetCreate(self) -> object:
        self.event_sets += 1
        return object()

    def nvmlDeviceRegisterEvents(self, handle: FakeGpu, eventTypes: int, eventSet: object) -> None:
        return None

    def nvmlEventSetWait(self, eventSet: object, timeoutms: int) -> Any:
        self.waits.append(timeoutms)
        for gpu in self.gpus:
            if gpu.xids:
                return SimpleNamespace(
                    eventType=pynvml.nvmlEventTypeXidCriticalError, eventData=gpu.xids.popleft()
                )
        raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)

    def nvmlEventSetFree(self, eventSet: object) -> None:
        self.event_sets -= 1


def _not_in_this_driver(*_: Any) -> None:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)


def _processes(pids: Sequence[int]) -> list[Any]:
    return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in pids]
