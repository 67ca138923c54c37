"""Whether a series has come to rest: what ends a warm-up."""

import math
from collections.abc import Sequence


def settled(values: Sequence[float | None], window: int, tolerance: float) -> bool:
    """Whether the last ``window`` values lie within ``tolerance`` of each other.

    ``tolerance`` is relative: 0.02 allows the largest and the smallest to differ by 2 % of the
    larger magnitude. False while there are fewer values, and while one of them is missing or not
    finite: what was not seen has not settled. Raises ValueError for a window below 2 or a tolerance
    below 0.
    """
    if window < 2:
        raise ValueError(f"a window of {window} values can show no change")
    if not tolerance >= 0:
        raise ValueError(f"the tolerance {tolerance} is not a number from 0 up")
    tail = [value for value in values[-window:] if value is not None and math.isfinite(value)]
    if len(tail) < window:
        return False
    lowest, highest = min(tail), max(tail)
    return highest - lowest <= tolerance * max(abs(lowest), abs(highest))
