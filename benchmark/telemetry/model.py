"""The records of what the device and the host did while a measurement ran.

Units are in the field names. A value that the driver or the kernel did not give is ``None``, never
0: a 0 is a reading.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

VirtualizationMode = Literal["NONE", "PASSTHROUGH", "VGPU", "HOST_VGPU", "HOST_VSGA"]
ComputeMode = Literal["DEFAULT", "EXCLUSIVE_THREAD", "PROHIBITED", "EXCLUSIVE_PROCESS"]


class Record(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(Record):
    """The part of a recording that counts as the measurement; the rest is warm-up and wind-down.

    Both ends are seconds of ``time.monotonic()``, which the kernel keeps for all processes alike,
    so the measuring child process may report them and the orchestrator may use them as they are.
    """

    start_s: float
    end_s: float

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> "Window":
        if not self.start_s <= self.end_s:
            raise ValueError(
                f"the window ends ({self.end_s} s) before it starts ({self.start_s} s)"
            )
        return self


class GpuIdentity(Record):
    """What the GPU is and how it is set, asked once. Source: NVML."""

    index: int | None = None
    """NVML's index (PCI bus order), which need not be CUDA's ordinal."""
    name: str | None = None
    uuid: str | None = None
    """UUID of the physical GPU."""
    mig_uuid: str | None = None
    """UUID of the MIG instance, when an instance and not the whole GPU was selected."""
    pci_bus_id: str | None = None
    compute_capability: str | None = None
    vbios_version: str | None = None
    driver_version: str | None = None
    cuda_driver_version: str | None = None
    """The newest CUDA version that the driver speaks, for example ``12.4``."""
    ecc_mode: bool | None = None
    mig_mode: bool | None = None
    persistence_mode: bool | None = None
    compute_mode: ComputeMode | None = None
    enforced_power_limit_watts: float | None = None
    default_power_limit_watts: float | None = None
    application_graphics_clock_mhz: int | None = None
    """NVML has no question for clocks locked with ``nvidia-smi -lgc``; they show in the samples."""
    application_memory_clock_mhz: int | None = None
    default_application_graphics_clock_mhz: int | None = None
    default_application_memory_clock_mhz: int | None = None
    maximum_graphics_clock_mhz: int | None = None
    maximum_sm_clock_mhz: int | None = None
    maximum_memory_clock_mhz: int | None = None
    pcie_generation: int | None = None
    """Generation at the moment of asking; an idle GPU slows its link down, so compare the one in
    the summary, taken under load."""
    pcie_generation_maximum: int | None = None
    """The highest that this GPU and this slot reach together."""
    pcie_width: int | None = None
    pcie_width_maximum: int | None = None
    total_memory_bytes: int | None = None
    virtualization_mode: VirtualizationMode | None = None
    """What NVML says. ``NONE`` does not prove bare metal."""
    sees_every_process: bool | None = None
    """False in a container with process ids of its own: newer drivers hide everybody else's."""


class GpuSample(Record):
    """One reading of the GPU. Source: NVML."""

    time_s: float
    """Seconds of the monotonic clock since the sampler started."""
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_watts: float | None = None
    """Instantaneous up to Turing and on A100/A30, averaged over a second on other newer GPUs."""
    temperature_celsius: int | None = None
    utilization_percent: int | None = None
    memory_used_bytes: int | None = None
    energy_millijoules: int | None = None
    """Energy used since the driver was loaded. A counter."""
    throttle_reasons: tuple[str, ...] | None = None
    """Why the clocks are where they are (NVML's clock event reasons), sorted; empty when none."""
    thermal_violation_nanoseconds: int | None = None
    """Time the clocks were held below what was asked for because of heat. A counter."""
    process_count: int | None = None
    """Entries in NVML's lists of compute and graphics processes, ours included."""
    foreign_processes: tuple[int, ...] | None = None
    """Process ids that are certainly not ours; ``None`` when that cannot be told from here."""
    unidentified_processes: int | None = None
    """Entries that may be ours or not (the rule: ``benchmark.telemetry.processes``)."""
    pcie_generation: int | None = None
    pcie_width: int | None = None
    pcie_replays: int | None = None
    """A counter."""
    ecc_uncorrected: int | None = None
    """Uncorrected memory errors since the driver was loaded. A counter."""
    xid_errors: tuple[int, ...] | None = None
    """Xid errors reported since the sample before; ``None`` when they cannot be watched."""
    lost: bool = False
    """The GPU fell off the bus or needs a reset; only ``xid_errors`` may then have a value."""


class HostSample(Record):
    """One reading of the host. Source: ``/proc`` and ``/sys``; in a guest, the guest's own."""

    time_s: float
    """Seconds of the monotonic clock since the sampler started."""
    cpu_frequency_mhz: float | None = None
    """Mean over the allowed CPUs; read about once a second and repeated in between."""
    load_1m: float | None = None
    cpu_percent: float | None = None
    """Busy share of the allowed CPUs since the sample before; 100 is all of them."""
    steal_percent: float | None = None
    """Share of the allowed CPUs' time that the hypervisor gave to others."""
    machine_cpu_percent: float | None = None
    """As ``cpu_percent``, over every CPU of the machine."""
    machine_steal_percent: float | None = None
    thermal_throttle_count: int | None = None
    """Times the allowed CPUs' cores and packages were slowed by heat since boot. A counter."""
    cpu_pressure_percent: float | None = None
    """Share of the last 10 s in which some task waited for a CPU (PSI ``some avg10``)."""
    cpu_pressure_microseconds: int | None = None
    """PSI ``some total``. A counter."""


class SourceFailure(Record):
    """A source, or the file of samples, that stopped answering."""

    source: Literal["gpu", "host", "file", "sampler"]
    first_time_s: float
    """Seconds since the sampler started."""
    count: int = Field(ge=1)
    """How often in all."""
    message: str
    """What it said the last time."""


class Statistics(Record):
    """What one quantity did."""

    count: int = Field(ge=1)
    minimum: float
    median: float
    mean: float
    maximum: float
    last: float


class TelemetrySummary(Record):
    """The samples of a window in a few numbers; ``None`` where there was no value at all."""

    duration_s: float
    """Length of the window, or of the recording when no window was given."""
    gpu_sample_count: int
    host_sample_count: int
    sm_clock_mhz: Statistics | None = None
    memory_clock_mhz: Statistics | None = None
    power_watts: Statistics | None = None
    temperature_celsius: Statistics | None = None
    utilization_percent: Statistics | None = None
    memory_used_bytes: Statistics | None = None
    pcie_generation: Statistics | None = None
    pcie_width: Statistics | None = None
    cpu_frequency_mhz: Statistics | None = None
    load_1m: Statistics | None = None
    cpu_percent: Statistics | None = None
    steal_percent: Statistics | None = None
    machine_cpu_percent: Statistics | None = None
    machine_steal_percent: Statistics | None = None
    cpu_pressure_percent: Statistics | None = None
    energy_joules: float | None = None
    """Used inside the window: the driver's counter, interpolated at both ends."""
    ecc_uncorrected: int | None = None
    """Growth of the counter; like the next three it spans the samples that enclose the window."""
    pcie_replays: int | None = None
    thermal_violation_nanoseconds: int | None = None
    thermal_throttle_count: int | None = None
    cpu_pressure_microseconds: float | None = None
    """Growth of the counter, interpolated at both ends."""
    throttle_reason_samples: dict[str, int] = Field(default_factory=dict)
    """How many of the GPU samples showed each clock event reason."""
    unavailable: tuple[str, ...] = ()
    """The quantities of the watched sources that never had a value in the window, sorted."""


class Telemetry(Record):
    """A recording: every sample kept, warm-up included, and what went wrong while recording."""

    started_monotonic_s: float
    """``time.monotonic()`` when the sampler started; a sample's ``time_s`` counts from here."""
    interval_s: float
    gpu_watched: bool
    """Whether there was a GPU to watch; when not, this is the record of a CPU measurement."""
    identity: GpuIdentity | None = None
    gpu: tuple[GpuSample, ...] = ()
    host: tuple[HostSample, ...] = ()
    failures: tuple[SourceFailure, ...] = ()
    dropped_samples: int = 0
    """Samples thinned out to bound memory; the file of samples, when there is one, has them all."""

    def summary(self, window: Window | None = None) -> TelemetrySummary:
        """The samples in few numbers, over ``window`` or, without one, over everything."""
        # Summing up reads this module's records, so the import cannot stand at the top.
        from benchmark.telemetry.summary import summarize

        return summarize(self, window)
