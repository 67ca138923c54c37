"""SKUs of the catalog: the ones that are meant, and none of the many that look like them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.gcp.catalog import parse_sku
from core.money.skus import table_from_skus
from core.money.table import PriceKind, usd_per_hour

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
IOWA = "us-central1"


@dataclass(frozen=True)
class Sku:
    """What the catalog's reader hands over."""

    description: str
    usd: float = 1.0
    unit: str = "h"
    usage: str = "OnDemand"
    regions: tuple[str, ...] = (IOWA, "us-east1", "us-west1")
    id: str = "0000-0000-0000"
    effective: datetime = NOON - timedelta(days=3)


@pytest.mark.parametrize(
    ("sku", "kind", "name", "spot"),
    [
        (Sku("N1 Predefined Instance Core running in Americas"), "core", "n1", False),
        (
            Sku("N1 Predefined Instance Ram running in Americas", unit="GiBy.h"),
            "memory",
            "n1",
            False,
        ),
        (
            Sku(
                "Spot Preemptible N1 Predefined Instance Core running in Americas",
                usage="Preemptible",
            ),
            "core",
            "n1",
            True,
        ),
        (Sku("Preemptible E2 Instance Core", usage="Preemptible"), None, "e2", True),
        (Sku("E2 Instance Core in Montreal"), "core", "e2", False),
        (Sku("N2D AMD Instance Core running in Americas"), "core", "n2d", False),
        (Sku("Nvidia Tesla T4 GPU running in Americas"), "gpu", "nvidia-tesla-t4", False),
        (
            Sku(
                "Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Americas",
                usage="Preemptible",
            ),
            "gpu",
            "nvidia-tesla-t4",
            True,
        ),
        (Sku("NVIDIA L4 GPU running in Americas"), "gpu", "nvidia-l4", False),
        (Sku("Nvidia Tesla A100 GPU running in Americas"), "gpu", "nvidia-tesla-a100", False),
        (Sku("Nvidia Tesla A100 80GB GPU running in Americas"), "gpu", "nvidia-a100-80gb", False),
        (Sku("Nvidia H100 80GB GPU running in Americas"), "gpu", "nvidia-h100-80gb", False),
        (Sku("Storage PD Capacity", unit="GiBy.mo"), "disk", "pd-standard", False),
        (Sku("Balanced PD Capacity in Iowa", unit="GiBy.mo"), "disk", "pd-balanced", False),
        (Sku("SSD backed PD Capacity", unit="GiBy.mo"), "disk", "pd-ssd", False),
        (Sku("SSD backed Local Storage", unit="GiBy.mo"), "local ssd", "local-ssd", False),
        (
            Sku("SSD backed Local Storage attached to Spot Preemptible VMs", unit="GiBy.mo"),
            "local ssd",
            "local-ssd",
            True,
        ),
        (Sku("Zonal Kubernetes Clusters", regions=("global",)), "cluster", "zonal", False),
        (Sku("Regional Kubernetes Clusters"), "cluster", "regional", False),
    ],
    ids=lambda value: value.description if isinstance(value, Sku) else "",
)
def test_a_sku_is_the_price_of_one_thing(
    sku: Sku, kind: PriceKind | None, name: str, spot: bool
) -> None:
    table = table_from_skus([sku], IOWA, NOON)
    if kind is None:
        assert not table.prices
        return
    assert len(table.prices) == 1
    found = table.find(kind, name, IOWA, spot)
    assert found is not None
    assert (found.usd, found.live, found.as_of) == (1.0, True, NOON.date())
    assert sku.id in found.source
    assert table.find(kind, name, IOWA, not spot) is None


@pytest.mark.parametrize(
    "sku",
    [
        Sku("Commitment v1: N1 Predefined Instance Core running in Americas for 1 Year"),
        Sku("N1 Predefined Instance Core running in Americas", usage="Commit1Yr"),
        Sku("N1 Predefined Instance Core running in Americas", usage="Preemptible"),
        Sku("Spot Preemptible N1 Predefined Instance Core running in Americas"),
        Sku("N1 Predefined Sole Tenancy Instance Core running in Americas"),
        Sku("Sole Tenancy Premium for N1 Predefined Sole Tenancy Instance Core"),
        Sku("Reserved N1 Predefined Instance Core running in Americas"),
        Sku("N2 Custom Instance Core running in Americas"),
        Sku("N2 Custom Extended Instance Ram running in Americas", unit="GiBy.h"),
        Sku("DWS Defined Duration A3 Ultra Instance Core running in Americas"),
        Sku("Reserved Nvidia Tesla T4 GPU running in Americas"),
        Sku("Nvidia Tesla T4 Virtual Workstation GPU running in Americas"),
        Sku("Nvidia H100 80GB Plus GPU running in Americas"),
        Sku("Regional Balanced PD Capacity", unit="GiBy.mo"),
        Sku("Storage PD Snapshot", unit="GiBy.mo"),
        Sku("Autopilot Kubernetes Clusters"),
        Sku("N1 Predefined Instance Core running in Americas", unit="mo"),
        Sku("N1 Predefined Instance Core running in Americas", unit="GiBy.h"),
        Sku("N1 Predefined Instance Ram running in Americas", unit="h"),
        Sku("N1 Predefined Instance Core running in Frankfurt", regions=("europe-west3",)),
        Sku("N1 Predefined Instance Core running in Americas", usd=0.0),
        Sku("N1 Predefined Instance Core running in Americas", usd=float("nan")),
        Sku(
            "N1 Predefined Instance Core running in Americas", effective=NOON + timedelta(seconds=1)
        ),
    ],
    ids=lambda sku: f"{sku.description} {sku.usage} {sku.unit}",
)
def test_what_only_looks_like_it_is_left_aside(sku: Sku) -> None:
    assert not table_from_skus([sku], IOWA, NOON).prices


@given(st.permutations([(0.03, 9), (0.04, 5), (0.05, 7)]))
def test_the_latest_price_in_force_counts(found: list[tuple[float, int]]) -> None:
    skus = [
        Sku(
            "N1 Predefined Instance Core running in Americas",
            usd=usd,
            effective=NOON - timedelta(days=days),
        )
        for usd, days in found
    ]
    price = table_from_skus(skus, IOWA, NOON).find("core", "n1", IOWA)
    assert price is not None
    assert price.usd == 0.04


def test_a_local_ssd_by_the_hour_is_the_same_as_by_the_month() -> None:
    usd = []
    for unit, amount in (("GiBy.h", 0.08 / 730), ("GiBy.mo", 0.08)):
        table = table_from_skus(
            [Sku("SSD backed Local Storage", usd=amount, unit=unit)], IOWA, NOON
        )
        found = table.find("local ssd", "local-ssd", IOWA)
        assert found is not None
        usd.append(found.usd_per_hour)
    assert usd[0] == pytest.approx(usd[1])


def test_a_whole_spot_node_is_priced_from_the_catalog() -> None:
    spot = "Preemptible"
    table = table_from_skus(
        [
            Sku(
                "Spot Preemptible N1 Predefined Instance Core running in Americas", 0.01, "h", spot
            ),
            Sku(
                "Spot Preemptible N1 Predefined Instance Ram running in Americas",
                *(0.001, "GiBy.h", spot),
            ),
            Sku(
                "Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Americas",
                *(0.14, "h", spot),
            ),
        ],
        IOWA,
        NOON,
    )
    items = table.price_of_node("n1-standard-4", 4, 15, "nvidia-tesla-t4", 1, True, IOWA)
    assert items is not None
    assert usd_per_hour(items) == pytest.approx(0.04 + 0.015 + 0.14)
    assert table.price_of_node("n1-standard-4", 4, 15, "nvidia-tesla-t4", 1, False, IOWA) is None


def test_what_the_catalogs_reader_makes_of_an_answer_is_understood() -> None:
    answer = {
        "skuId": "6B92-A835-08AB",
        "description": "Zonal Kubernetes Clusters",
        "category": {"usageType": "OnDemand"},
        "serviceRegions": ["global"],
        "pricingInfo": [
            {
                "effectiveTime": "2026-11-22T08:00:00Z",
                "pricingExpression": {
                    "usageUnit": "h",
                    "tieredRates": [
                        {"unitPrice": {"currencyCode": "USD", "units": "0", "nanos": 100000000}}
                    ],
                },
            }
        ],
    }
    sku = parse_sku(answer)
    assert sku is not None
    items = table_from_skus([sku], IOWA, NOON).price_of_cluster(IOWA, regional=False)
    assert items is not None
    assert [(item.what, item.usd_per_hour) for item in items] == [("zonal cluster fee", 0.1)]
    assert items[0].source == (
        "live prices of 2026-11-23: Cloud Billing Catalog, SKU 6B92-A835-08AB, Zonal Kubernetes "
        "Clusters"
    )
