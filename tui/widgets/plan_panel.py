"""The plan of a run: which step runs beside which, how long, for how much, and how far it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from core.text import duration, harmless
from tui.plan import PlanProgress, PlanStep, as_planned, progress_of
from tui.widgets.drawing import FAINT, MUTED, mark, money, prices_line

if TYPE_CHECKING:
    from core.run.cost_events import RunPlanned
    from tui.state import Followed

_NAME = 17
_TIME = 18
_USD = 7
_MOST_LANE = 72
_LEAST_LANE = 8
_BASIS = 30
_STYLES = {
    "waiting": MUTED,
    "running": "$primary",
    "done": "$success",
    "failed": "$error",
    "died": "$error",
    "stopped": "$warning",
}


class PlanPanel(Static):
    """The followed run's plan; hidden where there is none."""

    def __init__(self) -> None:
        super().__init__(markup=False, classes="panel", id="plan")
        self.border_title = "plan"
        self._shown: tuple[Followed, datetime] | None = None

    def on_resize(self) -> None:
        """Draw it for its new width; of a run that has ended nobody else would."""
        if self._shown is not None:
            self.show(*self._shown)

    def show(self, followed: Followed, now: datetime) -> None:
        """Show how far it is."""
        self._shown = followed, now
        plan = followed.view.forecast
        self.display = plan is not None
        if plan is None:
            return
        width = max(40, self.content_size.width or self.app.size.width - 4)
        progress = progress_of(plan, followed.view, now, died=followed.state == "died")
        lines = [plan_content(progress, width), *_outlook(followed, plan, progress, now)]
        self.update(Content("\n").join(lines))


def expected_content(plan: RunPlanned, width: int) -> Content:
    """Return the plan of a run that was not started."""
    return plan_content(as_planned(plan), width)


def plan_content(progress: PlanProgress, width: int) -> Content:
    """Return one line a step in ``width`` cells: its bar from its start to its end, its length and
    its dollars.
    """
    begun = progress.now_s is not None
    names = [_short(step.name, _NAME) for step in progress.steps]
    name = max(map(len, names), default=0)
    fixed = name + _TIME + _USD + 4 + (2 if begun else 0)
    room = width - fixed
    basis = room >= _LEAST_LANE * 4 + _BASIS
    lane = max(_LEAST_LANE, min(_MOST_LANE, room - (_BASIS if basis else 0)))
    span = max(progress.ends_s, progress.now_s or 0.0, 1.0)
    lines = []
    for step, shown in zip(progress.steps, names, strict=True):
        line = Content.assemble(
            *((mark(step.state), " ") if begun else ()),
            Content(shown).truncate(name, ellipsis=True, pad=True),
            " ",
            _lane(step, progress.now_s, span, lane),
            f" {_time(step, progress.now_s):>{_TIME}}",
            (f" {money(step.usd):>{_USD}}", MUTED),
        )
        if basis:
            line += Content.styled(f"  {_short(step.basis, _BASIS)}", MUTED)
        lines.append(line.truncate(width, ellipsis=True))
    return Content("\n").join(lines)


def _short(text: str, width: int) -> str:
    # Cut first: a megabyte takes its time.
    safe = harmless(text[: width + 1])
    return safe if len(safe) <= width else f"{safe[: width - 1]}…"


def _lane(step: PlanStep, now_s: float | None, span: float, width: int) -> Content:
    """Return a step's bar on the whole plan's line; the now is a line through all of them."""
    first = min(width - 1, max(0, int(step.starts_s / span * width)))
    last = min(width, max(first + 1, round(step.ends_s / span * width)))
    now = min(width - 1, max(0, int(now_s / span * width))) if now_s is not None else None
    style = _STYLES.get(step.state, FAINT)
    cells: list[tuple[str, str]] = [(" ", "")] * width
    if step.state != "skipped":
        for place in range(first, last):
            over = now is not None and place < now
            # What is still to come is as thin as a bar's rest.
            solid = step.state != "waiting" and (over or step.state != "running")
            cells[place] = ("━" if solid or now_s is None else "╌", style)
    if now is not None and cells[now][0] == " ":
        cells[now] = ("┊", FAINT)
    return Content.assemble(*cells)


def _time(step: PlanStep, now_s: float | None) -> str:
    if step.state == "skipped":
        return "-"
    if step.state == "running" and now_s is not None:
        left = step.ends_s - now_s
        return f"{duration(left)} left" if left > 0 else "longer than usual"
    if step.state == "done" and not step.is_measured:
        return "done"
    return duration(step.seconds)


def _outlook(
    followed: Followed, plan: RunPlanned, progress: PlanProgress, now: datetime
) -> list[Content]:
    first = [f"planned: {duration(plan.seconds)}"]
    if plan.usd is not None:
        first.append(money(plan.usd))
    if plan.budget_usd is not None:
        first.append(f"of a budget of {money(plan.budget_usd)}")
    lines = [Content.styled(", ".join(first).replace(", of a", " of a"), MUTED)]
    left = progress.left_s
    if left is not None and followed.at_work:
        ends = now + timedelta(seconds=left)
        cost = followed.view.cost
        money_then = (
            f", {money(cost.projected_usd)} by then"
            if cost is not None and cost.projected_usd is not None
            else ""
        )
        lines.insert(
            0,
            Content.assemble(
                ("about ", MUTED),
                (f"{duration(left)} left", "bold"),
                (f", to about {ends:%H:%M} UTC{money_then}", MUTED),
            ),
        )
    return [*lines, prices_line(plan.source)]
