"""What the journal's reader and the console's workers tell: facts, in the past tense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.message import Message

from core.text import harmless

if TYPE_CHECKING:
    from core.run.events import Event, RunState, Stage
    from core.run.journal import Run
    from core.settings import Settings


@dataclass
class SettingsLoaded(Message):
    """The settings of runs are known."""

    settings: Settings


@dataclass
class Refused(Message):
    """Something cannot be used; the console goes on without it."""

    sentence: str
    remedy: str


@dataclass
class RunsRead(Message):
    """The list of runs is another one than before."""

    runs: tuple[tuple[Run, RunState], ...]
    """The newest first, each with its state now."""
    spent: Mapping[str, str] = field(default_factory=dict)
    """What each cost, in words, by its id; of those of which it is known."""


@dataclass
class EventsRead(Message):
    """Events of the followed run came; the reader waits until they are taken in."""

    number: int
    """Which following they are of: :attr:`tui.state.Followed.number`."""
    events: tuple[Event, ...]
    more: bool
    """There are more of them already."""


@dataclass
class StateRead(Message):
    """The followed run's state is another one than before, ``died`` included."""

    number: int
    state: RunState


@dataclass
class HistoryRead(Message):
    """How long each stage took in earlier runs like the followed one is known."""

    number: int
    seconds: dict[Stage, float]
    """The median of each."""


@dataclass
class FollowedAnew(Message):
    """The followed run is read from its first event again: the journal is another file."""

    number: int


@dataclass
class FollowingTroubled(Message):
    """Something of the followed run cannot be read, or it all can again."""

    number: int
    sentence: str
    """Empty: nothing is wrong."""


@dataclass
class HeadlessAnswered(Message):
    """A headless command that this page had asked for ended."""

    code: int
    out: str
    err: str
    """For people, one line at least when the code is not 0."""

    @property
    def sentence(self) -> str:
        """What it said last, for a person."""
        lines = self.err.strip().splitlines()
        if not lines:
            return f"It ended with status {self.code}."
        return harmless(lines[-1].removeprefix("gpubench-tui: "))
