"""Too little of something: no hardware in the zone, or no quota in the project."""

from __future__ import annotations

import re

from core.gcp.errors import QuotaError, StockoutError
from core.gcp.said import Said

_STOCKOUT = frozenset(
    {
        "GCE_STOCKOUT",
        "STOCKOUT",
        "RESOURCE_AVAILABILITY",
        "RESOURCE_POOL_EXHAUSTED",
        "RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
    }
)
_STOCKOUT_WORDS = re.compile(
    r"RESOURCE_POOL_EXHAUSTED|GCE_STOCKOUT|does not have enough resources available|"
    r"currently unavailable in the|out of stock|GCE out of resources|\bstockout\b",
    re.I,
)
_QUOTA = frozenset({"QUOTA_EXCEEDED", "GCE_QUOTA_EXCEEDED"})
_QUOTA_WORDS = re.compile(
    r"insufficient (regional |project |global )?quota|quota '?\S+'? exceeded|"
    r"GCE_QUOTA_EXCEEDED|quota exceeded|exceeded quota|quota limit",
    re.I,
)
# In the order of trust: 'NVIDIA_T4_GPUS' in quotes, else any word that looks like a metric.
_METRICS = (
    re.compile(r"""(?:quota|resource|metric)\s*:?\s*\\?["']([A-Za-z][\w.\-/]+)\\?["']""", re.I),
    re.compile(
        r"\b((?:COMMITTED_|PREEMPTIBLE_)?(?:NVIDIA_\w+_GPUS|GPUS_\w+|CPUS_\w+|\w+_CPUS|CPUS|"
        r"SSD_TOTAL_GB|DISKS_TOTAL_GB|IN_USE_ADDRESSES|INSTANCES))\b"
    ),
)
_ZONE = re.compile(r"\b([a-z]+-[a-z]+[0-9]{1,2}-[a-z])\b")
_ZONE_LISTS = (
    re.compile(r"""zonesAvailable\\?["']?\s*[:=]\s*\\?["'\[]*([^"'\]}\\]*)"""),
    re.compile(r"trying your request in the (.{1,300}?) zone\(?s?"),
)
_MOST_ZONES = 50


def shortage(said: Said, what: str, project: str) -> StockoutError | QuotaError | None:
    """Return the error where there is too little of something; None where that is not the matter.

    Words of a stockout win over a quota's code: another zone is then the right next try, and if it
    was the quota after all, that try tells at once.
    """
    if said.reasons & _STOCKOUT or _STOCKOUT_WORDS.search(said.message):
        zones = _zones(said)
        others = f" Google names {', '.join(zones)}." if zones else ""
        return StockoutError(
            f"There is no hardware for {what} now: {said.message}.",
            f"Choose another zone or another GPU, or try again later.{others}",
            zones,
        )
    if said.reasons & _QUOTA or _QUOTA_WORDS.search(said.message):
        return _quota(said, what, project)
    return None


def _quota(said: Said, what: str, project: str) -> QuotaError:
    metric = _metric(said)
    is_global = (
        "ALL_REGIONS" in metric
        or said.facts.get("region", "") == "global"
        or re.search(r"\bglobally\b|ALL[_-]REGIONS", said.message) is not None
    )
    named = f"quota {metric}" if metric else "a quota"
    page = f"https://console.cloud.google.com/iam-admin/quotas?project={project}"
    if is_global:
        remedy = f"It counts all regions together, so none helps: have it raised at {page}."
    else:
        remedy = f"Choose another region or GPU, or have it raised at {page}."
    return QuotaError(
        f"Project {project} has too little of {named} for {what}: {said.message}.",
        remedy,
        metric=metric,
        is_global=is_global,
    )


def _metric(said: Said) -> str:
    for name in ("metricName", "quota_metric", "quotaMetric", "limitName", "quotaLimit"):
        value = said.facts.get(name, "")
        if value:
            return _constant(value)
    for pattern in _METRICS:
        found = pattern.search(said.message)
        if found:
            return _constant(found[1])
    return ""


def _constant(metric: str) -> str:
    """Return ``NVIDIA_T4_GPUS`` for ``compute.googleapis.com/nvidia_t4_gpus`` and
    ``NVIDIA-T4-GPUS-per-project-region``.
    """
    last = metric.rsplit("/", 1)[-1]
    return re.sub(r"-PER-PROJECT.*$", "", last.upper()).replace("-", "_")


def _zones(said: Said) -> tuple[str, ...]:
    lists = [said.facts.get("zonesAvailable", "")]
    for pattern in _ZONE_LISTS:
        lists += [found[1] for found in pattern.finditer(said.message)]
    zones = dict.fromkeys(zone for each in lists for zone in _ZONE.findall(each))
    return tuple(zones)[:_MOST_ZONES]
