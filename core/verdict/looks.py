"""Several looks at a study that goes on: how much of the 5 % each may use.

Whoever tests after 5 blocks and again after 10 is wrong more often than one who tests once. So
the looks are declared before the first block, and alpha is spent over them:

- how much by which look: the spending function of Lan and DeMets (1983, Biometrika 70) that is
  like O'Brien and Fleming's (1979) bounds, ``2 - 2 Phi(z / sqrt(t))`` with ``z`` the upper
  ``alpha/2`` quantile and ``t`` the part of the blocks there are: little early, most at the end;
- which critical value spends exactly that: recursive numerical integration of a Brownian motion
  (Armitage, McPherson and Rowe 1969, JRSS A 132; Jennison and Turnbull 2000, Group Sequential
  Methods with Applications to Clinical Trials, chapter 19);
- what that means for t with few blocks: the critical value's normal tail is the nominal level at
  which t is used (the significance level approach, Jennison and Turnbull 2000, section 3.8).

The two one-sided questions (within? exceeds?) each spend alpha for themselves; to stop for the one
can only make the other rarer.

"Exceeds" is asked of several endpoints at once. Which of them lies highest by chance changes from
look to look, so that looks share less of their chance than those at one endpoint do. There each of
``m`` endpoints spends its ``alpha/m`` over the looks, Bonferroni's bound (Jennison and Turnbull
2000, section 15.2), and ``m`` times its level is what a test of all of them is given.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from core.verdict.statistics import ALPHA

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Array = NDArray[numpy.float64]

_REACH = 8.0
"""Standard deviations: what lies beyond, 6e-16, is less than the last bit of the rest."""
_POINTS = 100
"""Of Gauss-Legendre's rule: levels are the same to 1e-12 as with 400."""
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Looks:
    """After how many blocks (pairs; blocks of each leg) the verdict is asked for."""

    blocks: tuple[int, ...]
    alpha: float = ALPHA
    """One-sided, over all looks together."""

    def __post_init__(self) -> None:
        if not self.blocks or self.blocks[0] < 1:
            raise ValueError("a study looks at least once, after one block at least")
        if any(later <= earlier for earlier, later in itertools.pairwise(self.blocks)):
            raise ValueError("each look comes after more blocks than the one before")
        if not 0 < self.alpha < 0.5:
            raise ValueError("alpha lies between 0 and 0.5")

    def level(self, number: int) -> float:
        """Return the one-sided nominal level of look ``number``, the first being 1.

        Raises ValueError for a look that was not declared.
        """
        return self.family_level(number, 1)

    def family_level(self, number: int, endpoints: int) -> float:
        """Return the one-sided nominal level of look ``number`` for a test of all ``endpoints``.

        Raises ValueError for a look that was not declared, or less than one endpoint.
        """
        if not 1 <= number <= len(self.blocks):
            raise ValueError(f"there is no look {number}: {len(self.blocks)} are declared")
        if endpoints < 1:
            raise ValueError("a family has one endpoint at least")
        if len(self.blocks) == 1:
            return self.alpha
        fractions = tuple(each / self.blocks[-1] for each in self.blocks)
        return endpoints * nominal_levels(fractions, self.alpha / endpoints)[number - 1]


def spent(fraction: float, alpha: float) -> float:
    """Return how much of ``alpha`` is used up when ``fraction`` of the blocks are there."""
    from scipy.special import ndtr, ndtri

    return float(2 * ndtr(ndtri(alpha / 2) / fraction**0.5))


@lru_cache(maxsize=64)
def nominal_levels(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """Return the one-sided nominal level of each look, taken at ``fractions`` of the blocks.

    On the scale of Brownian motion ``S(t)``, variance ``t``: a look crosses where ``S(t)`` is at
    least ``bound``; ``density`` is that of the paths which have not crossed so far.
    """
    from scipy.special import ndtr

    levels: list[float] = []
    before, spent_before = 0.0, 0.0
    points, density = _start()
    for fraction in fractions:
        step = (fraction - before) ** 0.5
        share = spent(fraction, alpha) - spent_before
        bound = _bound(points, density, step, share)
        levels.append(float(ndtr(-bound / fraction**0.5)))
        points, density = _advance(points, density, step, bound, fraction)
        before, spent_before = fraction, spent_before + share
    return tuple(levels)


def _start() -> tuple[Array, Array]:
    """At time 0 all paths are at 0: one point with all the mass."""
    import numpy

    return numpy.zeros(1), numpy.ones(1)


def _bound(points: Array, mass: Array, step: float, share: float) -> float:
    """Return where exactly ``share`` of all paths cross, by halving."""
    from scipy.special import ndtr

    low, high = float(points.min()) - _REACH * step, float(points.max()) + 2 * _REACH * step
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        crossing = float(mass @ ndtr((points - middle) / step))
        low, high = (middle, high) if crossing > share else (low, middle)
    return (low + high) / 2


def _advance(
    points: Array, mass: Array, step: float, bound: float, fraction: float
) -> tuple[Array, Array]:
    """Return Gauss-Legendre's points below ``bound`` and the mass of the paths there."""
    import numpy

    nodes, weights = numpy.polynomial.legendre.leggauss(_POINTS)
    low = -_REACH * fraction**0.5
    half = (bound - low) / 2
    ahead = low + half * (nodes + 1)
    kernel = numpy.exp(-(((ahead[:, None] - points[None, :]) / step) ** 2) / 2)
    density = kernel @ mass / (step * numpy.sqrt(2 * numpy.pi))
    return ahead, weights * half * density
