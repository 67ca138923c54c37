"""Turns pydantic's findings into sentences that name the place, the field and the mend."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class Record(BaseModel):
    """Base of everything that is stored or sent: frozen, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Tolerant(BaseModel):
    """Base of what is read from a newer writer too: unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


_CLEARER = {
    "extra_forbidden": "is not a known field",
    "missing": "is missing",
}


def findings(error: ValidationError) -> list[tuple[str, str]]:
    """Return every finding as (dotted field, what is wrong with it), at most 20 of them."""
    found = []
    details = error.errors(include_url=False, include_context=False)
    places = [detail["loc"] for detail in details]
    for detail in details[:20]:
        place = detail["loc"]
        # A sequence whose items are all wrong counts as empty too, which says nothing new.
        if detail["type"] == "too_short" and any(
            len(other) > len(place) and other[: len(place)] == place for other in places
        ):
            continue
        field = ".".join(_printable(str(part)) for part in place)
        message = _CLEARER.get(detail["type"], detail["msg"])
        message = message.removeprefix("Value error, ").removeprefix("Input ")
        if detail["type"] not in _CLEARER and not isinstance(detail["input"], dict | list):
            message = f"{message} (got {_shown(detail['input'])})"
        found.append((field, message))
    return found


def validate_typed(model: type[Model], values: dict[str, Any]) -> Model:
    """Validate values from a file that has types of its own, where a number in quotes or a truth
    value for a number is a mistake and no convenience. By way of JSON, because only there strict
    still means: enumerations and paths from their words.
    """
    return model.model_validate_json(json.dumps(values, default=str), strict=True)


def sentence_of(error: ValidationError) -> str:
    """Return every finding in one line: ``field: what; field: what``."""
    return "; ".join(f"{field}: {what}" if field else what for field, what in findings(error))


def _printable(name: str) -> str:
    """Return a field's name, which a stranger's file chose, as text that steers no terminal."""
    return name[:60] if name.isprintable() else ascii(name[:60])


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
