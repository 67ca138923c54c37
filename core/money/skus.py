"""Recognises SKUs of Google's Cloud Billing Catalog by their descriptions.

Descriptions are the only thing that tells an N1 core from an N1 core of a sole tenant, of a
commitment or of a reservation, so a pattern matches the whole text and everything else is left
aside. Seen in the catalog: "N1 Predefined Instance Core running in Americas", "Spot Preemptible N1
Predefined Instance Ram running in Americas", "Nvidia Tesla T4 GPU attached to Spot Preemptible VMs
running in Americas", "Balanced PD Capacity", "Storage PD Capacity in Virginia", "Zonal Kubernetes
Clusters".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from core.money.table import ANYWHERE, HOURS_A_MONTH, Price, PriceKind, PriceTable

_SPOT = r"(?P<spot>(?:Spot )?Preemptible )?"
_ATTACHED = r"(?P<spot> attached to (?:Spot )?Preemptible VMs)?"
_PLACE = r" (?:running )?in .+"
_GPUS = {
    "t4": "nvidia-tesla-t4",
    "p4": "nvidia-tesla-p4",
    "p100": "nvidia-tesla-p100",
    "v100": "nvidia-tesla-v100",
    "a100": "nvidia-tesla-a100",
    "a100 80gb": "nvidia-a100-80gb",
    "l4": "nvidia-l4",
    "h100 80gb": "nvidia-h100-80gb",
}
_DISKS = {
    "storage pd": "pd-standard",
    "balanced pd": "pd-balanced",
    "ssd backed pd": "pd-ssd",
}


class Sku(Protocol):
    """What is read of a SKU."""

    @property
    def id(self) -> str:
        """``2E27-4F75-95CD``."""

    @property
    def description(self) -> str:
        """Google's words for it."""

    @property
    def regions(self) -> Sequence[str]:
        """Where it holds; ``global``: anywhere."""

    @property
    def usage(self) -> str:
        """``OnDemand``, ``Preemptible``, ``Commit1Yr`` ..."""

    @property
    def usd(self) -> float | Decimal:
        """The last tier's unit price."""

    @property
    def unit(self) -> str:
        """``h``, ``GiBy.h``, ``GiBy.mo``."""

    @property
    def effective(self) -> datetime:
        """Since when it holds."""


Named = Callable[[re.Match[str]], tuple[PriceKind, str] | None]


def _part(match: re.Match[str]) -> tuple[PriceKind, str]:
    return "core" if match["part"].lower() == "core" else "memory", match["family"].lower()


def _gpu(match: re.Match[str]) -> tuple[PriceKind, str] | None:
    name = _GPUS.get(match["gpu"].lower())
    return ("gpu", name) if name else None


def _disk(match: re.Match[str]) -> tuple[PriceKind, str]:
    return "disk", _DISKS[match["disk"].lower()]


def _local_ssd(match: re.Match[str]) -> tuple[PriceKind, str]:
    return "local ssd", "local-ssd"


def _fee(match: re.Match[str]) -> tuple[PriceKind, str]:
    return "cluster", match["fee"].lower()


_DESCRIPTIONS: tuple[tuple[str, Named, tuple[str, ...]], ...] = (
    (
        _SPOT + r"(?P<family>[a-z]\d[a-z]?)(?: Predefined| AMD| Arm)? Instance "
        rf"(?P<part>Core|Ram){_PLACE}",
        _part,
        ("h", "GiBy.h"),
    ),
    (rf"Nvidia (?:Tesla )?(?P<gpu>[a-z0-9 ]+) GPU{_ATTACHED}{_PLACE}", _gpu, ("h",)),
    (rf"(?P<disk>{'|'.join(_DISKS)}) Capacity(?:{_PLACE})?", _disk, ("GiBy.mo",)),
    (rf"SSD backed Local Storage{_ATTACHED}(?:{_PLACE})?", _local_ssd, ("GiBy.mo", "GiBy.h")),
    (r"(?P<fee>Zonal|Regional) Kubernetes Clusters", _fee, ("h",)),
)
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE), named, frozenset(units))
    for pattern, named, units in _DESCRIPTIONS
)


def table_from_skus(skus: Iterable[Sku], region: str, when: datetime) -> PriceTable:
    """Return the prices that hold in a region, as read from the catalog at ``when``.

    A price whose day has not come is left aside; of several the one in force counts, which is the
    latest.
    """
    found: dict[object, tuple[tuple[datetime, float, str], Price]] = {}
    for sku in skus:
        price = _price(sku, region, when)
        if price is None:
            continue
        rank = (sku.effective, price.usd, sku.id)
        if price.key not in found or rank > found[price.key][0]:
            found[price.key] = (rank, price)
    return PriceTable.of(price for _rank, price in found.values())


def _price(sku: Sku, region: str, when: datetime) -> Price | None:
    usd = float(sku.usd)
    known = _recognised(sku)
    if known is None or not (region in sku.regions or "global" in sku.regions):
        return None
    if sku.effective > when or not (math.isfinite(usd) and usd > 0):
        return None
    kind, name, spot = known
    if kind == "local ssd" and sku.unit == "GiBy.h":
        usd *= HOURS_A_MONTH
    return Price(
        kind=kind,
        name=name,
        region=ANYWHERE if kind == "cluster" and region not in sku.regions else region,
        spot=spot,
        usd=usd,
        live=True,
        as_of=when.date(),
        source=f"Cloud Billing Catalog, SKU {sku.id}, {sku.description}",
    )


def _recognised(sku: Sku) -> tuple[PriceKind, str, bool] | None:
    for pattern, named, units in _PATTERNS:
        match = pattern.fullmatch(sku.description)
        if match is None or sku.unit not in units:
            continue
        known = named(match)
        if known is None:
            return None
        # Disks and clusters have no spot price.
        spot = bool(match.groupdict().get("spot"))
        if not _usage_fits(sku.usage, spot, known[0]):
            return None
        if known[0] in ("core", "memory") and (sku.unit == "h") != (known[0] == "core"):
            return None
        return *known, spot
    return None


def _usage_fits(usage: str, spot: bool, kind: PriceKind) -> bool:
    # The catalog files local SSDs of spot machines under OnDemand.
    return usage == ("Preemptible" if spot else "OnDemand") or (
        kind == "local ssd" and spot and usage == "OnDemand"
    )
