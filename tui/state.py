"""What the console knows. Only the app's message handlers change it; pages read it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tui.billing import Billing

if TYPE_CHECKING:
    from benchmark.progress import Progressed
    from core.run.events import RunState, Stage
    from core.run.journal import Run
    from core.run.view import RunView
    from core.settings import Settings

# At two samples a second: two minutes, as wide as a sparkline gets.
_SAMPLES = 240
# What a killed run on this machine measured died with it.
_RESUMABLE = ("kubernetes", "gke")


@dataclass
class Followed:
    """One run, as far as its events were read."""

    run_id: str
    number: int
    """Another one each time that a run is followed, so that what was posted before is known."""
    view: RunView
    state: RunState | None = None
    """As the journal and the process tell it; None until it was asked."""
    history: dict[Stage, float] = field(default_factory=dict)
    """Median seconds of each stage in earlier runs like this one."""
    samples: deque[Progressed] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    billing: Billing = field(default_factory=Billing)
    """What its events say of its cost."""
    complete: bool = False
    """Everything that was there when it was opened is read."""
    trouble: str = ""
    """What of it cannot be read."""

    @property
    def running(self) -> bool:
        """Return whether the run is at work."""
        return self.state is not None and not self.state.ended

    @property
    def at_work(self) -> bool:
        """Return whether the run, or a teardown of it, is at work: times go on."""
        return self.running or self.view.tearing_down

    @property
    def resumable(self) -> bool:
        """Return whether its process, or that of its teardown, was killed and another can go on."""
        if self.view.target not in _RESUMABLE or self.state is None:
            return False
        return self.state == "died" or (self.state.ended and self.view.tearing_down)

    @property
    def collectable(self) -> bool:
        """Return whether results that were not collected may still be in a pod."""
        view = self.view
        return (
            view.target != "local"
            and self.state is not None
            and self.state.ended
            and not view.result_file
            and any(kind == "job" and found.exists for (kind, _), found in view.resources.items())
        )


@dataclass
class ConsoleState:
    """Everything."""

    started_at: datetime
    settings: Settings | None = None
    runs: tuple[tuple[Run, RunState], ...] | None = None
    """None until the journal was read."""
    spent: Mapping[str, str] = field(default_factory=dict)
    """What each run cost, in words, by its id; of those of which it is known."""
    refusal: str = ""
    """Why the journal or the settings cannot be used."""
    followed: Followed | None = None

    def run_named(self, run_id: str) -> tuple[Run, RunState] | None:
        """Return a run of the list."""
        return next((row for row in self.runs or () if row[0].id == run_id), None)

    def latest_of(self, leg: str, *, but: str = "") -> Run | None:
        """Return the latest run of a leg that is done."""
        return next(
            (
                run
                for run, state in self.runs or ()
                if run.leg == leg and state == "done" and run.id != but
            ),
            None,
        )
