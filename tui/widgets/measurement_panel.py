"""The measurement under way, live, and the figures of those that ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from core.text import columns, duration, harmless
from tui.widgets.drawing import MUTED, bar, sparkline

if TYPE_CHECKING:
    from benchmark.progress import MeasurementFinished
    from tui.state import Followed

_BAR = 24
_LABEL = 11


class MeasurementPanel(Static):
    """Live throughput and latency."""

    def __init__(self) -> None:
        super().__init__(markup=False, classes="panel", id="measurement")
        self.border_title = "measurement"

    def show(self, followed: Followed) -> None:
        """Show the measurement as it is now."""
        self.update(measurement_content(followed, max(10, self.content_size.width)))


def measurement_content(followed: Followed, width: int) -> Content:
    """Return the measurement under way and the table of those before it."""
    view = followed.view
    lines: list[Content] = []
    if view.prepared is not None:
        lines.append(
            Content.styled(
                harmless(f"{view.prepared.device_name}; {view.prepared.configuration}"),
                MUTED,
            )
        )
    if view.current is not None and not view.state.ended and followed.running:
        lines += _live(followed, width)
    if view.measurements:
        lines += [Content(""), *_table(view.measurements)] if lines else _table(view.measurements)
    if not lines and view.total and followed.running:
        return Content("Preparing: PyTorch, weights, attestation ...")
    if not lines:
        return Content.styled("Nothing was measured yet.", MUTED)
    return Content("\n").join(lines)


def _live(followed: Followed, width: int) -> list[Content]:
    current, latest = followed.view.current, followed.view.latest
    assert current is not None
    head = (
        f"{current.position}/{current.total}  {current.scenario}, batch {current.batch_size}, "
        f"block {current.block}"
    )
    lines = [Content.styled(head, "bold")]
    if latest is None:
        return lines
    figures = f" {harmless(latest.phase)}, {duration(latest.elapsed_s)}"
    if latest.samples_total:
        figures += f", {latest.samples_done:,}/{latest.samples_total:,} samples"
    lines.append(Content.assemble(bar(latest.samples_done, latest.samples_total, _BAR), figures))
    mine = [
        sample
        for sample in followed.samples
        if (sample.name, sample.block) == (latest.name, latest.block)
    ]
    room = max(8, width - _LABEL - 20)
    for label, values, unit in (
        ("throughput", [sample.samples_per_s for sample in mine], "samples/s"),
        ("batch time", [sample.latest_batch_ms for sample in mine], "ms"),
    ):
        last = values[-1]
        shown = "-" if last is None else f"{last:,.1f} {unit}"
        lines.append(
            Content.assemble(
                f"{label:<{_LABEL}}", (sparkline(values, room), "$primary"), f" {shown:>18}"
            )
        )
    return lines


def _table(finished: list[MeasurementFinished]) -> list[Content]:
    rows: list[tuple[str, ...]] = [("measurement", "samples/s", "p50 ms", "p90 ms", "p99 ms", "")]
    rows += [
        (
            harmless(f"{done.name} #{done.block}"),
            *(
                "-" if value is None else f"{value:,.2f}"
                for value in (
                    done.throughput_samples_per_s,
                    done.p50_ms,
                    done.p90_ms,
                    done.p99_ms,
                )
            ),
            "void" if done.void_reasons else "valid",
        )
        for done in finished
    ]
    texts = columns(rows)
    return [
        Content.styled(
            text,
            MUTED if number == 0 else "$text-warning" if rows[number][-1] == "void" else "",
        )
        for number, text in enumerate(texts)
    ]
