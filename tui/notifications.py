"""Tells a person who looks elsewhere that something ended: a bell and a desktop notification."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from core.text import harmless

if TYPE_CHECKING:
    from textual.app import App

    from core.run.events import Event

# A shorter stage is not worth a bell.
_LONG_STAGE_S = 20.0
# Terminals give up on a sequence that is too long, and print the rest of it.
_LONGEST = 200


class Notifier:
    """Listens to the followed run's events and rings for what happened since the console began."""

    def __init__(self, app: App[int], when: str) -> None:
        self._app = app
        self._when = when
        self._heard: dict[str, int] = {}
        self.focus_is_told = False
        """Whether the terminal ever said where the focus is; tmux does so only when asked to."""

    def hear(self, event: Event, since: datetime) -> str:
        """Ring if this event is news that somebody waits for; once, however often it is read.

        Returns a warning that belongs on the screen too, else nothing.
        """
        if event.sequence <= self._heard.get(event.run, 0):
            return ""
        self._heard[event.run] = event.sequence
        if event.time < since or not (text := _news(event)):
            return ""
        self.ring(text)
        return text if event.record.event == "cost_warned" else ""

    def ring(self, text: str) -> None:
        """Ring, if the settings and the focus say so."""
        elsewhere = not self._app.app_focus or not self.focus_is_told
        wanted = self._when == "always" or (self._when == "unfocused" and elsewhere)
        driver = self._app._driver
        if not wanted or driver is None:
            return
        self._app.bell()
        # One of the two is known to most terminals that have notifications at all; the text is
        # printable, so it cannot end the sequence early.
        safe = harmless(text).replace(";", ",")
        if len(safe) > _LONGEST:
            safe = f"{safe[: _LONGEST - 1]}…"
        driver.write(f"\x1b]9;{safe}\x07\x1b]777;notify;gpubench;{safe}\x07")


def _news(event: Event) -> str:
    from core.run import events
    from core.run.narrate import sentence

    match event.record:
        case events.StageFinished() if event.record.seconds >= _LONG_STAGE_S:
            return f"{event.stage} done: {event.record.summary}"
        case events.StageFailed():
            return f"{event.stage} failed: {event.record.sentence}"
        case events.CostWarned():
            return sentence(event)
        case events.RunFinished():
            return f"Run {event.run}: {event.record.sentence}"
        case events.TeardownFinished():
            left = len(event.record.left)
            return f"Teardown: {left} left" if left else "Teardown: nothing is left"
        case _:
            return ""
