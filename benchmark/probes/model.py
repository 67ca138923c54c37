"""What a probe found, as it stands in the result file. Quick to import: no numpy, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from benchmark.validation import Record

Figure = Annotated[float, Field(ge=0, allow_inf_nan=False)]
ProbeUnit = Literal["ns", "us", "%"]

STEAL: Final = "steal"
"""Its figures are shares of time, and 0 is the usual one: a ratio of them means nothing."""

SIBLINGS: Final = "siblings"
"""The parameter of a probe on two CPUs: 1 where they are threads of one core, 0 where they are
different cores, absent where the kernel does not tell.
"""


class ProbeResult(Record):
    """One probe in one block: figures in ``unit``, or the reason why there are none."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")
    """Unique in a block: ``h2d-pinned-1mib``."""
    title: str = Field(min_length=1, max_length=120)
    """For people: ``host to device, pinned, 1 MiB``."""
    parameters: dict[str, int] = Field(default_factory=dict)
    """``bytes`` of an operation; ``operations`` that one value is the mean of; ``siblings``
    (SIBLINGS). Figures of unlike parameters are of unlike operations.
    """
    unit: ProbeUnit
    direction: Literal["more is worse"] = "more is worse"
    block: int = Field(ge=1)
    """1 for the first of the repeats, as with measurements."""
    started_at: AwareDatetime
    count: int = Field(default=0, ge=0)
    """How many values the figures are of; 0: the probe could not run."""
    minimum: Figure | None = None
    median: Figure | None = None
    p90: Figure | None = None
    p99: Figure | None = None
    problem: str = Field(default="", max_length=500)
    """Why it could not run here; empty where there are figures."""

    @model_validator(mode="after")
    def _has_figures_or_a_reason(self) -> Self:
        figures = (self.minimum, self.median, self.p90, self.p99)
        known = [figure for figure in figures if figure is not None]
        if self.problem:
            if known or self.count:
                raise ValueError("a probe with a problem has no figures")
        elif len(known) < len(figures) or not self.count:
            raise ValueError("a probe has all of its figures or a problem")
        elif known != sorted(known):
            raise ValueError("minimum, median, p90 and p99 must not fall")
        return self


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy between host and device that a probe times."""

    direction: Literal["h2d", "d2h"]
    is_pinned: bool
    bytes: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{size_text(self.bytes).replace(' ', '').lower()}"

    @property
    def kind(self) -> str:
        """Direction and memory without the size: ``h2d-pinned``."""
        return f"{self.direction}-{'pinned' if self.is_pinned else 'pageable'}"

    @property
    def kind_title(self) -> str:
        way = "host to device" if self.direction == "h2d" else "device to host"
        return f"{way}, {'pinned' if self.is_pinned else 'pageable'}"

    @property
    def title(self) -> str:
        return f"{self.kind_title}, {size_text(self.bytes)}"


def size_text(size: int) -> str:
    """Return a power of two as ``4 KiB`` or ``16 MiB``."""
    return f"{size >> 20} MiB" if size >= 2**20 else f"{size >> 10} KiB"


_COPY_SIZES = (4 * 2**10, 64 * 2**10, 2**20, 16 * 2**20, 64 * 2**20)

COPIES: Final[Mapping[str, Copy]] = {
    copy.name: copy
    for copy in (
        Copy(direction, is_pinned, size)
        for direction in ("h2d", "d2h")
        for is_pinned in (True, False)
        for size in _COPY_SIZES
    )
}
"""Every copy that is timed, by the probe's name."""
