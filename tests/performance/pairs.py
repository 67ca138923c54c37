"""Interleaved pairs: A B, B A, A B, ... so that a drifting machine hurts both alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """One ratio and what is asked of it."""

    name: str
    ratio: float
    least: float | None = None
    most: float | None = None
    details: str = ""

    @property
    def met(self) -> bool:
        return (self.least is None or self.ratio >= self.least) and (
            self.most is None or self.ratio <= self.most
        )

    def __str__(self) -> str:
        bounds = []
        if self.least is not None:
            bounds.append(f"at least {self.least}")
        if self.most is not None:
            bounds.append(f"at most {self.most}")
        verdict = "met" if self.met else "MISSED"
        bound = f" [{' and '.join(bounds)}: {verdict}]" if bounds else " [printed, not asked for]"
        return f"{self.name}: {self.ratio:.3f}{bound} {self.details}"


def interleave(
    contestants: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Return each contestant's figures over ``rounds``, the order turned round every other time."""
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            figures[name].append(contestants[name]())
    return figures


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def spread(figures: list[float], unit: str) -> str:
    """Return median, minimum and maximum in words."""
    return (
        f"{statistics.median(figures):.4g} {unit} ({min(figures):.4g} to {max(figures):.4g}, "
        f"{len(figures)} rounds)"
    )
