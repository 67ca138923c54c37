"""Google's public price list: the Cloud Billing Catalog API v1, ``services.skus.list``
(cloud.google.com/billing/docs/reference/rest/v1/services.skus/list).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from core.gcp.answers import moment, part, parts, text, texts

if TYPE_CHECKING:
    from core.gcp.connection import Google

COMPUTE_ENGINE = "6F81-5844-456A"
KUBERNETES_ENGINE = "CCD8-9BF1-090E"
"""Ids of Google's services in the catalog."""

# 40,000 SKUs with all their fields are some 80 MB; a page holds 5,000 at most.
_FIELDS = (
    "nextPageToken,"
    "skus(skuId,description,category/usageType,serviceRegions,"
    "pricingInfo(effectiveTime,pricingExpression(usageUnit,tieredRates)))"
)
_PAGE = 5000
_NANO = Decimal(10) ** -9
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Sku:
    """Something that Google sells, at its price for who has used the most."""

    id: str
    description: str
    """``N1 Predefined Instance Core running in Americas``"""
    regions: tuple[str, ...]
    """``us-central1`` ..., or ``global``"""
    usage: str
    """``OnDemand``, ``Preemptible``, ``Commit1Yr`` ..."""
    usd: Decimal
    """US dollars for one ``unit``, by the last tier."""
    unit: str
    """UCUM: ``h``, ``GiBy.h``, ``GiBy.mo`` ..."""
    effective: datetime


async def skus(
    google: Google, service_id: str = COMPUTE_ENGINE, regions: Collection[str] = ()
) -> list[Sku]:
    """Return what a service sells for dollars, in these regions and everywhere; in all regions
    where none is named. What has no readable price is left out: no price is better than a wrong
    one.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    wanted = {*regions, "global"} if regions else None
    found: list[Sku] = []
    query = {"currencyCode": "USD", "pageSize": str(_PAGE), "fields": _FIELDS}
    path = f"/v1/services/{service_id}/skus"
    asked = "reading the price list"
    async for page in google.documents("cloudbilling", path, query=query, asked=asked):
        for item in parts(page, "skus"):
            if wanted is not None and wanted.isdisjoint(texts(item, "serviceRegions")):
                continue
            if (sku := parse_sku(item)) is not None:
                found.append(sku)
    return found


def parse_sku(item: Mapping[str, Any]) -> Sku | None:
    """Return a SKU as the catalog describes it; None where it has no readable price in dollars."""
    prices = parts(item, "pricingInfo")
    if not prices or not text(item, "skuId"):
        return None
    # Latest last, though with no time range asked for there is only one.
    latest = max(prices, key=lambda info: moment(info, "effectiveTime") or _EPOCH)
    expression = part(latest, "pricingExpression")
    rates = parts(expression, "tieredRates")
    usd = dollars(part(rates[-1], "unitPrice")) if rates else None
    if usd is None or not text(expression, "usageUnit"):
        return None
    return Sku(
        id=text(item, "skuId"),
        description=text(item, "description"),
        regions=texts(item, "serviceRegions"),
        usage=text(part(item, "category"), "usageType"),
        usd=usd,
        unit=text(expression, "usageUnit"),
        effective=moment(latest, "effectiveTime") or _EPOCH,
    )


def dollars(money: Mapping[str, Any]) -> Decimal | None:
    """Return an amount of ``google.type.Money``: units (text of 64 bits) and nanos, either of
    which may be missing; None where it is no amount of dollars.
    """
    units, nanos = money.get("units", "0"), money.get("nanos", 0)
    if money.get("currencyCode") != "USD" or isinstance(units, bool) or isinstance(nanos, bool):
        return None
    if not isinstance(nanos, int) or not 0 <= nanos < 10**9:
        return None
    # Decimal itself would take "1e5", "NaN" and other scripts' digits.
    if not re.fullmatch(r"[0-9]{1,19}", str(units)):
        return None
    return Decimal(str(units)) + nanos * _NANO
