"""One panel a stage: state, time, what is left, how far, and what to do when it failed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.widgets import Static

from core.text import amount, duration, harmless
from tui.widgets.drawing import MUTED, bar, mark
from tui.widgets.parts import part_lines

if TYPE_CHECKING:
    from core.run.events import PartChanged
    from core.run.view import RunView, StageView
    from tui.state import Followed

_BAR = 24


class StagePanel(Static):
    """A stage of the followed run."""

    def __init__(self, stage: str) -> None:
        super().__init__(markup=False, classes="panel stage", id=f"stage-{stage}")
        self.border_title = stage
        self._shown: tuple[Followed, StageView, datetime, int] | None = None
        self._wanted: object = None

    def show(self, followed: Followed, view: StageView, now: datetime, room: int) -> bool:
        """Show the stage as it is now, its parts in about ``room`` lines.

        Returns whether something began here, or came to wait or to fail, that should be seen.
        """
        now_in = _state(followed, view)
        for state in ("waiting", "running", "done", "failed", "stopped", "died"):
            self.set_class(state == now_in, f"-{state}")
        self._shown = followed, view, now, room
        self._draw()
        troubled = {key for key, part in view.parts.items() if part.state in ("waiting", "failed")}
        before, self._wanted = self._wanted, (now_in, len(troubled))
        return now_in in ("running", "failed") and before != self._wanted

    def on_resize(self, _event: events.Resize) -> None:
        """Wrap anew; afterwards, for a layout that is under way does not heed another height."""
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        self._draw()
        # The same text may need another height in the new width, and the layout that gave this
        # size may still have counted with the old one.
        self.refresh(layout=True)

    def _draw(self) -> None:
        if self._shown is None or not self.is_attached:
            return
        followed, view, now, room = self._shown
        width = self.content_size.width or self.app.size.width
        content = stage_content(followed, view, now, width, room)
        # Comparing is cheap; laying all panels out again is not.
        if not isinstance(self.content, Content) or not content.is_same(self.content):
            self.update(content)


def stage_content(
    followed: Followed, view: StageView, now: datetime, width: int, room: int
) -> Content:
    """Return what a stage's panel says in ``width`` cells, its parts in about ``room`` lines."""
    state = _state(followed, view)
    lines = [
        Content.assemble(
            mark(state), " ", (f"{state:<9}", "bold"), *_times(followed, view, state, now)
        )
    ]
    if state == "running":
        lines += _progress(followed.view, view)
    elif state == "failed":
        lines += [
            Content.styled(harmless(view.sentence), "$text-error"),
            *([Content(harmless(view.remedy))] if view.remedy else []),
            Content.styled(_help(followed, view), MUTED),
        ]
    elif view.summary:
        lines.append(Content.styled(harmless(view.summary), MUTED))
    lines += part_lines(_parts(view, state), width, room)
    lines += [
        Content.assemble(
            ("! " if check.required else "note ", "$text-warning"),
            harmless(f"{check.name}: {check.detail}. {check.remedy}"),
        )
        for check in view.checks
        if not check.passed and state != "failed"
    ]
    return Content("\n").join(lines)


def _parts(view: StageView, state: str) -> list[PartChanged]:
    if state in ("done", "stopped"):
        # Where it was tried in vain is why it took so long, or is elsewhere than was asked for.
        tried = [part for part in view.parts.values() if part.kind == "attempt"]
        return tried if any(part.state == "failed" for part in tried) else []
    # What a failed stage was still at is over; what it had, lacked or waited for explains it.
    return [part for part in view.parts.values() if state != "failed" or part.state != "working"]


def _help(followed: Followed, view: StageView) -> str:
    collect = "C collects them, " if view.stage == "results" and followed.collectable else ""
    return f"{collect}R runs it again, p opens the log"


def _state(followed: Followed, view: StageView) -> str:
    if view.state == "running" and followed.state == "died":
        return "died"
    return str(view.state)


def _times(
    followed: Followed, view: StageView, state: str, now: datetime
) -> list[tuple[str, str] | str]:
    usual = followed.history.get(view.stage)
    if state == "waiting":
        return [(f"usually {duration(usual)}", MUTED)] if usual is not None else []
    if view.seconds is not None:
        return [duration(view.seconds)]
    if view.started_at is None or state != "running":
        return []
    elapsed = max(0.0, (now - view.started_at).total_seconds())
    parts: list[tuple[str, str] | str] = [duration(elapsed)]
    left, why = _left(followed, view, elapsed, usual)
    if left is not None:
        parts.append((f"  about {duration(left)} left{why}", MUTED))
    return parts


def _left(
    followed: Followed, view: StageView, elapsed: float, usual: float | None
) -> tuple[float | None, str]:
    # The benchmark knows its own plan; what earlier runs took is second best.
    latest = followed.view.latest
    if view.stage == "job" and latest is not None and latest.remaining_s is not None:
        return latest.remaining_s, ""
    if usual is not None and usual > elapsed:
        return usual - elapsed, ", by earlier runs"
    return None, ""


def _progress(run: RunView, view: StageView) -> list[Content]:
    progress = view.progress
    if view.stage == "job" and run.total:
        done = len(run.measurements)
        return [
            Content.assemble(
                bar(done + _share(run), run.total, _BAR),
                f" {done}/{run.total} measurements",
            )
        ]
    if progress is not None:
        figures = amount(progress.done, progress.total, progress.unit)
        detail = harmless(f" {figures}  {progress.detail}")
        return [Content.assemble(bar(progress.done, progress.total, _BAR), detail)]
    return []


def _share(run: RunView) -> float:
    latest = run.latest
    if run.current is None or latest is None or not latest.samples_total:
        return 0.0
    return min(1.0, latest.samples_done / latest.samples_total)
