"""What of a plan decides the figures of a block, and so makes two plans the same."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from benchmark.plan import Plan

RESOLVED = (
    *("device", "precision", "memory_format", "execution", "allocator", "threads", "weights"),
)
"""What a plan may leave to be resolved: a result tells as what."""

# How a plan is called, how often it repeats, and what runs between its measurements.
_WORDS = ("profile", "description", "repeats", "probes")


def deciding(plan: Plan, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the fields of a plan that decide a block, as JSON has them.

    The arrival rates that it took from another run are none of them: those that were used are told
    by each measurement. ``without``: further fields to leave out.
    """
    fields: dict[str, Any] = plan.model_dump(mode="json")
    fields["server"].pop("arrival_rates", None)
    left_out = {*_WORDS, *without}
    return {name: value for name, value in fields.items() if name not in left_out}
