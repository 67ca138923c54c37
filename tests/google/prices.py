"""The stand-in's price list: what its ledger bills by and its catalog tells.

Americas are list prices of 2026-11-22 (public pages; spot prices move). Elsewhere they are scaled,
which is good enough to tell regions apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOURS_A_MONTH = 730.0
CLUSTER_USD_PER_HOUR = 0.10
FORWARDING_RULE_USD_PER_HOUR = 0.025
ADDRESS_USD_PER_HOUR = 0.005
COMPUTE = "6F81-5844-456A"
KUBERNETES = "CCD8-9BF1-090E"

AREAS: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "Americas": (1.0, ("us-central1", "us-east1", "us-west1")),
    "Los Angeles": (1.2, ("us-west2",)),
    "EMEA": (1.1, ("europe-west1", "europe-west4")),
    "APAC": (1.16, ("asia-east1",)),
}

FAMILIES: Mapping[str, tuple[str, float, float, float, float]] = {
    # Words of the SKU; core and GiB of RAM an hour, then the same for spot.
    "n1": ("N1 Predefined Instance", 0.031611, 0.004237, 0.006655, 0.000892),
    "e2": ("E2 Instance", 0.02181159, 0.00292353, 0.006543, 0.000877),
    "g2": ("G2 Instance", 0.0249883, 0.00292723, 0.009995, 0.001171),
    "a2": ("A2 Instance", 0.031611, 0.004237, 0.012644, 0.001695),
    "a3": ("A3 Instance", 0.0293227, 0.0025534, 0.011729, 0.001021),
}

SHARED_CORE: Mapping[str, float] = {"e2-micro": 0.25, "e2-small": 0.5, "e2-medium": 1.0}
"""vCPUs that are billed of machines whose two are shared
(cloud.google.com/compute/docs/general-purpose-machines#e2-shared-core)."""

GPUS: Mapping[str, tuple[str, float, float]] = {
    "nvidia-tesla-t4": ("Nvidia Tesla T4", 0.35, 0.11),
    "nvidia-l4": ("Nvidia L4", 0.5600399, 0.224016),
    "nvidia-tesla-v100": ("Nvidia Tesla V100", 2.48, 0.74),
    "nvidia-tesla-a100": ("Nvidia Tesla A100", 2.933908, 1.173563),
    "nvidia-a100-80gb": ("Nvidia Tesla A100 80GB", 3.92805, 1.57122),
    "nvidia-h100-80gb": ("Nvidia H100 80GB", 9.79655, 3.91862),
}

DISKS: Mapping[str, tuple[str, float]] = {
    "pd-standard": ("Storage PD Capacity", 0.04),
    "pd-balanced": ("Balanced PD Capacity", 0.10),
    "pd-ssd": ("SSD backed PD Capacity", 0.17),
}
"""A GiB and month."""


def _factor(region: str) -> float:
    return next((factor for factor, regions in AREAS.values() if region in regions), 1.0)


def region_of(location: str) -> str:
    """A zone's region; a region is its own."""
    parts = location.split("-")
    return "-".join(parts[:2])


def machine_usd_per_hour(
    machine: str, vcpus: int, memory_gb: float, gpu: str, gpus: int, spot: bool, location: str
) -> float:
    """What a running machine costs, its disks not counted."""
    _, core, ram, spot_core, spot_ram = FAMILIES[machine.split("-")[0]]
    billed = SHARED_CORE.get(machine, vcpus)
    per_hour: float = billed * (spot_core if spot else core) + memory_gb * (
        spot_ram if spot else ram
    )
    if gpu:
        _, usd, spot_usd = GPUS[gpu]
        per_hour += gpus * (spot_usd if spot else usd)
    return per_hour * _factor(region_of(location))


def disk_usd_per_hour(kind: str, gb: float, location: str) -> float:
    return DISKS[kind][1] * gb * _factor(region_of(location)) / HOURS_A_MONTH


@dataclass(frozen=True)
class _Price:
    words: str
    group: str
    usage: str
    usd: float
    unit: str = "h"
    free: float = 0.0
    """So much costs nothing: a tier of its own."""


def skus(service: str) -> list[dict[str, Any]]:
    """The catalog of one service, as Google writes it."""
    if service == KUBERNETES:
        names = ("Zonal Kubernetes Clusters", "Regional Kubernetes Clusters")
        fees = [_Price(name, "GKE", "OnDemand", CLUSTER_USD_PER_HOUR) for name in names]
        everywhere = tuple(region for _, regions in AREAS.values() for region in regions)
        return [
            _sku(KUBERNETES, index, price, price.words, everywhere, 1.0)
            for index, price in enumerate(fees)
        ]
    if service != COMPUTE:
        return []
    listed: list[dict[str, Any]] = []
    for area, (factor, regions) in AREAS.items():
        for price in _prices():
            joined = "in" if price.group in ("PDStandard", "SSD") else "running in"
            words = f"{price.words} {joined} {area}"
            if joined == "in" and area == "Americas":
                words = price.words
            listed.append(_sku(COMPUTE, len(listed), price, words, regions, factor))
    return listed


def _prices() -> list[_Price]:
    listed: list[_Price] = []
    for words, core, ram, spot_core, spot_ram in FAMILIES.values():
        spot = f"Spot Preemptible {words}"
        listed += [
            _Price(f"{words} Core", "CPU", "OnDemand", core),
            _Price(f"{words} Ram", "RAM", "OnDemand", ram, "GiBy.h"),
            _Price(f"{spot} Core", "CPU", "Preemptible", spot_core),
            _Price(f"{spot} Ram", "RAM", "Preemptible", spot_ram, "GiBy.h"),
            _Price(f"Commitment v1: {words} Core", "CPU", "Commit1Yr", core * 0.63),
        ]
    for words, usd, spot_usd in GPUS.values():
        listed += [
            _Price(f"{words} GPU", "GPU", "OnDemand", usd),
            _Price(f"{words} GPU attached to Spot Preemptible VMs", "GPU", "Preemptible", spot_usd),
        ]
    for kind, (words, usd) in DISKS.items():
        group, free = ("PDStandard", 30.0) if kind == "pd-standard" else ("SSD", 0.0)
        listed.append(_Price(words, group, "OnDemand", usd, "GiBy.mo", free))
    return listed


def _sku(
    service: str,
    index: int,
    price: _Price,
    words: str,
    regions: tuple[str, ...],
    factor: float,
) -> dict[str, Any]:
    identity = f"{service[:4]}-{index:04X}-0001"
    tiers = [_tier(price.free, price.usd * factor)]
    if price.free:
        tiers.insert(0, _tier(0.0, 0.0))
    family = "Storage" if price.unit == "GiBy.mo" else "Compute"
    return {
        "name": f"services/{service}/skus/{identity}",
        "skuId": identity,
        "description": words,
        "category": {
            "serviceDisplayName": "Compute Engine" if service == COMPUTE else "Kubernetes Engine",
            "resourceFamily": family,
            "resourceGroup": price.group,
            "usageType": price.usage,
        },
        "serviceRegions": list(regions),
        "pricingInfo": [
            {
                "summary": "",
                "pricingExpression": {
                    "usageUnit": price.unit,
                    "displayQuantity": 1,
                    "tieredRates": tiers,
                },
                "currencyConversionRate": 1,
                "effectiveTime": "2026-11-20T00:00:00.000Z",
            }
        ],
        "serviceProviderName": "Google",
        "geoTaxonomy": {"type": "MULTI_REGIONAL", "regions": list(regions)},
    }


def _tier(start: float, usd: float) -> dict[str, Any]:
    units = int(usd)
    return {
        "startUsageAmount": start,
        "unitPrice": {
            "currencyCode": "USD",
            "units": str(units),
            "nanos": round((usd - units) * 1e9),
        },
    }
