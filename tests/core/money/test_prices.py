"""The shipped table, what nodes cost by it, and the file that keeps live prices for a day."""

from __future__ import annotations

import json
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money.prices import shipped_table, store_prices, stored_prices
from core.money.table import (
    Price,
    PriceItem,
    PriceKind,
    PriceTable,
    family_of,
    origins,
    region_of,
    usd_per_hour,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
IOWA = "us-central1"


def price(usd: float, kind: PriceKind = "core", name: str = "n1", **values: object) -> Price:
    fields: dict[str, object] = {
        "kind": kind,
        "name": name,
        "region": IOWA,
        "spot": False,
        "usd": usd,
        "live": True,
        "as_of": date(2026, 11, 23),
        "source": "the test",
    }
    return Price(**(fields | values))  # type: ignore[arg-type]


def node_usd(table: PriceTable, *machine: object, spot: bool = False) -> float | None:
    items = table.price_of_node(*machine, spot, IOWA)  # type: ignore[arg-type]
    return None if items is None else usd_per_hour(items)


class TestShipped:
    """Against list prices of whole machines, which Google publishes apart from their parts."""

    @pytest.mark.parametrize(
        ("machine", "listed"),
        [
            (("n1-standard-4", 4, 15, "", 0), 0.19),
            (("n1-standard-4", 4, 15, "nvidia-tesla-t4", 1), 0.54),
            (("e2-medium", 2, 4, "", 0), 0.03350571),
            (("e2-micro", 2, 1, "", 0), 0.00837643),
            (("e2-standard-4", 4, 16, "", 0), 0.13402),
            (("g2-standard-4", 4, 16, "nvidia-l4", 1), 0.70683),
            (("a2-highgpu-1g", 12, 85, "nvidia-tesla-a100", 1), 3.673385),
            (("a2-ultragpu-1g", 12, 170, "nvidia-a100-80gb", 1), 5.06879789),
        ],
    )
    def test_the_parts_add_up_to_the_listed_machine(
        self, machine: tuple[object, ...], listed: float
    ) -> None:
        assert node_usd(shipped_table(), *machine) == pytest.approx(listed, rel=1e-4)

    def test_a_node_is_its_parts_each_with_its_source_and_date(self) -> None:
        items = shipped_table().price_of_node(
            "n1-standard-4", 4, 15, "nvidia-tesla-t4", 1, False, IOWA
        )
        assert items is not None
        assert [item.what for item in items] == [
            "4 vCPU (N1)",
            "15 GiB memory (N1)",
            "1 x nvidia-tesla-t4",
        ]
        assert [item.usd_per_hour for item in items] == [4 * 0.031611, 15 * 0.004237, 0.35]
        assert all(item.source.startswith("shipped prices as of 2026-") for item in items)
        assert origins(item.source for item in items) == "shipped prices as of 2026-11-22"

    @pytest.mark.parametrize(
        ("machine", "region"),
        [
            (("a3-highgpu-8g", 208, 1872, "nvidia-h100-80gb", 8), IOWA),
            (("n1-standard-4", 4, 15, "nvidia-tesla-k80", 1), IOWA),
            (("n1-standard-4", 4, 15, "nvidia-tesla-t4", 1), "mars-north1"),
            (("n1-custom-4-16384", 4, 16, "", 0), IOWA),
            (("z9-standard-4", 4, 16, "", 0), IOWA),
        ],
    )
    def test_one_unknown_part_makes_the_whole_unknown(
        self, machine: tuple[object, ...], region: str
    ) -> None:
        assert shipped_table().price_of_node(*machine, False, region) is None  # type: ignore[arg-type]

    def test_spot_without_a_spot_price_stands_at_its_bound_and_says_so(self) -> None:
        machine = ("n1-standard-4", 4, 15, "nvidia-tesla-t4", 1)
        items = shipped_table().price_of_node(*machine, True, IOWA)
        assert items is not None
        assert usd_per_hour(items) == pytest.approx(0.54, rel=1e-5)
        assert all("upper bound of spot" in item.source for item in items)
        live = PriceTable.of([price(0.11, "gpu", "nvidia-tesla-t4", spot=True)])
        mixed = live.over(shipped_table()).price_of_node(*machine, True, IOWA)
        assert mixed is not None
        assert mixed[2].usd_per_hour == 0.11
        assert "upper bound" not in mixed[2].source
        assert "upper bound" in mixed[0].source

    def test_disks_are_priced_by_the_month_and_billed_by_the_hour(self) -> None:
        items = shipped_table().price_of_disk("pd-balanced", 73, IOWA)
        assert items is not None
        assert usd_per_hour(items) == pytest.approx(0.01)
        assert shipped_table().price_of_disk("hyperdisk-balanced", 73, IOWA) is None

    @pytest.mark.parametrize("regional", [False, True])
    def test_a_cluster_has_its_fee_everywhere(self, regional: bool) -> None:
        items = shipped_table().price_of_cluster("mars-north1", regional=regional)
        assert items is not None
        assert usd_per_hour(items) == 0.10

    def test_no_spot_price_ships_and_every_price_has_a_date_and_a_source(self) -> None:
        for entry in shipped_table().prices.values():
            assert not entry.spot
            assert not entry.live
            assert date(2024, 1, 1) < entry.as_of < date(2027, 1, 1)
            assert len(entry.source) > 20


class TestTable:
    """Which of several prices counts."""

    @given(
        st.lists(st.tuples(st.floats(0.001, 10), st.dates()), min_size=1, max_size=6),
        st.randoms(use_true_random=False),
    )
    def test_the_order_of_prices_says_nothing(
        self, found: list[tuple[float, date]], random: object
    ) -> None:
        prices = [price(usd, as_of=day) for usd, day in found]
        shuffled = list(prices)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        assert PriceTable.of(prices) == PriceTable.of(shuffled)
        youngest = max(day for _usd, day in found)
        chosen = PriceTable.of(prices).find("core", "n1", IOWA)
        assert chosen is not None
        assert (chosen.as_of, chosen.usd) == (
            youngest,
            max(usd for usd, day in found if day == youngest),
        )

    @pytest.mark.parametrize("usd", [0.0, -1.0, float("nan"), float("inf")])
    def test_what_no_price_can_be_is_none(self, usd: float) -> None:
        assert PriceTable.of([price(usd)]).find("core", "n1", IOWA) is None

    def test_a_live_price_comes_before_a_shipped_one_and_each_says_which(self) -> None:
        table = PriceTable.of([price(0.04)]).over(shipped_table())
        items = table.price_of_node("n1-standard-1", 1, 3.75, "", 0, False, IOWA)
        assert items is not None
        assert items[0] == PriceItem("1 vCPU (N1)", 0.04, "live prices of 2026-11-23: the test")
        assert (
            origins(item.source for item in items)
            == "live prices of 2026-11-23; shipped prices as of 2026-11-22"
        )

    @given(st.floats(0.1, 96), st.floats(0.1, 96), st.integers(1, 8))
    def test_more_of_anything_costs_more(self, few: float, more: float, gpus: int) -> None:
        small, large = sorted((few, more))
        table = shipped_table()
        prices = [
            node_usd(table, "n1-standard-4", vcpus, 15, "nvidia-tesla-t4", count)
            for vcpus, count in ((small, gpus), (large, gpus), (large, gpus + 1))
        ]
        assert prices == sorted(prices)  # type: ignore[type-var]

    @pytest.mark.parametrize(
        ("machine", "family"),
        [
            ("n1-standard-4", "n1"),
            ("custom-4-16384", "n1-custom"),
            ("e2-custom-4-8192", "e2"),
            ("e2-custom-medium-4096", "e2-custom"),
            ("n2-custom-4-16384-ext", "n2-custom"),
            ("a3-highgpu-8g", "a3"),
            ("a3-megagpu-8g", "a3-megagpu"),
        ],
    )
    def test_families(self, machine: str, family: str) -> None:
        assert family_of(machine) == family

    def test_a_zone_lies_in_its_region(self) -> None:
        assert region_of("us-central1-a") == region_of("us-central1") == "us-central1"


class TestFile:
    """Prices that were asked for today need not be asked for again."""

    def kept(self, folder: Path, when: datetime = NOON) -> tuple[Path, PriceTable]:
        path = folder / "prices.json"
        table = PriceTable.of([price(0.04), price(0.1, "gpu", "nvidia-l4", spot=True)])
        store_prices(path, table, [IOWA], when)
        return path, table

    def test_what_was_kept_comes_back(self, tmp_path: Path) -> None:
        path, table = self.kept(tmp_path)
        assert stored_prices(path, IOWA, NOON + timedelta(hours=23, minutes=59)) == table

    def test_it_is_its_owners_only(self, tmp_path: Path) -> None:
        path, _table = self.kept(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    @pytest.mark.parametrize("age", [timedelta(days=1), timedelta(seconds=-1)])
    def test_a_day_old_or_from_the_future_it_is_not_used(
        self, tmp_path: Path, age: timedelta
    ) -> None:
        path, _table = self.kept(tmp_path)
        assert stored_prices(path, IOWA, NOON + age) is None

    def test_another_regions_prices_are_not_used(self, tmp_path: Path) -> None:
        path, _table = self.kept(tmp_path)
        assert stored_prices(path, "us-east1", NOON) is None

    @pytest.mark.parametrize(
        "damage",
        [
            b"",
            b"{",
            b"[]",
            b"\xff\xfe",
            b'{"version": 1}',
            b"null",
            b'{"version":1,"read_at":"2026-11-23T12:00:00","regions":[],"prices":[]}',
        ],
    )
    def test_a_damaged_file_is_no_file(self, tmp_path: Path, damage: bytes) -> None:
        path, _table = self.kept(tmp_path)
        path.write_bytes(damage)
        assert stored_prices(path, IOWA, NOON) is None

    @pytest.mark.parametrize(
        ("field", "value"),
        [("kind", "soul"), ("spot", "no"), ("usd", "much"), ("as_of", "today"), ("usd", None)],
    )
    def test_an_entry_that_cannot_be_spoils_the_file(
        self, tmp_path: Path, field: str, value: object
    ) -> None:
        path, _table = self.kept(tmp_path)
        document = json.loads(path.read_text())
        document["prices"][0][field] = value
        path.write_text(json.dumps(document))
        assert stored_prices(path, IOWA, NOON) is None

    def test_no_file_is_no_price(self, tmp_path: Path) -> None:
        assert stored_prices(tmp_path / "none", IOWA, NOON) is None
        assert stored_prices(tmp_path, IOWA, NOON) is None


def test_origins_that_differ_in_their_date_only_are_said_once() -> None:
    sources = ("list as of 2026-11-22: a", "list as of 2025-01-01: b", "live of 2026-11-23: c")
    assert origins(sources) == "list as of 2025-01-01 to 2026-11-22; live of 2026-11-23"
