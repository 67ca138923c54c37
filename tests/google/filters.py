"""Compute Engine's ``filter``: labels and plain fields, joined by AND."""

from __future__ import annotations

import re
from typing import Any

from tests.google.refusals import Refusal

_TERM = re.compile(r"\(?\s*([\w.-]+)\s*(!=|=|:|\seq\s|\sne\s)\s*\"?([^\")]*)\"?\s*\)?")


def fits(item: dict[str, Any], text: str) -> bool:
    """Whether an item is meant. Raises: Refusal for what the stand-in cannot read."""
    return all(_one(item, term) for term in re.split(r"\s+AND\s+", text.strip()) if term)


def _one(item: dict[str, Any], term: str) -> bool:
    found = _TERM.fullmatch(term.strip())
    if found is None:
        raise Refusal("INVALID_ARGUMENT", f"Invalid value for field 'filter': '{term}'.")
    name, operator, wanted = found[1], found[2].strip(), found[3].strip()
    value: Any = item
    for part in name.split(".", 1):
        value = value.get(part) if isinstance(value, dict) else None
    if operator == ":" and wanted == "*":
        return value is not None
    if operator == ":":
        return wanted in str(value)
    same = value is not None and str(value) == wanted
    return same == (operator in ("=", "eq"))
