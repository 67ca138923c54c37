"""Unit prices, and what a node, a disk or a cluster costs by them.

A machine is billed by its parts: vCPUs, memory, GPUs and built-in local SSDs, each at its own
price (https://cloud.google.com/compute/vm-instance-pricing). One part without a known price makes
the whole unknown: a total that lacks its GPU would be a confident wrong number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

PriceKind = Literal["core", "memory", "gpu", "disk", "local ssd", "cluster"]
PriceKey = tuple[str, str, str, bool]
"""Kind, name, region (``*``: any), spot."""

ANYWHERE = "*"
SPOT_BOUND = "on demand, as the upper bound of spot"

HOURS_A_MONTH = 730.0
"""Google's own month for prices by the month (365 days / 12)."""

_LOCAL_SSD_GIB = 375
# https://cloud.google.com/compute/docs/disks/local-ssd: what comes with each GPU of these machines.
_LOCAL_SSDS_A_GPU = {"a2-ultragpu": 1, "a3-highgpu": 2}
# https://cloud.google.com/compute/docs/general-purpose-machines#e2-shared-core: two vCPUs are seen,
# and these fractions of them billed.
_SHARED_CORES = {"e2-micro": 0.25, "e2-small": 0.5, "e2-medium": 1.0}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Price:
    """One unit price."""

    kind: PriceKind
    name: str
    """Machine family (``n1``), GPU type (``nvidia-tesla-t4``), disk type, ``zonal`` ..."""
    region: str
    spot: bool
    usd: float
    """An hour of one vCPU, GiB of memory, GPU or cluster; a month of one GiB of disk."""
    live: bool
    """Asked from the catalog, not shipped."""
    as_of: date
    source: str
    """What exactly it was read from."""

    @property
    def key(self) -> PriceKey:
        """Return what it is the price of."""
        return self.kind, self.name, self.region, self.spot

    @property
    def origin(self) -> str:
        """Return where it is from, with its date, in words that many prices share."""
        place = "live prices of" if self.live else "shipped prices as of"
        return f"{place} {self.as_of:%Y-%m-%d}"

    @property
    def usd_per_hour(self) -> float:
        """Return the price by the hour."""
        return self.usd / HOURS_A_MONTH if self.kind in ("disk", "local ssd") else self.usd


@dataclass(frozen=True, slots=True)
class PriceItem:
    """One price that makes up what a thing costs."""

    what: str
    usd_per_hour: float
    source: str
    """Origin, a colon, and what it was read from."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by what they are for."""

    prices: Mapping[PriceKey, Price] = field(default_factory=dict)

    @classmethod
    def of(cls, prices: Iterable[Price]) -> PriceTable:
        """Return the table of these prices; of two for the same the younger counts, of two of one
        day the higher, whatever their order. What is no positive number is no price.
        """
        found: dict[PriceKey, Price] = {}
        for price in prices:
            before = found.get(price.key)
            if not (math.isfinite(price.usd) and price.usd > 0):
                continue
            if before is None or _rank(price) > _rank(before):
                found[price.key] = price
        return cls(found)

    def over(self, other: PriceTable) -> PriceTable:
        """Return a table with this one's prices, and the other's where this one has none."""
        return PriceTable({**other.prices, **self.prices})

    def find(self, kind: PriceKind, name: str, region: str, spot: bool = False) -> Price | None:
        """Return a unit price, or None where it is not known."""
        keys = ((kind, name, place, spot) for place in (region, ANYWHERE))
        return next((self.prices[key] for key in keys if key in self.prices), None)

    def price_of_node(
        self,
        machine: str,
        vcpus: float,
        memory_gb: float,
        gpu: str,
        gpus: int,
        spot: bool,
        region: str,
    ) -> tuple[PriceItem, ...] | None:
        """Return what a node costs, without its boot disk; None where a part's price is not known.

        ``memory_gb`` is in GiB. A spot part whose spot price is not known stands at its price on
        demand, which spot never exceeds, and its source says so.
        """
        family = family_of(machine)
        cores = _SHARED_CORES.get(machine, vcpus)
        wanted: list[tuple[PriceKind, str, float, str]] = [
            ("core", family, cores, f"{cores:g} vCPU ({family.upper()})"),
            ("memory", family, memory_gb, f"{memory_gb:g} GiB memory ({family.upper()})"),
        ]
        if gpus:
            wanted.append(("gpu", gpu, gpus, f"{gpus} x {gpu}"))
            ssds = _LOCAL_SSDS_A_GPU.get(machine.rpartition("-")[0], 0) * gpus
            if ssds:
                size = ssds * _LOCAL_SSD_GIB
                wanted.append(("local ssd", "local-ssd", size, f"{size} GiB local SSD"))
        return self._items(wanted, spot, region)

    def price_of_disk(
        self, disk_type: str, gib: float, region: str
    ) -> tuple[PriceItem, ...] | None:
        """Return what a disk costs; None where its price is not known."""
        return self._items([("disk", disk_type, gib, f"{gib:g} GiB {disk_type}")], False, region)

    def price_of_cluster(self, region: str, *, regional: bool) -> tuple[PriceItem, ...] | None:
        """Return the cluster's management fee; None where it is not known.

        Google's monthly credit of $74.40 a billing account covers one zonal cluster's. Whether it
        is used up is not known here, so the fee counts.
        """
        name = "regional" if regional else "zonal"
        return self._items([("cluster", name, 1, f"{name} cluster fee")], False, region)

    def _items(
        self, wanted: Iterable[tuple[PriceKind, str, float, str]], spot: bool, region: str
    ) -> tuple[PriceItem, ...] | None:
        items = []
        for kind, name, amount, what in wanted:
            price = self.find(kind, name, region, spot)
            bound = price is None and spot
            price = price or (self.find(kind, name, region) if spot else None)
            if price is None:
                return None
            remark = f" ({SPOT_BOUND})" if bound else ""
            source = f"{price.origin}{remark}: {price.source}"
            words = f"{what}, spot" if spot else what
            items.append(PriceItem(words, amount * price.usd_per_hour, source))
        return tuple(items)


def usd_per_hour(items: Iterable[PriceItem]) -> float:
    """Return what these cost together."""
    return math.fsum(item.usd_per_hour for item in items)


def origins(sources: Iterable[str]) -> str:
    """Return where prices are from, each origin once, in the order of its first price; those that
    differ in their date only as one, with the first and the last date.
    """
    dates: dict[tuple[str, str], list[str]] = {}
    for source in sources:
        words, date, rest = _dated(source.partition(": ")[0])
        dates.setdefault((words, rest), []).append(date)
    return "; ".join(
        f"{words}{' to '.join(sorted({min(known), max(known)}))}{rest}"
        for (words, rest), known in dates.items()
    )


def _dated(origin: str) -> tuple[str, str, str]:
    found = _DATE.search(origin)
    if found is None:
        return origin, "", ""
    return origin[: found.start()], found[0], origin[found.end() :]


def family_of(machine: str) -> str:
    """Return the name under which a machine's vCPUs and memory are priced."""
    family, _, rest = machine.partition("-")
    if family == "custom":
        return "n1-custom"
    # Custom machines have prices of their own, as extended memory has; whole cores of E2 have not.
    if "-ext" in rest or (
        rest.startswith("custom") and (family != "e2" or not rest[7:8].isdigit())
    ):
        return f"{family}-custom"
    if family == "a3" and not rest.startswith("highgpu"):
        return machine.rpartition("-")[0]
    return family


def region_of(location: str) -> str:
    """Return a zone's region; a region is its own."""
    return re.sub(r"-[a-z]$", "", location)


def _rank(price: Price) -> tuple[date, float, str]:
    return price.as_of, price.usd, price.source
