"""Where a row of runs changed its level, and whether that is beyond the noise.

At each place the runs from it on are held against the runs before it, on logarithms: the two-sample
t with pooled variance. For the newest run alone that is the prediction interval for one more run,
t with n - 1 degrees of freedom over the n runs before it (Hahn & Meeker, Statistical Intervals,
1991). A place that stands out divides the row, and both parts are searched again: binary
segmentation (Scott & Knott, Biometrics 30, 1974). All places of all rows are one family, kept at
``alpha`` by Holm's step-down test (Scandinavian Journal of Statistics 6, 1979), which holds however
the tests depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.verdict.model import CONFIDENCE, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_BEFORE = 3
"""Runs before a place: fewer do not tell how much runs differ."""
ALPHA = 0.05
"""How often, at most, rows in which nothing changed are said to have changed."""

_UPPER = (1 + CONFIDENCE) / 2
# Logarithms this near each other are the same figure, rounded.
_EQUAL = 1e-12
# Of two places this near to a tie the earlier is taken, whatever the last bit says.
_TIE = 1 + 1e-9
# The exponential of it is a figure that still can be multiplied by a hundred.
_LARGEST_LOGARITHM = 700.0


@dataclass(frozen=True, slots=True)
class LevelChange:
    """One place where a row of logarithms goes on at another level."""

    place: int
    """Index of the first run at the new level."""
    before: int
    """Runs at the level before; ``after``: at the new one."""
    after: int
    change: float
    """Mean logarithm of the new level less that of the one before."""
    interval: Span | None
    """Its 90 % interval; None where both levels together have fewer than three runs."""
    p_value: float
    """Two-sided, of this place alone."""
    adjusted: float
    """Holm's adjusted p-value: of all places of all rows together."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Runs ``start`` to ``stop`` (not included) of one row, so far taken for one level."""

    row: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Place:
    """One test: whether the part goes on at another level from ``place`` on."""

    part: _Part
    place: int
    distance: float
    """|t|; the degrees of freedom of a part's places are all the same."""
    p_value: float


def family_size(rows: Sequence[Sequence[float]]) -> int:
    """Return how many tests the family has."""
    return sum(max(0, len(row) - FEWEST_BEFORE) for row in rows)


def level_changes(
    rows: Sequence[Sequence[float]], alpha: float = ALPHA
) -> tuple[tuple[LevelChange, ...], ...]:
    """Return for each row of logarithms, in time order, where its level changed beyond the noise.

    Each of ``rows`` is the logarithms of one metric's run means; a row of fewer than four has no
    change.
    """
    parts = [_Part(number, 0, len(row)) for number, row in enumerate(rows)]
    found: dict[tuple[int, int], tuple[float, float]] = {}
    while True:
        places = [place for part in parts for place in _places(rows[part.row], part)]
        adjusted = holm([place.p_value for place in places])
        best: dict[_Part, tuple[_Place, float]] = {}
        for place, level in zip(places, adjusted, strict=True):
            known = best.get(place.part)
            if level <= alpha and (known is None or place.distance > _TIE * known[0].distance):
                best[place.part] = (place, level)
        if not best:
            return tuple(_described(row, number, found) for number, row in enumerate(rows))
        for place, level in best.values():
            found[place.part.row, place.place] = (place.p_value, level)
        parts = [
            piece
            for part in parts
            for piece in (_divided(part, best[part][0].place) if part in best else (part,))
        ]


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return Holm's adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, largest)
    return tuple(adjusted)


def mean_interval(logarithms: Sequence[float]) -> Span | None:
    """Return the 90 % t interval of the mean; None with fewer than two values."""
    return _interval(logarithms, 1 / len(logarithms)) if len(logarithms) > 1 else None


def prediction_interval(logarithms: Sequence[float]) -> Span | None:
    """Return the interval into which one more value falls with 90 % probability; None with fewer
    than three values.
    """
    if len(logarithms) < FEWEST_BEFORE:
        return None
    return _interval(logarithms, 1 + 1 / len(logarithms))


def deviation(groups: Sequence[Sequence[float]]) -> float | None:
    """Return the standard deviation within groups, pooled over them; None where no group has two.

    One group: its own standard deviation.
    """
    freedom = sum(len(group) - 1 for group in groups if group)
    if freedom < 1:
        return None
    squares = math.fsum(
        (value - math.fsum(group) / len(group)) ** 2 for group in groups for value in group
    )
    return math.sqrt(squares / freedom)


def exponential(logarithm: float) -> float:
    """Return ``exp(logarithm)``, and a very large number instead of an overflow."""
    return math.exp(min(logarithm, _LARGEST_LOGARITHM))


def _interval(logarithms: Sequence[float], variance_factor: float) -> Span:
    from scipy.special import stdtrit

    count = len(logarithms)
    spread = deviation([logarithms]) or 0.0
    half = float(stdtrit(count - 1, _UPPER)) * spread * math.sqrt(variance_factor)
    mean = math.fsum(logarithms) / count
    return Span(mean - half, mean + half)


def _divided(part: _Part, place: int) -> tuple[_Part, _Part]:
    return _Part(part.row, part.start, place), _Part(part.row, place, part.stop)


def _places(row: Sequence[float], part: _Part) -> list[_Place]:
    """Return the tests of one part."""
    count = part.stop - part.start
    if count <= FEWEST_BEFORE:
        return []
    import numpy as np
    from scipy.special import stdtr

    distances = _distances(np.asarray(row[part.start : part.stop], dtype=float))
    p_values = 2 * stdtr(count - 2, -distances)
    return [
        _Place(part, part.start + FEWEST_BEFORE + number, float(distance), float(p_value))
        for number, (distance, p_value) in enumerate(zip(distances, p_values, strict=True))
    ]


def _distances(values: NDArray[Any]) -> NDArray[Any]:
    """Return |t| for each place that has FEWEST_BEFORE values before it and one from it on.

    Shape: ``[n]`` in, ``[n - FEWEST_BEFORE]`` out.
    """
    import numpy as np

    count = len(values)
    centred = values - values.mean()
    before = np.arange(FEWEST_BEFORE, count)
    after = count - before
    sums = np.cumsum(centred)[FEWEST_BEFORE - 1 : -1]
    # The values are centred, so those after sum up to the opposite of those before.
    means, others = sums / before, -sums / after
    squares = (centred**2).sum() - before * means**2 - after * others**2
    variance = np.maximum(squares / (count - 2), _EQUAL**2) * (1 / before + 1 / after)
    distances: NDArray[Any] = np.abs(others - means) / np.sqrt(variance)
    return distances


def _described(
    row: Sequence[float], number: int, found: Mapping[tuple[int, int], tuple[float, float]]
) -> tuple[LevelChange, ...]:
    """Return a row's changes, each between the levels that it separates in the end."""
    places = sorted(place for owner, place in found if owner == number)
    bounds = [0, *places, len(row)]
    changes = []
    for index, place in enumerate(places):
        before, after = row[bounds[index] : place], row[place : bounds[index + 2]]
        change = math.fsum(after) / len(after) - math.fsum(before) / len(before)
        p_value, adjusted = found[number, place]
        changes.append(
            LevelChange(
                place=place,
                before=len(before),
                after=len(after),
                change=change,
                interval=_change_interval(before, after, change),
                p_value=p_value,
                adjusted=adjusted,
            )
        )
    return tuple(changes)


def _change_interval(before: Sequence[float], after: Sequence[float], change: float) -> Span | None:
    spread = deviation([before, after])
    if spread is None:
        return None
    from scipy.special import stdtrit

    freedom = len(before) + len(after) - 2
    half = float(stdtrit(freedom, _UPPER)) * spread * math.sqrt(1 / len(before) + 1 / len(after))
    return Span(change - half, change + half)
