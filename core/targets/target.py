"""What a run of some settings consists of."""

from __future__ import annotations

from dataclasses import dataclass

from core.run.events import RunState, Stage
from core.run.pipeline import Pipeline
from core.run.process import Unwind, Watch


def _leave(_state: RunState) -> None:
    return None


@dataclass(frozen=True)
class Target:
    """The stages, what undoes them, and what watches over them."""

    pipeline: Pipeline
    unwind: Unwind = _leave
    watch: Watch | None = None
    unwinds: bool = False
    """Its last stage is a teardown."""

    @property
    def order(self) -> tuple[Stage, ...]:
        """Every stage, the teardown among them."""
        return (*self.pipeline.order, *([Stage.TEARDOWN] if self.unwinds else []))
