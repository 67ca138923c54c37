"""Legs that are truly so far apart, and looking up what was found of them."""

from __future__ import annotations

import math
import random
from typing import Any

from core.verdict.comparison import compare
from core.verdict.model import Comparison, Endpoint, MeasurementComparison
from tests.core.verdict.scene import NAME, legs

OFFLINE, SERVER = "offline-b8", "server-b8"


def noisy(mean: float, variation: float = 0.01, blocks: int = 10, seed: int = 1) -> list[float]:
    """Return log-normal throughputs, standardised so that their mean log is that of ``mean``."""
    source = random.Random(seed)
    logs = [source.gauss(0, variation) for _ in range(blocks)]
    middle = sum(logs) / blocks
    return [mean * math.exp(log - middle) for log in logs]


def overhead(percent: float, **options: Any) -> Comparison:
    """Compare a leg with one that takes so much longer for everything."""
    second = noisy(100 / (1 + percent / 100), seed=2)
    return compare(*legs(noisy(100.0), second, **options))


def endpoint(found: Comparison, metric: str = "p90", name: str = NAME) -> Endpoint:
    (measurement,) = [each for each in found.measurements if each.name == name]
    (end,) = [each for each in measurement.endpoints if each.metric == metric]
    return end


def only(found: Comparison) -> MeasurementComparison:
    (measurement,) = found.measurements
    return measurement
