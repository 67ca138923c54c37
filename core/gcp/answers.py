"""Reading what Google answers: JSON in which a field may be missing, or of another type.

A number of 64 bits is a string there, a moment is RFC 3339 text, a resource is named by a URL
(AIP-142, AIP-122 and "JSON mapping" in the Protocol Buffers documentation).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

# Google gives up to nine digits of a second, and Python reads three or six.
_FRACTION = re.compile(r"\.(\d{1,6})\d*")


def text(answer: Mapping[str, Any], field: str) -> str:
    """Return a string; empty where there is none."""
    value = answer.get(field)
    return value if isinstance(value, str) else ""


def whole(answer: Mapping[str, Any], field: str) -> int:
    """Return a whole number, also from its text; 0 where there is none."""
    value = answer.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    try:
        return int(value)
    except (ValueError, OverflowError):
        return 0


def number(answer: Mapping[str, Any], field: str) -> float:
    """Return a finite number, also from its text; 0 where there is none."""
    value = answer.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0.0
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return 0.0
    return found if math.isfinite(found) else 0.0


def part(answer: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """Return an object; an empty one where there is none."""
    value = answer.get(field)
    return value if isinstance(value, dict) else {}


def parts(answer: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list; none where there is no list."""
    value = answer.get(field)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def texts(answer: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """Return the strings of a list; none where there is no list."""
    value = answer.get(field)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def labels(answer: Mapping[str, Any], field: str = "labels") -> dict[str, str]:
    """Return a map of strings; an empty one where there is none."""
    return {key: value for key, value in part(answer, field).items() if isinstance(value, str)}


def moment(answer: Mapping[str, Any], field: str) -> datetime | None:
    """Return a moment, with its zone; None where there is none."""
    try:
        found = datetime.fromisoformat(_FRACTION.sub(_microseconds, text(answer, field)))
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def last(url: str) -> str:
    """Return the last word of a resource's URL: its name."""
    return url.rstrip("/").rpartition("/")[2]


def _microseconds(fraction: re.Match[str]) -> str:
    return f".{fraction[1]:0<6}"
