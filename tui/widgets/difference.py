"""The two legs' figures and how far they are apart, drawn against the 5 % line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from core.text import harmless
from tui.widgets.drawing import FAINT, MUTED

if TYPE_CHECKING:
    from core.report.side_by_side import DifferenceRow, Side, SideBySide
    from core.report.side_by_side_costs import CostPair

_TARGET_PERCENT = 5.0
_FIGURE = 22
# So that all of a line is on 80 columns.
_NARROW_FIGURE = 11
_NAME = 24
_PERCENT = 9
_LEAST_BAR = 13
_MOST_BAR = 61


def side_by_side_content(found: SideBySide, width: int) -> Content:
    """Return the whole diff for this many cells."""
    figure = _FIGURE if width >= 110 else _NARROW_FIGURE
    # What is left, an odd number so that zero has a cell of its own in the middle.
    room = width - _NAME - 2 * figure - _PERCENT - 6
    bar = min(_MOST_BAR, max(_LEAST_BAR, room if room % 2 else room - 1))
    first, second = found.first, found.second
    lines = [
        _leg("first", first.label, first.hypervisor, first.device, first.configuration),
        _leg("second", second.label, second.hypervisor, second.device, second.configuration),
        *(Content.styled(f"! {harmless(text)}", "$text-warning") for text in found.warnings),
        Content(""),
        Content.styled(
            f"{'':<{_NAME}}{_cut(first.label, figure):>{figure}}  "
            f"{_cut(second.label, figure):>{figure}}  {'overhead':>{_PERCENT}}  "
            f"{_scale(bar)}",
            MUTED,
        ),
    ]
    before = ""
    for row in found.rows:
        lacking = _lacking(row, found)
        if row.measurement != before:
            before = row.measurement
            void = "; ".join(mark for mark in row.marks if "void" in mark)
            lines.append(
                Content.assemble(
                    (harmless(row.measurement), "bold"),
                    lacking,
                    (f"  {harmless(void)}" if void else "", "$text-warning"),
                )
            )
        if lacking:
            continue
        lines.append(_row(row, figure, bar))
    lines += [
        Content(""),
        *(Content.styled(harmless(note), MUTED) for note in found.notes()),
    ]
    if found.cost is not None:
        lines += cost_lines(found, found.cost, figure)
    return Content("\n").join(lines)


def cost_lines(found: SideBySide, cost: CostPair, figure: int) -> list[Content]:
    """Return what both runs cost, and their inferences measurement by measurement."""
    from core.report.side_by_side_costs import leg_text, per_million_text

    lines = [Content(""), Content.styled("cost", "bold")]
    for leg, spent in ((found.first, cost.first), (found.second, cost.second)):
        name = f"{_cut(leg.label, _NAME - 4):<{_NAME - 4}}"
        lines.append(Content.assemble(f"  {name}  ", harmless(leg_text(spent))))
    if cost.rows:
        head = f"{'  $ per million':<{_NAME}}"
        for leg in (found.first, found.second):
            head += f"{_cut(leg.label, figure):>{figure}}  "
        lines.append(Content.styled(f"{head}{'dearer':>{_PERCENT}}", MUTED))
    for row in cost.rows:
        percent = row.difference_percent
        figures = (row.first_usd_per_million, row.second_usd_per_million)
        lines.append(
            Content(
                f"{f'  {_cut(row.measurement, _NAME - 3)}':<{_NAME}}"
                + "".join(f"{per_million_text(usd):>{figure}}  " for usd in figures)
                + f"{'-' if percent is None else f'{percent:+.2f} %':>{_PERCENT}}"
            )
        )
    return [*lines, *(Content.styled(harmless(note), MUTED) for note in cost.notes())]


def _lacking(row: DifferenceRow, found: SideBySide) -> str:
    """Return that only one leg has such a measurement; its figures are in that leg's results."""
    if row.first is not None and row.second is not None:
        return ""
    there = found.first if row.first is not None else found.second
    return f"  only in {harmless(there.label)}"


def _leg(place: str, label: str, hypervisor: str, device: str, configuration: str) -> Content:
    return Content.assemble(
        (f"{place:<8}", MUTED),
        (harmless(label), "bold"),
        harmless(f"  under {hypervisor}  {device}; {configuration}"),
    )


def _row(row: DifferenceRow, figure: int, bar: int) -> Content:
    name = f"  {row.metric} {row.unit}"
    percent = row.difference_percent
    shown = "-" if percent is None else f"{percent:+.2f} %"
    style = "" if percent is None or row.advisory else _style(percent)
    return Content.assemble(
        f"{name:<{_NAME}}",
        f"{_figure(row.first):>{figure}}  {_figure(row.second):>{figure}}  ",
        (f"{shown:>{_PERCENT}}", style),
        "  ",
        difference_bar(row, bar),
    )


def _figure(side: Side | None) -> str:
    if side is None or side.figure is None:
        return "-"
    text = f"{side.figure.median:,.2f}"
    if side.figure.advisory:
        text += " *"
    return text if side.usable else f"({text})"


def _style(percent: float) -> str:
    return "$text-error" if percent > _TARGET_PERCENT else ""


def difference_bar(row: DifferenceRow, width: int) -> Content:
    """Return a scale from -10 to +10 %: zero, the 5 % line, the span over the blocks and the
    difference itself. What lies beyond is an arrow at the edge.
    """
    cells: list[tuple[str, str]] = [("·", FAINT)] * width
    cells[width // 2] = ("│", MUTED)
    cells[_cell(_TARGET_PERCENT, width)] = ("┊", "$warning")
    if row.smallest_percent is not None and row.largest_percent is not None:
        for place in range(
            _cell(row.smallest_percent, width), _cell(row.largest_percent, width) + 1
        ):
            # The line stays to be seen: whether the span crosses it is the question.
            crossed = {"│": "┼", "┊": "┿"}.get(cells[place][0], "━")
            cells[place] = (crossed, "$primary")
    percent = row.difference_percent
    if percent is not None:
        sign = "●" if abs(percent) <= 2 * _TARGET_PERCENT else "▶" if percent > 0 else "◀"
        cells[_cell(percent, width)] = (sign, _style(percent) or "$primary")
    return Content.assemble(*cells)


def _cell(percent: float, width: int) -> int:
    half = width // 2
    share = min(1.0, max(-1.0, percent / (2 * _TARGET_PERCENT)))
    return half + round(share * half)


def _scale(width: int) -> str:
    half = width // 2
    target = _cell(_TARGET_PERCENT, width)
    line = [" "] * width
    for place, text in ((0, "-10 %"), (half, "0"), (target - 1, "5 %")):
        line[place : place + len(text)] = text
    return "".join(line[:width]).rstrip()


def _cut(text: str, width: int) -> str:
    safe = harmless(text)
    return safe if len(safe) <= width else f"{safe[: width - 1]}…"
