"""How much of which quota a node takes, and whether the project has it.

Names: ``Quota.metric`` of the Compute Engine API v1, which ``regions.get`` and ``projects.get``
list with limit and usage. What a project may have and what a zone has in stock are two things:
enough quota is no promise of a machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from core.gcp.offers import GPUS, Objection, n1_vcpus


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of something a project may have, in one region or in all."""

    metric: str
    limit: float
    usage: float

    @property
    def free(self) -> float:
        """What may still be taken; never less than nothing."""
        return max(0.0, self.limit - self.usage)


class QuotaNeed(NamedTuple):
    """So much of a quota."""

    metric: str
    amount: float
    is_global: bool = False
    """Counted over all regions, not in one."""
    otherwise: str = ""
    """The quota that is used where the project was never given any of ``metric``."""


_SSD = frozenset({"pd-ssd", "pd-balanced"})


def quota_needs(
    machine: str,
    vcpus: int,
    gpu: str = "",
    gpus: int = 0,
    *,
    spot: bool = False,
    nodes: int = 1,
    disk_type: str = "",
    disk_gb: int = 0,
) -> tuple[QuotaNeed, ...]:
    """Return what nodes of a kind take from the quotas that Google shows.

    Spot counts against the PREEMPTIBLE quotas, or against the ordinary ones where the project has
    none; GPUS_ALL_REGIONS counts both kinds ("Allocation quotas",
    cloud.google.com/compute/resource-usage). Of H100 and later Google shows only the spot quota or
    none here: nothing is needed of what is not shown.
    """
    needs: list[QuotaNeed] = []
    if (known := GPUS.get(gpu)) is not None:
        amount = float(gpus * nodes)
        if spot and known.spot_metric:
            needs.append(QuotaNeed(known.spot_metric, amount, otherwise=known.metric))
        elif not spot and known.metric:
            needs.append(QuotaNeed(known.metric, amount))
        needs.append(QuotaNeed("GPUS_ALL_REGIONS", amount, is_global=True))
    if cpus := _cpu_metric(machine):
        cores = float(vcpus * nodes)
        needs.append(
            QuotaNeed("PREEMPTIBLE_CPUS", cores, otherwise=cpus) if spot else QuotaNeed(cpus, cores)
        )
        needs.append(QuotaNeed("CPUS_ALL_REGIONS", cores, is_global=True))
    if disk_type and disk_gb:
        disks = "SSD_TOTAL_GB" if disk_type in _SSD else "DISKS_TOTAL_GB"
        needs.append(QuotaNeed(disks, float(disk_gb * nodes)))
    return tuple(needs)


def added(needs: tuple[QuotaNeed, ...]) -> tuple[QuotaNeed, ...]:
    """Return the needs of several kinds of nodes together, one a quota."""
    sums: dict[tuple[str, bool, str], float] = {}
    for need in needs:
        key = (need.metric, need.is_global, need.otherwise)
        sums[key] = sums.get(key, 0.0) + need.amount
    return tuple(
        QuotaNeed(metric, amount, is_global, otherwise)
        for (metric, is_global, otherwise), amount in sums.items()
    )


def lacking(need: QuotaNeed, quotas: Mapping[str, Quota], where: str) -> Objection | None:
    """Return what of a need the quotas do not allow; None where they do, or do not list it.

    Args:
        quotas: those of one region, or the project's over all regions for a global need.
        where: the region's name, for the sentence.
    """
    quota = quotas.get(need.metric)
    if need.otherwise and (quota is None or quota.limit == 0):
        quota = quotas.get(need.otherwise)
    if quota is None or quota.free >= need.amount:
        return None
    place = "over all regions" if need.is_global else f"in {where}"
    elsewhere = "" if need.is_global else " or take another region,"
    return Objection(
        f"The project may have {quota.limit:g} {quota.metric} {place} and uses {quota.usage:g}: "
        f"{need.amount:g} more are too many.",
        f"Ask for more at https://console.cloud.google.com/iam-admin/quotas,{elsewhere} "
        "or free what is in use.",
    )


def _cpu_metric(machine: str) -> str:
    """Return the quota of a machine's vCPUs; empty where its name is not surely known."""
    if machine.startswith("e2-") or n1_vcpus(machine) is not None:
        return "CPUS"
    return "A2_CPUS" if machine.startswith("a2-") else ""
