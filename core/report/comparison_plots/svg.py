"""The strokes that the plots are made of: SVG elements as text.

Every function takes plain text and escapes it. Colours are CSS variables with a light and a dark
value, and a verdict or a leg has a shape or a dash of its own, for who cannot tell the colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.report.html import escaped
from core.verdict.model import Verdict

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]

# Blue and vermilion of Okabe & Ito's palette (2008), told apart by all colour vision.
_STYLE = """
.plot { --first: #0072b2; --second: #c4511d; --within: #1a7f37; --exceeds: #b3261e;
  --unsure: #8a5a00; --quiet: #59626e; --grid: #dde1e6; --band: #59626e; max-width: 100%;
  height: auto; font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { .plot { --first: #56b4e9; --second: #f0884a;
  --within: #4cc35f; --exceeds: #ff7b72; --unsure: #ffb454; --quiet: #a3acb8; --grid: #30363d;
  --band: #a3acb8; } }
.plot text { fill: currentColor; }
.plot .strong { font-weight: 600; }
.plot text.quiet { fill: var(--quiet); }
.plot .axis { stroke: var(--quiet); }
.plot .grid { stroke: var(--grid); }
.plot .zero { stroke: currentColor; stroke-width: 1.2; }
.plot .target { stroke: var(--exceeds); stroke-width: 1.5; stroke-dasharray: 6 3; }
.plot text.target { fill: var(--exceeds); stroke: none; }
.plot .band { fill: var(--band); fill-opacity: 0.22; }
.plot .first { stroke: var(--first); } .plot .second { stroke: var(--second); }
.plot .first, .plot .second { fill: none; }
.plot .second { stroke-dasharray: 5 2; }
.plot .area.first { fill: var(--first); fill-opacity: 0.15; }
.plot .area.second { fill: var(--second); fill-opacity: 0.15; }
.plot .thin { stroke-width: 1; stroke-opacity: 0.55; }
.plot .bold { stroke-width: 2; }
.plot .within { fill: var(--within); stroke: var(--within); }
.plot .exceeds { fill: var(--exceeds); stroke: var(--exceeds); }
.plot .unsure { fill: var(--unsure); stroke: var(--unsure); }
.plot text.within, .plot text.exceeds, .plot text.unsure { stroke: none; }
.plot .bar { stroke-width: 5; stroke-opacity: 0.55; }
.plot .mark { stroke-width: 1.5; stroke-dasharray: none; }
.plot .mark.first { fill: var(--first); } .plot .mark.second { fill: var(--second); }
"""

VERDICT_CLASS = {
    Verdict.WITHIN: "within",
    Verdict.EXCEEDS: "exceeds",
    Verdict.INCONCLUSIVE: "unsure",
    Verdict.REFUSED: "unsure",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places in the picture; what lies outside stands at the nearer end."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return a value's place."""
        if math.isnan(value) or self.high <= self.low:
            return self.start
        low, high, inside = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, inside = math.log(low), math.log(high), math.log(inside)
        return self.start + (self.end - self.start) * (inside - low) / (high - low)

    def ticks(self, most: int = 7) -> tuple[float, ...]:
        """Return round values (1, 2 or 5 times a power of ten) inside, at most about ``most``."""
        if self.high <= self.low:
            return (self.low,)
        if self.logarithmic:
            return _decades(self.low, self.high)
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return tuple(place * step for place in range(first, last + 1))


def _decades(low: float, high: float) -> tuple[float, ...]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(exponents) <= 4 else (1,)
    values = (factor * 10.0**exponent for exponent in exponents for factor in factors)
    return tuple(value for value in values if low <= value <= high)


def tick_text(value: float) -> str:
    """Return a tick's value, without the noise of binary fractions."""
    return f"{value:,.10g}" if value else "0"


def shortened(words: str, most: int) -> str:
    """Return a name that fits; the table beside the picture has it in full."""
    return words if len(words) <= most else f"{words[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def figure(width: float, height: float, title: str, description: str, parts: Iterable[str]) -> str:
    """Return the picture. Who cannot see it is told its title and its description."""
    body = "\n".join(part for part in parts if part)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" '
        f'viewBox="0 0 {place(width)} {place(height)}" width="{place(width)}" '
        f'height="{place(height)}" aria-label="{escaped(title)}">\n'
        f"<title>{escaped(title)}</title>\n<desc>{escaped(description)}</desc>\n"
        f"<style>{_STYLE}</style>\n{body}\n</svg>"
    )


def place(number: float) -> str:
    """Return a coordinate.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(number):
        raise ValueError(f"{number} is no place in a picture")
    return f"{number:.1f}".removesuffix(".0")


def text(x: float, y: float, content: str, kind: str = "", anchor: Anchor = "start") -> str:
    """Return one line of text, its baseline at ``y``."""
    return (
        f'<text x="{place(x)}" y="{place(y)}" class="{kind}" text-anchor="{anchor}">'
        f"{escaped(content)}</text>"
    )


def line(start: Point, end: Point, kind: str) -> str:
    """Return a straight line."""
    (x1, y1), (x2, y2) = start, end
    return (
        f'<line x1="{place(x1)}" y1="{place(y1)}" x2="{place(x2)}" y2="{place(y2)}" '
        f'class="{kind}"/>'
    )


def rectangle(corner: Point, other: Point, kind: str) -> str:
    """Return a filled rectangle between two corners."""
    (x1, y1), (x2, y2) = corner, other
    return (
        f'<rect x="{place(min(x1, x2))}" y="{place(min(y1, y2))}" width="{place(abs(x2 - x1))}" '
        f'height="{place(abs(y2 - y1))}" class="{kind}"/>'
    )


def path(points: Sequence[Point], kind: str, *, closed: bool = False) -> str:
    """Return a line through points."""
    steps = "L".join(f"{place(x)} {place(y)}" for x, y in points)
    return f'<path d="M{steps}{"Z" if closed else ""}" class="{kind}"/>'


def verdict_mark(at: Point, verdict: Verdict | None) -> str:
    """Return a verdict's shape: a disc is within target, a square exceeds it, a diamond is
    neither.
    """
    x, y = at
    kind = f"mark {VERDICT_CLASS[verdict or Verdict.INCONCLUSIVE]}"
    if verdict is Verdict.WITHIN:
        return disc(at, 5, kind)
    if verdict is Verdict.EXCEEDS:
        return rectangle((x - 4.5, y - 4.5), (x + 4.5, y + 4.5), kind)
    return path([(x - 6, y), (x, y - 6), (x + 6, y), (x, y + 6)], kind, closed=True)


def disc(at: Point, radius: float, kind: str, hint: str = "") -> str:
    """Return a disc; ``hint`` is shown when a pointer rests on it."""
    x, y = at
    inner = f"<title>{escaped(hint)}</title>" if hint else ""
    return (
        f'<circle cx="{place(x)}" cy="{place(y)}" r="{place(radius)}" class="{kind}">'
        f"{inner}</circle>"
    )


def square(at: Point, half: float, kind: str, hint: str = "") -> str:
    """Return a square like :func:`disc`."""
    x, y = at
    inner = f"<title>{escaped(hint)}</title>" if hint else ""
    return (
        f'<rect x="{place(x - half)}" y="{place(y - half)}" width="{place(2 * half)}" '
        f'height="{place(2 * half)}" class="{kind}">{inner}</rect>'
    )


def legend(start: Point, labels: Sequence[tuple[str, str]]) -> str:
    """Return one line of keys: each a class that is drawn as a line, and its words."""
    x, y = start
    parts = []
    for kind, words in labels:
        parts.append(line((x, y - 4), (x + 24, y - 4), f"bold {kind}"))
        parts.append(text(x + 30, y, words))
        x += 30 + 7 * len(words) + 22
    return "\n".join(parts)
