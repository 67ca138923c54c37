"""Google's price list, read as it is written."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.gcp.catalog import COMPUTE_ENGINE, KUBERNETES_ENGINE, dollars, parse_sku, skus
from core.gcp.errors import DeniedError
from tests.core.gcp.at_stand_in import connection
from tests.core.gcp.rest_side import Refused, RestSide
from tests.google.world import GoogleWorld

T4: dict[str, Any] = {
    "name": "services/6F81-5844-456A/skus/5B35-8A7B-5C7A",
    "skuId": "5B35-8A7B-5C7A",
    "description": "Nvidia Tesla T4 GPU running in Americas",
    "category": {
        "serviceDisplayName": "Compute Engine",
        "resourceFamily": "Compute",
        "resourceGroup": "GPU",
        "usageType": "OnDemand",
    },
    "serviceRegions": ["us-central1", "us-east1", "us-west1"],
    "pricingInfo": [
        {
            "summary": "",
            "pricingExpression": {
                "usageUnit": "h",
                "displayQuantity": 1,
                "tieredRates": [
                    {
                        "startUsageAmount": 0,
                        "unitPrice": {"currencyCode": "USD", "units": "0", "nanos": 350000000},
                    }
                ],
            },
            "currencyConversionRate": 1,
            "effectiveTime": "2026-11-22T10:31:22.164Z",
        }
    ],
}
SKUS = f"/v1/services/{COMPUTE_ENGINE}/skus"


def changed(**fields: Any) -> dict[str, Any]:
    return {**T4, **fields}


def priced(*rates: dict[str, Any]) -> dict[str, Any]:
    expression = {"usageUnit": "GiBy.mo", "tieredRates": [{"unitPrice": rate} for rate in rates]}
    return changed(
        pricingInfo=[{"pricingExpression": expression, "effectiveTime": "2026-11-22T10:31:22.164Z"}]
    )


def usd(units: str | int, nanos: int) -> dict[str, Any]:
    return {"currencyCode": "USD", "units": units, "nanos": nanos}


def test_a_sku_is_read_with_its_price_unit_and_date() -> None:
    sku = parse_sku(T4)

    assert sku is not None
    assert sku.id == "5B35-8A7B-5C7A"
    assert sku.description == "Nvidia Tesla T4 GPU running in Americas"
    assert sku.regions == ("us-central1", "us-east1", "us-west1")
    assert sku.usage == "OnDemand"
    assert sku.usd == Decimal("0.35")
    assert sku.unit == "h"
    assert sku.effective == datetime(2026, 11, 22, 10, 31, 22, 164000, UTC)


def test_the_price_is_the_last_tiers() -> None:
    sku = parse_sku(priced(usd("0", 0), usd("0", 40000000)))
    assert sku is not None
    assert sku.usd == Decimal("0.04")


def test_of_several_prices_the_latest_counts() -> None:
    old = {**priced(usd("9", 0))["pricingInfo"][0], "effectiveTime": "2025-01-01T00:00:00Z"}
    sku = parse_sku(changed(pricingInfo=[*T4["pricingInfo"], old]))
    assert sku is not None
    assert sku.usd == Decimal("0.35")


@pytest.mark.parametrize(
    "item",
    [
        {},
        changed(pricingInfo=[]),
        changed(skuId=""),
        priced(),
        priced({"currencyCode": "EUR", "units": "1", "nanos": 0}),
        priced({"units": "1"}),
        priced(usd("NaN", 0)),
        priced(usd("1e5", 0)),
        priced(usd("-1", 0)),
        priced(usd("0", -1)),
        priced(usd("0", 10**9)),
        changed(pricingInfo="free"),
    ],
)
def test_what_has_no_readable_price_is_no_price(item: dict[str, Any]) -> None:
    assert parse_sku(item) is None


@given(units=st.integers(0, 2**63 - 1), nanos=st.integers(0, 10**9 - 1), as_text=st.booleans())
def test_an_amount_is_exact_to_the_nano(units: int, nanos: int, as_text: bool) -> None:
    amount = dollars(usd(str(units) if as_text else units, nanos))
    assert amount is not None
    assert amount * 10**9 == units * 10**9 + nanos


@given(
    item=st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "skuId",
                        "pricingInfo",
                        "pricingExpression",
                        "tieredRates",
                        "unitPrice",
                        "units",
                    ]
                ),
                inner,
            )
        ),
    ).filter(lambda each: isinstance(each, dict))
)
def test_nothing_odd_in_the_list_breaks_its_reading(item: dict[str, Any]) -> None:
    assert parse_sku(item) is None


async def test_the_list_is_read_to_its_last_page_for_the_regions_asked_for(tmp_path: Path) -> None:
    elsewhere = changed(skuId="EU", serviceRegions=["europe-west4"])
    everywhere = changed(skuId="ALL", serviceRegions=["global"])
    async with RestSide(tmp_path) as side:
        side.answer(
            *("GET", SKUS),
            {"skus": [T4, elsewhere], "nextPageToken": "next"},
            {"skus": [everywhere, {"skuId": "unreadable"}], "nextPageToken": ""},
        )
        found = await skus(side.google, regions=["us-central1"])

        assert [sku.id for sku in found] == ["5B35-8A7B-5C7A", "ALL"]
        first, second = side.asked("GET", SKUS)
        assert first.query["currencyCode"] == "USD"
        assert "pageToken" not in first.query
        assert second.query["pageToken"] == "next"


async def test_a_refused_list_is_an_error_and_no_empty_one(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("GET", SKUS, Refused(403, "PERMISSION_DENIED"))
        with pytest.raises(DeniedError):
            await skus(side.google)


async def test_both_lists_that_a_cluster_needs_are_read_however_long_they_are() -> None:
    async with GoogleWorld(speed=600) as world, connection(world) as google:
        whole = await skus(google)
        world.projects.sku_page_size = 7
        paged = await skus(google)
        cluster = await skus(google, KUBERNETES_ENGINE)
        calls = [call for call in world.calls if call.name == "cloudbilling.skus.list"]

    assert paged == whole
    assert len(calls) > 3
    assert Decimal("0.10") in {sku.usd for sku in cluster}
    prices = {(sku.description, sku.usage): sku.usd for sku in whole}
    assert prices["Nvidia Tesla T4 GPU running in Americas", "OnDemand"] == Decimal("0.35")
