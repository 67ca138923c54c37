"""What things cost in the places of a run: live prices where they can be had, else shipped ones."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ProblemError
from core.gcp.catalog import COMPUTE_ENGINE, KUBERNETES_ENGINE, skus
from core.gcp.compute import machine_type
from core.gcp.errors import GoogleError
from core.gcp.specs import PoolSpec
from core.money.prices import shipped_table, store_prices, stored_prices
from core.money.skus import table_from_skus
from core.money.table import PriceItem, PriceTable, origins, region_of, usd_per_hour
from core.settings import Settings
from core.targets.gke.deployment import GkeDeployment, Rates

if TYPE_CHECKING:
    from core.gcp.connection import Google

PRICES_FILE = "prices.json"
GPU_NODE = "GPU node"
# 40,000 SKUs in pages of 5,000.
_CATALOG_S = 30.0
_SHAPE = re.compile(r"(n1|e2|g2)-(standard|highmem|highcpu)-(\d{1,3})")
_OF_GPUS = re.compile(r"a2-(high|ultra)gpu-(\d)g")
_CUSTOM = re.compile(r"(?:n1-|e2-)?custom-(\d{1,3})-(\d{1,7})(?:-ext)?")
_GIB_A_VCPU = {
    ("n1", "standard"): 3.75,
    ("n1", "highmem"): 6.5,
    ("n1", "highcpu"): 0.9,
    ("e2", "standard"): 4.0,
    ("e2", "highmem"): 8.0,
    ("e2", "highcpu"): 1.0,
    ("g2", "standard"): 4.0,
}
_A2_VCPUS = 12
_A2_GIB = {"high": 85.0, "ultra": 170.0}


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a machine type is billed."""

    vcpus: float
    memory_gb: float
    """GiB"""


_OTHER_SHAPES = {
    "e2-micro": Shape(2, 1.0),
    "e2-small": Shape(2, 2.0),
    "e2-medium": Shape(2, 4.0),
    "a2-megagpu-16g": Shape(96, 1360.0),
    "a3-highgpu-8g": Shape(208, 1872.0),
}


@dataclass(frozen=True, slots=True)
class Prices:
    """A table of prices, and what has to be said of it."""

    table: PriceTable
    note: str = ""
    """Why live prices are missing; empty: they are not."""

    def node(
        self,
        machine: str,
        shape: Shape | None,
        gpu: str,
        gpus: int,
        spot: bool,
        location: str,
    ) -> tuple[PriceItem, ...] | None:
        """Return what a node costs without its disk; None where that is not known."""
        if shape is None:
            return None
        return self.table.price_of_node(
            machine, shape.vcpus, shape.memory_gb, gpu, gpus, spot, region_of(location)
        )

    def pool(self, spec: PoolSpec, shape: Shape | None) -> tuple[PriceItem, ...] | None:
        """Return what one node of a pool costs with its disk; None where that is not known."""
        zone = spec.zones[0]
        node = self.node(spec.machine, shape, spec.gpu, spec.gpus, spec.spot, zone)
        disk = self.disk(spec.disk_type, spec.disk_gb, zone)
        return None if node is None or disk is None else (*node, *disk)

    def disk(self, disk_type: str, gib: float, location: str) -> tuple[PriceItem, ...] | None:
        """Return what a disk costs; None where that is not known."""
        return self.table.price_of_disk(disk_type, gib, region_of(location))

    def cluster(self, location: str) -> tuple[PriceItem, ...] | None:
        """Return a cluster's fee; None where that is not known."""
        region = region_of(location)
        return self.table.price_of_cluster(region, regional=region == location)

    def said_of(self, items: Iterable[PriceItem]) -> str:
        """Return where the prices of these things are from, in words for a screen."""
        found = origins(item.source for item in items)
        return "; ".join(filter(None, [found, self.note]))


@dataclass(frozen=True, slots=True)
class RunPrices:
    """What the parts of a run cost in one place; None where that is not known."""

    fee: tuple[PriceItem, ...] | None
    """The cluster's."""
    system: tuple[PriceItem, ...] | None
    """The node for the cluster's own pods, with its disk."""
    gpu: tuple[PriceItem, ...] | None
    """One GPU node, with its disk."""

    @property
    def items(self) -> tuple[PriceItem, ...]:
        """Return all that is known."""
        return (*(self.fee or ()), *(self.system or ()), *(self.gpu or ()))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what has no known price, in words."""
        parts = (("cluster fee", self.fee), ("system node", self.system), (GPU_NODE, self.gpu))
        return tuple(words for words, items in parts if items is None)

    def rates(self) -> Rates:
        """Return what is written down with each resource; 0 where a price is not known."""
        cluster = 0.0
        if self.fee is not None and self.system is not None:
            cluster = usd_per_hour((*self.fee, *self.system))
        return Rates(cluster, usd_per_hour(self.gpu or ()))


@dataclass
class PriceBook:
    """The prices of one run, read once, with the shapes of the machines that they are for."""

    deployment: GkeDeployment
    cache_path: Path
    _prices: Prices | None = None
    _shapes: dict[str, Shape] = field(default_factory=dict)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def prices(self) -> Prices:
        """Return the prices of all regions that the run may use."""
        async with self._reading:
            if self._prices is None:
                deployment = self.deployment
                self._prices = await price_table(
                    deployment.google(),
                    deployment.settings,
                    regions_of(deployment.settings),
                    self.cache_path,
                    deployment.clock(),
                )
            return self._prices

    def known(self) -> Prices:
        """Return what is known without asking anybody."""
        return self._prices or Prices(shipped_table())

    async def shape(self, machine: str, zone: str) -> Shape | None:
        """Return a machine type's shape by Google's own word, else by its name; None where neither
        tells.
        """
        if machine not in self._shapes:
            with contextlib.suppress(GoogleError):
                found = await machine_type(self.deployment.google(), zone, machine)
                if found is not None and found.vcpus and found.memory_gb:
                    self._shapes[machine] = Shape(found.vcpus, found.memory_gb)
        return self._shapes.get(machine) or known_shape(machine)

    def of_run(self, prices: Prices) -> RunPrices:
        """Return the prices of the run's parts at the deployment's place."""
        cluster, gpus = self.deployment.cluster_spec(), self.deployment.pool_spec()

        def shape(machine: str) -> Shape | None:
            return self._shapes.get(machine) or known_shape(machine)

        return RunPrices(
            prices.cluster(cluster.location),
            prices.pool(cluster.pool, shape(cluster.pool.machine)),
            prices.pool(gpus, shape(gpus.machine)),
        )


async def price_table(
    google: Google,
    settings: Settings,
    regions: Collection[str],
    cache_path: Path,
    now: datetime,
) -> Prices:
    """Return live prices over the shipped ones, or the shipped ones alone where the settings want
    that or the catalog cannot be read. Live prices are kept for a day in ``cache_path``.
    """
    if settings.prices == "shipped":
        return Prices(shipped_table(), "live prices were not asked for")
    kept = [stored_prices(cache_path, region, now) for region in regions]
    live = _joined(table for table in kept if table is not None)
    if not all(table is not None for table in kept):
        try:
            async with asyncio.timeout(_CATALOG_S):
                live = await _read(google, regions, now)
        except TimeoutError:
            return _unread(f"no answer within {_CATALOG_S:.0f} s")
        except ProblemError as problem:
            return _unread(problem.sentence.rstrip("."))
        # What cannot be kept is read again by the next run.
        with contextlib.suppress(ProblemError):
            store_prices(cache_path, live, regions, now)
    return Prices(live.over(shipped_table()))


def regions_of(settings: Settings) -> tuple[str, ...]:
    """Return the regions that a run may use, the first one first."""
    others = [part.strip() for part in (settings.regions or "").split(",") if part.strip()]
    listed = [region_of(zone) for zone in listed_zones(settings)]
    return tuple(dict.fromkeys([region_of(settings.zone), *listed, *others]))


def listed_zones(settings: Settings) -> tuple[str, ...]:
    """Return the zones that the settings name one by one, without the first one."""
    text = settings.zones or "region"
    if text in ("region", "none"):
        return ()
    return tuple(part.strip() for part in text.split(",") if part.strip())


def known_shape(machine: str) -> Shape | None:
    """Return a machine type's shape as its name tells it; None where it does not (source: "Machine
    families resource and comparison guide", cloud.google.com/compute/docs/machine-resource).
    """
    if found := _SHAPE.fullmatch(machine):
        gib = _GIB_A_VCPU.get((found[1], found[2]))
        return Shape(int(found[3]), gib * int(found[3])) if gib else None
    if found := _OF_GPUS.fullmatch(machine):
        count = int(found[2])
        return Shape(_A2_VCPUS * count, _A2_GIB[found[1]] * count)
    if found := _CUSTOM.fullmatch(machine):
        return Shape(int(found[1]), int(found[2]) / 1024)
    return _OTHER_SHAPES.get(machine)


async def _read(google: Google, regions: Collection[str], now: datetime) -> PriceTable:
    found = await asyncio.gather(
        skus(google, COMPUTE_ENGINE, regions), skus(google, KUBERNETES_ENGINE, regions)
    )
    every = [sku for listed in found for sku in listed]
    table = _joined(table_from_skus(every, region, now) for region in regions)
    if not table.prices:
        raise GoogleError("The Cloud Billing Catalog lists nothing that this program knows")
    return table


def _joined(tables: Iterable[PriceTable]) -> PriceTable:
    return PriceTable.of(price for table in tables for price in table.prices.values())


def _unread(why: str) -> Prices:
    return Prices(shipped_table(), f"the Cloud Billing Catalog could not be read: {why}")
