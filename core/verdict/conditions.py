"""What a verdict holds under and its figures cannot show, as clauses that follow the verdict.

An interval holds what varied while it was measured. What each leg had one draw of (a run, a boot,
a GPU that nobody knows) is in the difference and not in the interval, so the verdict is about
those draws, and says so wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.verdict.cautions import apart, boots_of
from core.verdict.comparability import known_gpu
from core.verdict.legs import Leg
from core.verdict.measurements import Measured
from core.verdict.model import FEWEST_BLOCKS

_WORDS = {1: "one", 2: "two"}


def conditions(
    first: Leg, second: Leg, found: Sequence[Measured], called: tuple[str, str]
) -> tuple[str, ...]:
    """Return what a certain verdict on these legs holds under."""
    return (
        *_runs(first, second, found),
        *_boots(first, second, found, called),
        *_gpu(first, second),
    )


def _runs(first: Leg, second: Leg, found: Sequence[Measured]) -> list[str]:
    """Blocks of one run share what that run drew; partners in time share what drifts."""
    alone = [each.draws for each in found if not each.draws.paired and each.draws.unit == "block"]
    counts = len(first.results), len(second.results)
    if not alone or min(counts) >= FEWEST_BLOCKS:
        return []
    total = sum(counts)
    how = "one after the other" if any(map(apart, alone)) else "not in pairs"
    if total > 2 and how == "one after the other":
        how = "one leg after the other"
    return [f"for these {_count(total)} runs, {how}"]


def _boots(
    first: Leg, second: Leg, found: Sequence[Measured], called: tuple[str, str]
) -> list[str]:
    if found and all(each.draws.unit == "boot" for each in found):
        return []
    one, other = boots_of(first), boots_of(second)
    if one is None or other is None:
        return ["with the boots not known"]
    if one == other or min(len(one), len(other)) >= FEWEST_BLOCKS:
        return []
    if len(one) == len(other):
        return [f"for {_boot_count(len(one))} of each leg"]
    return [
        f"for {_boot_count(len(one))} of {called[0]} and {_boot_count(len(other))} of {called[1]}"
    ]


def _gpu(first: Leg, second: Leg) -> list[str]:
    results = (*first.results, *second.results)
    if all(result.device == "cuda" and known_gpu(result) is None for result in results):
        return ["with the GPU's identity not known"]
    return []


def _boot_count(number: int) -> str:
    return f"{_count(number)} boot{'' if number == 1 else 's'}"


def _count(number: int) -> str:
    return _WORDS.get(number, str(number))
