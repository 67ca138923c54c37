"""What Google has where: zones, machine types, GPUs, their stock, and the project's quotas."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.google.prices import region_of

MACHINES: dict[str, tuple[int, float]] = {
    **{f"n1-standard-{count}": (count, 3.75 * count) for count in (1, 2, 4, 8, 16, 32, 64, 96)},
    **{f"e2-standard-{count}": (count, 4.0 * count) for count in (2, 4, 8, 16, 32)},
    "e2-micro": (2, 1.0),
    "e2-small": (2, 2.0),
    "e2-medium": (2, 4.0),
    **{f"g2-standard-{count}": (count, 4.0 * count) for count in (4, 8, 12, 16, 24, 32, 48, 96)},
    **{f"a2-highgpu-{count}g": (12 * count, 85.0 * count) for count in (1, 2, 4, 8)},
    **{f"a2-ultragpu-{count}g": (12 * count, 170.0 * count) for count in (1, 2, 4, 8)},
    "a3-highgpu-8g": (208, 1872.0),
}
"""vCPUs and GiB of memory."""

_G2_GPUS = {24: 2, 48: 4, 96: 8}


def fixed_gpus(machine: str) -> tuple[str, int]:
    """Which GPUs a machine type brings along; ("", 0): none."""
    if machine.startswith("g2-"):
        return "nvidia-l4", _G2_GPUS.get(int(machine.rsplit("-", 1)[1]), 1)
    for prefix, gpu in (
        ("a2-highgpu-", "nvidia-tesla-a100"),
        ("a2-ultragpu-", "nvidia-a100-80gb"),
        ("a3-highgpu-", "nvidia-h100-80gb"),
    ):
        if machine.startswith(prefix):
            return gpu, int(machine.removeprefix(prefix).removesuffix("g"))
    return "", 0


_FAMILY_OF_GPU = {
    "nvidia-tesla-t4": "n1",
    "nvidia-tesla-v100": "n1",
    "nvidia-l4": "g2",
    "nvidia-tesla-a100": "a2",
    "nvidia-a100-80gb": "a2",
    "nvidia-h100-80gb": "a3",
}

_OFFERED = {
    "us-central1-a": ("nvidia-tesla-t4", "nvidia-l4", "nvidia-tesla-a100", "nvidia-h100-80gb"),
    "us-central1-b": ("nvidia-tesla-t4", "nvidia-l4", "nvidia-tesla-a100"),
    "us-central1-c": ("nvidia-tesla-t4", "nvidia-l4", "nvidia-a100-80gb"),
    "us-central1-f": ("nvidia-tesla-t4", "nvidia-tesla-v100"),
    "us-east1-b": ("nvidia-l4", "nvidia-tesla-a100"),
    "us-east1-c": ("nvidia-tesla-t4", "nvidia-l4"),
    "us-east1-d": ("nvidia-tesla-t4", "nvidia-l4"),
    "us-west1-a": ("nvidia-tesla-t4", "nvidia-l4", "nvidia-tesla-v100"),
    "us-west1-b": ("nvidia-tesla-t4", "nvidia-l4", "nvidia-tesla-a100"),
    "us-west1-c": ("nvidia-l4",),
    "us-west2-b": ("nvidia-tesla-t4",),
    "us-west2-c": ("nvidia-tesla-t4",),
    "europe-west1-b": ("nvidia-tesla-t4", "nvidia-l4"),
    "europe-west1-c": ("nvidia-tesla-t4", "nvidia-l4"),
    "europe-west1-d": ("nvidia-tesla-t4",),
    "europe-west4-a": ("nvidia-l4", "nvidia-tesla-a100", "nvidia-a100-80gb"),
    "europe-west4-b": ("nvidia-tesla-t4", "nvidia-l4", "nvidia-h100-80gb"),
    "europe-west4-c": ("nvidia-tesla-t4", "nvidia-l4"),
    "asia-east1-a": ("nvidia-tesla-t4", "nvidia-l4"),
    "asia-east1-b": ("nvidia-l4",),
    "asia-east1-c": ("nvidia-tesla-t4",),
}

_QUOTA_WORDS = {
    "nvidia-tesla-t4": "NVIDIA_T4_GPUS",
    "nvidia-l4": "NVIDIA_L4_GPUS",
    "nvidia-tesla-v100": "NVIDIA_V100_GPUS",
    "nvidia-tesla-a100": "NVIDIA_A100_GPUS",
    "nvidia-a100-80gb": "NVIDIA_A100_80GB_GPUS",
    "nvidia-h100-80gb": "NVIDIA_H100_GPUS",
}


def gpu_quota(gpu: str, spot: bool) -> str:
    """Name of the regional quota that counts such GPUs."""
    return ("PREEMPTIBLE_" if spot else "") + _QUOTA_WORDS[gpu]


@dataclass
class Shortage:
    """Why instances cannot be had; ``code`` is that of the instance group's error."""

    code: str
    message: str
    condition: str
    """GCE_STOCKOUT or GCE_QUOTA_EXCEEDED"""


@dataclass
class Capacity:
    """The stock and the quotas, to be changed by tests."""

    offered: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(_OFFERED))
    """Zone: its GPU types."""
    stock: dict[tuple[str, str], int] = field(default_factory=dict)
    """How many GPUs of a type (empty: machines without one) a zone has left; not named: enough."""
    hints: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Zones that the refusal of (zone, GPU) names as having some."""
    quotas: dict[tuple[str, str], float] = field(default_factory=dict)
    """Limit of (region, metric), where it is not the default."""
    global_quotas: dict[str, float] = field(default_factory=lambda: {"GPUS_ALL_REGIONS": 16.0})
    used: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (region, metric)."""

    @property
    def zones(self) -> list[str]:
        return sorted(self.offered)

    @property
    def regions(self) -> list[str]:
        return sorted({region_of(zone) for zone in self.offered})

    def zones_of(self, location: str) -> list[str]:
        """The location itself, or up to three zones of a region."""
        if location in self.offered:
            return [location]
        return [zone for zone in self.zones if region_of(zone) == location][:3]

    def sold_out(self, zone: str, gpu: str, hints: tuple[str, ...] = ()) -> None:
        """Let a zone have none of a GPU; its refusals may name other zones."""
        self.stock[zone, gpu] = 0
        if hints:
            self.hints[zone, gpu] = hints

    def offers(self, zone: str, machine: str, gpu: str) -> bool:
        """Whether a zone has such machines at all, in stock or not."""
        families = {_FAMILY_OF_GPU[each] for each in self.offered.get(zone, ())} | {"n1", "e2"}
        wants_gpu = gpu or fixed_gpus(machine)[0]
        return machine.split("-")[0] in families and (
            not wants_gpu or wants_gpu in self.offered.get(zone, ())
        )

    def limit(self, region: str, metric: str) -> float:
        return self.quotas.get((region, metric), default_limit(metric))

    def metrics(self, region: str) -> list[tuple[str, float, float]]:
        """Every quota of a region: metric, limit, usage."""
        names = set(_DEFAULTS) | {metric for where, metric in self.quotas if where == region}
        return [
            (metric, self.limit(region, metric), float(self.used[region, metric]))
            for metric in sorted(names)
        ]

    def gpus_in_use(self) -> int:
        return sum(count for (_, metric), count in self.used.items() if metric == "GPUS_ALL")

    def regional_shortage(
        self, zone: str, vcpus: int, gpu: str, gpus: int, spot: bool, nodes: int
    ) -> tuple[str, float, float] | None:
        """The first regional quota that so many nodes would exceed: metric, asked for, limit."""
        region = region_of(zone)
        asked = [("CPUS", vcpus * nodes), ("IN_USE_ADDRESSES", nodes)]
        if gpu:
            asked.insert(0, (gpu_quota(gpu, spot), gpus * nodes))
        for metric, amount in asked:
            if self.used[region, metric] + amount > self.limit(region, metric):
                return metric, float(amount), self.limit(region, metric)
        return None

    def take(self, zone: str, vcpus: int, gpu: str, gpus: int, spot: bool) -> Shortage | None:
        """Take one machine out of the stock and the quotas, or say why not."""
        region = region_of(zone)
        if gpu and self.gpus_in_use() + gpus > self.global_quotas["GPUS_ALL_REGIONS"]:
            limit = self.global_quotas["GPUS_ALL_REGIONS"]
            text = f"Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: {limit:.1f} globally."
            return Shortage("QUOTA_EXCEEDED", text, "GCE_QUOTA_EXCEEDED")
        short = self.regional_shortage(zone, vcpus, gpu, gpus, spot, 1)
        if short is not None:
            text = f"Quota '{short[0]}' exceeded.  Limit: {short[2]:.1f} in region {region}."
            return Shortage("QUOTA_EXCEEDED", text, "GCE_QUOTA_EXCEEDED")
        left = self.stock.get((zone, gpu))
        if left is not None:
            if left < max(gpus, 1):
                return self._stockout(zone, gpu)
            self.stock[zone, gpu] = left - max(gpus, 1)
        self._count(region, vcpus, gpu, gpus, spot, 1)
        return None

    def give_back(self, zone: str, vcpus: int, gpu: str, gpus: int, spot: bool) -> None:
        if (zone, gpu) in self.stock:
            self.stock[zone, gpu] += max(gpus, 1)
        self._count(region_of(zone), vcpus, gpu, gpus, spot, -1)

    def _count(self, region: str, vcpus: int, gpu: str, gpus: int, spot: bool, sign: int) -> None:
        self.used[region, "CPUS"] += sign * vcpus
        self.used[region, "IN_USE_ADDRESSES"] += sign
        self.used[region, "INSTANCES"] += sign
        if gpu:
            self.used[region, gpu_quota(gpu, spot)] += sign * gpus
            self.used[region, "GPUS_ALL"] += sign * gpus

    def _stockout(self, zone: str, gpu: str) -> Shortage:
        hints = self.hints.get((zone, gpu), ())
        machine = f" with '{gpu}' accelerator(s)" if gpu else ""
        if hints:
            text = (
                f"The zone 'projects/PROJECT/zones/{zone}' does not have enough resources "
                f"available to fulfill the request. A VM instance{machine} is currently "
                f"unavailable in the {zone} zone. Alternatively, you can try your request again "
                f"with a different VM hardware configuration or at a later time. Consider trying "
                f"your request in the {', '.join(hints)} zone(s), which currently has capacity to "
                f"accommodate your request. zonesAvailable: {','.join(hints)}"
            )
            return Shortage("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", text, "GCE_STOCKOUT")
        text = (
            f"The zone 'projects/PROJECT/zones/{zone}' does not have enough resources available "
            "to fulfill the request.  Try a different zone, or try again later."
        )
        return Shortage("ZONE_RESOURCE_POOL_EXHAUSTED", text, "GCE_STOCKOUT")


_DEFAULTS = {
    "CPUS": 128.0,
    "DISKS_TOTAL_GB": 4096.0,
    "SSD_TOTAL_GB": 500.0,
    "IN_USE_ADDRESSES": 24.0,
    "STATIC_ADDRESSES": 8.0,
    "INSTANCES": 72.0,
    "NVIDIA_T4_GPUS": 4.0,
    "PREEMPTIBLE_NVIDIA_T4_GPUS": 4.0,
    "NVIDIA_L4_GPUS": 4.0,
    "PREEMPTIBLE_NVIDIA_L4_GPUS": 4.0,
    "NVIDIA_V100_GPUS": 1.0,
    "PREEMPTIBLE_NVIDIA_V100_GPUS": 1.0,
    "NVIDIA_A100_GPUS": 8.0,
    "PREEMPTIBLE_NVIDIA_A100_GPUS": 8.0,
    "NVIDIA_A100_80GB_GPUS": 0.0,
    "PREEMPTIBLE_NVIDIA_A100_80GB_GPUS": 0.0,
    "NVIDIA_H100_GPUS": 0.0,
    "PREEMPTIBLE_NVIDIA_H100_GPUS": 8.0,
}


def default_limit(metric: str) -> float:
    return _DEFAULTS.get(metric, 0.0)
