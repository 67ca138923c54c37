"""Prices come live where they can be had, and say where they are from."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.gcp.connection import Google
from core.money.table import usd_per_hour
from core.settings import Settings
from core.targets.gke.pricing import (
    PriceBook,
    Prices,
    Shape,
    known_shape,
    price_table,
    regions_of,
)
from tests.core.targets.gke_run import GkeRun
from tests.core.targets.gke_scene import access_to, calls
from tests.google.capacity import MACHINES
from tests.google.world import GoogleWorld

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOME = "us-central1"


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld() as stand_in:
        yield stand_in


@pytest.fixture
async def google(world: GoogleWorld) -> AsyncIterator[Google]:
    async with Google(access_to(world)) as connected:
        yield connected


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"target": "gke", **values})


async def read(
    google: Google, folder: Path, *regions: str, now: datetime = NOW, **values: Any
) -> Prices:
    return await price_table(
        google, settings(**values), regions or (HOME,), folder / "prices.json", now
    )


def t4_node(prices: Prices, zone: str = "us-central1-a", **more: Any) -> float | None:
    shape = known_shape("n1-standard-4")
    gpu = ("nvidia-tesla-t4", 1, more.get("spot", False))
    items = prices.node("n1-standard-4", shape, *gpu, zone)
    return None if items is None else usd_per_hour(items)


async def test_live_prices_come_before_shipped_ones(google: Google, tmp_path: Path) -> None:
    prices = await read(google, tmp_path)
    assert prices.note == ""
    assert t4_node(prices) == pytest.approx(0.539999)
    assert t4_node(prices, spot=True) == pytest.approx(4 * 0.006655 + 15 * 0.000892 + 0.11)
    assert usd_per_hour(prices.cluster("us-central1-a") or ()) == pytest.approx(0.10)
    shape = Shape(2, 4)
    items = prices.node("e2-medium", shape, "", 0, False, "us-central1-a") or ()
    assert {item.source.partition(":")[0] for item in items} == {"live prices of 2026-11-23"}


async def test_they_are_kept_for_a_day_and_for_nobody_else(
    world: GoogleWorld, google: Google, tmp_path: Path
) -> None:
    await read(google, tmp_path)
    asked = calls(world, "cloudbilling.skus.list")
    later = await read(google, tmp_path, now=NOW + timedelta(hours=23))
    assert calls(world, "cloudbilling.skus.list") == asked
    assert t4_node(later) == pytest.approx(0.539999)
    assert stat.S_IMODE((tmp_path / "prices.json").stat().st_mode) == 0o600
    await read(google, tmp_path, now=NOW + timedelta(hours=25))
    assert calls(world, "cloudbilling.skus.list") == 2 * asked


async def test_another_region_than_was_kept_is_asked_for(
    world: GoogleWorld, google: Google, tmp_path: Path
) -> None:
    first = await read(google, tmp_path)
    assert t4_node(first, "us-west2-b") is None
    both = await read(google, tmp_path, HOME, "us-west2")
    assert t4_node(both, "us-west2-b") == pytest.approx(1.2 * 0.539999)
    assert t4_node(both) == pytest.approx(0.539999)


async def test_a_catalog_that_refuses_leaves_the_shipped_prices(
    world: GoogleWorld, google: Google, tmp_path: Path
) -> None:
    world.faults.add("cloudbilling.skus.list", "permission", times=-1)
    prices = await read(google, tmp_path)
    assert prices.note.startswith("the Cloud Billing Catalog could not be read: ")
    assert t4_node(prices) == pytest.approx(0.54, rel=0.01)
    assert not (tmp_path / "prices.json").exists()


async def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(
    google: Google, tmp_path: Path
) -> None:
    prices = await price_table(google, settings(), (HOME,), tmp_path / "no" / "x" / "p", NOW)
    assert prices.note == ""


async def test_shipped_prices_are_read_without_asking_anybody(
    world: GoogleWorld, google: Google, tmp_path: Path
) -> None:
    prices = await read(google, tmp_path, prices="shipped")
    assert world.calls == []
    assert prices.note == "live prices were not asked for"


async def test_the_catalog_is_read_once_a_run(world: GoogleWorld, tmp_path: Path) -> None:
    run = GkeRun(world, tmp_path)
    async with run.deployment:
        book = run.prospect.book
        assert await book.prices() is await book.prices()
        assert await book.shape("n1-standard-4", "us-central1-a") == Shape(4, 15)
        await book.shape("n1-standard-4", "us-central1-a")
    assert calls(world, "compute.machineTypes.get") == 1


async def test_a_shape_is_known_by_its_name_where_google_does_not_answer(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.faults.add("compute.machineTypes.get", "permission", times=-1)
    run = GkeRun(world, tmp_path)
    async with run.deployment:
        book = PriceBook(run.deployment, tmp_path / "prices.json")
        assert await book.shape("g2-standard-8", "us-central1-a") == Shape(8, 32)
        assert await book.shape("z9-mega-1", "us-central1-a") is None


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_names_tell_what_google_tells(machine: str) -> None:
    assert known_shape(machine) == Shape(*MACHINES[machine])


@pytest.mark.parametrize(
    ("machine", "shape"),
    [
        ("n1-highmem-8", Shape(8, 52)),
        ("n1-highcpu-16", Shape(16, 14.4)),
        ("custom-6-23040", Shape(6, 22.5)),
        ("a2-megagpu-16g", Shape(96, 1360)),
        ("a4-highgpu-8g", None),
        ("g2-highmem-4", None),
    ],
)
def test_names_of_other_machines(machine: str, shape: Shape | None) -> None:
    assert known_shape(machine) == shape


def test_the_regions_are_those_of_every_zone_that_may_be_tried() -> None:
    found = regions_of(settings(zones="us-west1-b,us-central1-c", regions="us-east1, us-west1"))
    assert found == ("us-central1", "us-west1", "us-east1")
