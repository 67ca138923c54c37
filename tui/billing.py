"""What the followed run's events say of its cost, folded as the reports fold it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from tui.widgets.drawing import money

if TYPE_CHECKING:
    from core.report.costs import RunCost
    from core.run.events import Event
    from core.run.journal import Journal, Run

KINDS = ("billing_started", "billing_ended", "resource_deleted", "cost_metered")
"""The events of which a run's cost is made."""


class Billing:
    """The events of one run that matter to its cost."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._metered: Event | None = None
        self.warnings: list[Event] = []
        """The budget's, in their order."""

    def take(self, event: Event) -> None:
        """Take one more event in."""
        kind = event.record.event
        if kind == "cost_warned":
            self.warnings.append(event)
        elif kind == "cost_metered":
            # Hundreds of them, each of which says all that those before it said.
            self._metered = event
        elif kind in KINDS:
            self._events.append(event)

    def cost(self, now: datetime) -> RunCost | None:
        """Return what the run has cost by now; None where nothing tells of it."""
        if self._metered is None and not self._events:
            return None
        from core.report.costs import cost_of

        metered = [self._metered] if self._metered is not None else []
        return cost_of([*self._events, *metered], now)


class Spending:
    """What each run of a journal has cost, read on from where it was read last."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, Billing]] = {}

    def of(self, journal: Journal, runs: Iterable[Run], now: datetime) -> dict[str, str]:
        """Return the sums in words, by run; of those of which one is known.

        Raises:
            JournalError: the journal cannot be read.
        """
        found = {}
        for run in runs:
            # Nothing of this machine is billed, and such a run has the most events.
            if run.target != "local" and (text := self._text(journal, run.id, now)):
                found[run.id] = text
        return found

    def _text(self, journal: Journal, run_id: str, now: datetime) -> str:
        from core.run.events import parse_event

        seen, billing = self._read.get(run_id, (0, Billing()))
        for sequence, line in journal.lines(run_id, seen):
            seen = sequence
            if any(f'"event":"{kind}"' in line for kind in KINDS):
                # One that cannot be read is named where the run itself is shown.
                with contextlib.suppress(ValueError):
                    billing.take(parse_event(line))
        self._read[run_id] = (seen, billing)
        cost = billing.cost(now)
        if cost is None:
            return ""
        if not cost.known:
            return "?"
        return f"{'≥' if cost.unpriced else ''}{money(cost.usd)}{' …' if cost.open else ''}"
