"""What the dashboard of a run says in words: its head, how it ended, and commands about it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from core.text import duration, harmless
from tui.widgets.cost_panel import spent_and_rate
from tui.widgets.drawing import mark, money

if TYPE_CHECKING:
    from core.report.equivalents import Equivalent
    from core.run.journal import Run
    from core.run.view import RunView
    from tui.state import Followed

_PLACES = {"kubernetes": ("context", "namespace"), "gke": ("project", "zone")}


def ending(followed: Followed) -> str:
    """Return the sentence on an end that was not as wanted."""
    if followed.state == "died":
        on = "U goes on with it, " if followed.resumable else ""
        return (
            "The run died: its process is gone and left no word. The end of its log may tell "
            f"why; {on}T removes what it left."
        )
    view = followed.view
    if view.state in ("failed", "interrupted"):
        return harmless(f"{view.sentence} {view.remedy}".strip())
    return ""


def head(run: Run, followed: Followed, now: datetime, narrow: bool) -> list[Content | str]:
    """Return the parts of the first line: the run, its state, its time, its cost, its place."""
    view = followed.view
    state = str(followed.state or view.state)
    if view.stopping and followed.running:
        state = "stopping"
    end = view.finished_at or now
    took = (
        duration(max(0.0, (end - view.created_at).total_seconds()))
        if view.created_at and (view.finished_at or followed.running)
        else ""
    )
    parts: list[Content | str] = [
        Content(harmless(run.id)),
        Content.assemble(mark(str(followed.state or view.state)), f" {state}"),
        took,
    ]
    if view.cost is not None:
        spent, rate = spent_and_rate(followed, now)
        # How fast it grows is on the cost's own pane, too.
        parts.append(f"{money(spent)} at {money(rate)}/h" if rate and not narrow else money(spent))
    if not followed.complete:
        parts.append("reading ...")
    if not narrow:
        places = [(name, _place(view, name)) for name in _PLACES.get(view.target, ())]
        parts.append(harmless(", ".join(f"{name} {where}" for name, where in places if where)))
    return [part for part in parts if part]


def _place(view: RunView, name: str) -> object:
    """Return where a run is: as it was asked for, or where it had to go."""
    if name == "zone":
        for (kind, _), found in reversed(view.resources.items()):
            if kind == "cluster" and found.exists:
                return found.intended.location.rpartition("/")[2]
    return view.settings.get(name)


def commands_about(kind: str, view: RunView) -> list[Equivalent]:
    """Return what shows a run's things of this kind now; ours where it knows more than others'."""
    from core.report.equivalents import equivalents

    found = [entry for entry in equivalents(view) if entry.kind == kind]
    return [entry for entry in found if entry.own] or found
