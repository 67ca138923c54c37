"""What a probe is: a name, what one value means, and a function that gives values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from pydantic import ValidationError

from benchmark.probes.model import ProbeResult, ProbeUnit
from benchmark.probes.timing import CannotProbeError, Timer, summarize

_NANOSECONDS = {"ns": 1.0, "us": 1e3}


@dataclass(frozen=True)
class Probe:
    """One operation to time."""

    name: str
    title: str
    unit: ProbeUnit
    values: Callable[[Timer], Sequence[float]]
    """Nanoseconds of each repetition; percent where the unit is one. CannotProbeError: why not."""
    parameters: dict[str, int] = field(default_factory=dict)

    def run(self, timer: Timer, block: int, started_at: datetime) -> ProbeResult:
        """Run it. Whatever goes wrong in it is its result's problem and nobody else's."""
        labels = {
            "name": self.name,
            "title": self.title,
            "parameters": self.parameters,
            "unit": self.unit,
            "block": block,
            "started_at": started_at,
        }
        try:
            values = self.values(timer)
            scale = _NANOSECONDS.get(self.unit, 1.0)
            figures = summarize([value / scale for value in values])
            return ProbeResult(**labels, **asdict(figures))
        except CannotProbeError as reason:
            return ProbeResult(**labels, problem=str(reason))
        except ValidationError as error:
            words = error.errors()[0]["msg"][:300]
            return ProbeResult(**labels, problem=f"its figures cannot be right: {words}")
        except Exception as error:  # torch and the kernel refuse in many types
            words = " ".join(str(error).split())[:300]
            return ProbeResult(**labels, problem=f"{type(error).__name__}: {words}")
