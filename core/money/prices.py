"""Prices that need no question to Google: the table that ships with the program, and the file that
keeps what the catalog said for a day (``core.money.skus`` reads the catalog's own answer).

A live price comes before a shipped one, each says which it is (``PriceTable.over``).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tomllib
from collections.abc import Collection
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmark.files import write_atomically
from core.money.table import Price, PriceTable
from core.text import harmless

KEPT_FOR = timedelta(days=1)
"""How old a cache file's prices may be: Google lists a day's prices under one date, and changes
spot prices at most every 30 days.
"""

_VERSION = 1
_LARGEST_FILE = 4 * 2**20
_KINDS = frozenset({"core", "memory", "gpu", "disk", "local ssd", "cluster"})


@functools.cache
def shipped_table() -> PriceTable:
    """Return the dated list prices that ship with the program, on demand only."""
    document = tomllib.loads(
        files("core.money").joinpath("prices.toml").read_text(encoding="utf-8")
    )
    return PriceTable.of(
        Price(
            kind=entry["kind"],
            name=entry["name"],
            region=region,
            spot=False,
            usd=entry["usd"],
            live=False,
            as_of=entry["as_of"],
            source=entry["source"],
        )
        for entry in document["price"]
        for region in entry["regions"]
    )


def store_prices(path: Path, table: PriceTable, regions: Collection[str], when: datetime) -> None:
    """Keep prices that were read at ``when`` for these regions, in a file for its owner only.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    document = {
        "version": _VERSION,
        "read_at": when.isoformat(),
        "regions": sorted(regions),
        "prices": [
            {
                "kind": price.kind,
                "name": price.name,
                "region": price.region,
                "spot": price.spot,
                "usd": price.usd,
                "as_of": price.as_of.isoformat(),
                "source": price.source,
            }
            for price in table.prices.values()
        ],
    }
    write_atomically(path, json.dumps(document, indent=1) + "\n")
    path.chmod(0o600)


def stored_prices(path: Path, region: str, now: datetime) -> PriceTable | None:
    """Return the prices of a file that was kept for this region at most a day ago, else None: also
    when it is damaged, another's or from the future, for the catalog can be asked again.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return _read(path, region, now)
    return None


def _read(path: Path, region: str, now: datetime) -> PriceTable | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        if os.fstat(descriptor).st_uid != os.geteuid():
            return None
        document = json.loads(stream.read(_LARGEST_FILE))
    age = now - datetime.fromisoformat(document["read_at"])
    if document["version"] != _VERSION or region not in document["regions"]:
        return None
    if not timedelta(0) <= age < KEPT_FOR:
        return None
    return PriceTable.of(_stored(entry) for entry in document["prices"])


def _stored(entry: dict[str, Any]) -> Price:
    if entry["kind"] not in _KINDS or not isinstance(entry["spot"], bool):
        raise ValueError("no price of this program")
    return Price(
        kind=entry["kind"],
        name=str(entry["name"]),
        region=str(entry["region"]),
        spot=entry["spot"],
        usd=float(entry["usd"]),
        live=True,
        as_of=date.fromisoformat(entry["as_of"]),
        source=harmless(str(entry["source"])),
    )
