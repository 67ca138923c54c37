"""What the run costs: every billed thing, the sum, the budget and the deadline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from core.text import duration, harmless
from tui.widgets.drawing import MUTED, PART_MARKS, money, prices_line

if TYPE_CHECKING:
    from core.report.costs import CostLine, RunCost
    from core.run.events import CostMetered, Event
    from tui.state import Followed

_LABEL = 12
_BAR = 24
_WARNED = (0.5, 0.8, 0.95)
# Time, dollars an hour and dollars so far of a billed thing, with a space before each.
_SINCE, _RATE, _SO_FAR = 6, 8, 9
_LEAST_NAME = 10


class CostPanel(Static):
    """What the run costs."""

    def __init__(self) -> None:
        super().__init__(markup=False, classes="panel", id="cost")
        self.border_title = "cost"

    def show(self, followed: Followed, now: datetime) -> None:
        """Show the figures of this moment."""
        width = max(30, self.content_size.width or self.app.size.width - 4)
        self.update(cost_content(followed, now, width))


def cost_content(followed: Followed, now: datetime, width: int) -> Content:
    """Return rate, spent, projection, budget, deadline and every billed thing in ``width`` cells,
    or that nothing is billed.
    """
    view, metered = followed.view, followed.view.cost
    cost = followed.billing.cost(now)
    deadline = _deadline(followed, now)
    if cost is None and metered is None:
        text = (
            "Nothing is billed: the run is on this machine."
            if view.target == "local"
            else "No cost was reported yet."
        )
        return Content("\n").join([Content.styled(text, MUTED), *deadline])
    spent, rate = spent_and_rate(followed, now)
    lines = [
        _amount("rate", f"{money(rate)} per hour"),
        Content.assemble(_label("spent"), (_spent_text(cost, spent), "bold")),
    ]
    if metered is not None:
        lines += _limits(followed, metered, spent)
    lines += deadline
    if cost is not None and cost.lines:
        lines += _things(cost.lines, width)
        lines += [
            Content.styled(harmless(f"{line.kind} {line.name}: no price is known"), "$text-warning")
            for line in cost.unpriced
        ]
    source = metered.source if metered is not None else cost.source if cost is not None else ""
    return Content("\n").join([*lines, prices_line(source)])


def spent_and_rate(followed: Followed, now: datetime) -> tuple[float, float]:
    """Return dollars so far and dollars an hour: of the billed things where they are known, else
    as the run said last.
    """
    cost, metered = followed.billing.cost(now), followed.view.cost
    if cost is not None and cost.lines:
        return cost.usd, cost.usd_per_hour
    return (metered.spent_usd, metered.usd_per_hour) if metered is not None else (0.0, 0.0)


def _spent_text(cost: RunCost | None, spent: float) -> str:
    if cost is None or not cost.lines:
        return money(spent)
    if not cost.known:
        return "no price known"
    return f"at least {money(spent)}" if cost.unpriced else money(spent)


def _limits(followed: Followed, metered: CostMetered, spent: float) -> list[Content]:
    lines = []
    if metered.projected_usd is not None and followed.at_work:
        lines.append(_amount("at the end", f"{money(metered.projected_usd)}, teardown included"))
    if metered.budget_usd:
        share = spent / metered.budget_usd
        lines.append(
            Content.assemble(
                _label("budget"),
                _budget_bar(share),
                f" {share:.0%} of {money(metered.budget_usd)}",
            )
        )
        lines += _warnings(followed.billing.warnings)
    return lines


def _budget_bar(share: float) -> Content:
    """Return a bar on which the shares at which a warning comes are marked."""
    style = "$error" if share >= 0.95 else "$warning" if share >= 0.8 else "$success"
    full = round(min(1.0, max(0.0, share)) * _BAR)
    cells = [("━", style) if place < full else ("─", MUTED) for place in range(_BAR)]
    for each in _WARNED:
        place = min(_BAR - 1, round(each * _BAR))
        cells[place] = ("┿" if place < full else "┼", cells[place][1])
    return Content.assemble(*cells)


def _warnings(warnings: Sequence[Event]) -> list[Content]:
    from core.run.events import CostWarned

    said = ", ".join(
        f"{event.record.share:.0%} at {event.time:%H:%M:%S}"
        for event in warnings
        if isinstance(event.record, CostWarned)
    )
    if not said:
        return []
    return [Content.assemble(_label("warned"), (said, "$text-warning"))]


def _deadline(followed: Followed, now: datetime) -> list[Content]:
    """Return how long the run may still take; nothing once all of it is over."""
    plan, view = followed.view.forecast, followed.view
    if plan is None or plan.deadline_s is None or view.created_at is None or not _goes_on(followed):
        return []
    ends = view.created_at + timedelta(seconds=plan.deadline_s)
    left = (ends - now).total_seconds()
    when = f"{ends:%H:%M} UTC"
    if left <= 0:
        return [Content.assemble(_label("deadline"), (f"passed at {when}", "$text-error"))]
    return [_amount("deadline", f"{duration(left)} left, {when}")]


def _goes_on(followed: Followed) -> bool:
    return followed.at_work or followed.state == "died"


def _things(lines: Sequence[CostLine], width: int) -> list[Content]:
    """Return a line for every billed thing: what, since when, dollars an hour and so far."""
    name = max(_LEAST_NAME, width - 2 - _SINCE - _RATE - _SO_FAR)
    head = f"{'  billed':<{name + 2}}{'since':>{_SINCE}}{'$/h':>{_RATE}}{'so far':>{_SO_FAR}}"
    shown = [Content.styled(head, MUTED)]
    for line in lines:
        open_ = line.until is None
        shown.append(
            Content.assemble(
                PART_MARKS["working" if open_ else "gone"],
                " ",
                Content(_cut(harmless(f"{line.kind} {line.name}"), name)).truncate(name, pad=True),
                f"{f'{line.since:%H:%M}':>{_SINCE}}",
                f"{'?' if line.usd is None else f'{line.usd_per_hour:.3f}':>{_RATE}}",
                (f"{'?' if line.usd is None else money(line.usd):>{_SO_FAR}}", "bold"),
            ).stylize("" if open_ else MUTED)
        )
    return shown


def _cut(text: str, width: int) -> str:
    """Return a name whose middle is left out: GKE's nodes differ in their ends."""
    if len(text) <= width:
        return text
    end = (width - 1) // 3
    return f"{text[: width - 1 - end]}…{text[-end:] if end else ''}"


def _label(text: str) -> tuple[str, str]:
    return (f"{text:<{_LABEL}}", MUTED)


def _amount(label: str, text: str) -> Content:
    return Content.assemble(_label(label), text)
