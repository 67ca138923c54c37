"""The live display on a terminal: stages, the measurement under way with its ETA, what was found.

The one module beside the console that imports rich; it is imported only when stderr is a terminal.
"""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from core.run import events
from core.run.events import Event
from core.run.narrate import finished_text, sentence
from core.run.view import RunView, StageState, StageView
from core.text import duration, harmless

_MARKS = {
    StageState.WAITING: ("·", "dim"),
    StageState.RUNNING: ("▶", "bold cyan"),
    StageState.DONE: ("✓", "green"),
    StageState.FAILED: ("✗", "bold red"),
    StageState.STOPPED: ("■", "yellow"),
}
_SPOKEN = (
    events.RunCreated,
    events.StageChecked,
    events.StageFailed,
    events.StopRequested,
    events.RunFinished,
)


class LiveDisplay:
    """Keeps the moving part at the bottom; what stays said scrolls above it."""

    def __init__(self, *, owns_terminal: bool) -> None:
        self.owns_terminal = owns_terminal
        self._console = Console(stderr=True, highlight=False)
        self._view = RunView()
        # rich would otherwise take stdout over, and the events with it.
        self._live = Live(
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.update(self._stages())
        self._live.transient = False
        self._live.__exit__(None, None, None)

    def show(self, event: Event) -> None:
        """Take one event in."""
        self._view.apply(event)
        record = event.record
        if isinstance(record, _SPOKEN) or record.event in ("remarked", "benchmark_prepared"):
            if text := sentence(event):
                self.say(text)
        elif record.event == "measurement_finished":
            done = self._view.measurements[-1]
            style = "yellow" if done.void_reasons else ""
            self._console.print(Text(finished_text(done), style=style))
        self._live.update(Group(self._stages(), *self._current()))

    def say(self, text: str) -> None:
        """Print a sentence above the moving part."""
        self._console.print(Text(harmless(text)))

    def _stages(self) -> RenderableType:
        line = Text()
        for stage in self._view.stages.values():
            mark, style = _MARKS[stage.state]
            line.append(f"{mark} {stage.stage}", style=style)
            line.append(f"{_seconds(stage)}   ", style="dim")
        return line

    def _current(self) -> list[RenderableType]:
        latest, current = self._view.latest, self._view.current
        if current is None:
            return []
        head = (
            f"[{current.position}/{current.total}] {current.scenario}, batch "
            f"{current.batch_size}, block {current.block}"
        )
        if latest is None:
            return [Text(head)]
        grid = Table.grid(padding=(0, 1))
        total = latest.samples_total
        bar = ProgressBar(total=total, completed=latest.samples_done, width=24, pulse=total is None)
        figures = [latest.phase]
        if latest.samples_per_s is not None:
            figures.append(f"{latest.samples_per_s:.1f} samples/s")
        if latest.remaining_s is not None:
            figures.append(f"{duration(latest.remaining_s)} left in all")
        grid.add_row(Text(head), bar, Text(", ".join(figures)))
        return [grid]


def _seconds(stage: StageView) -> str:
    return "" if stage.seconds is None else f" {duration(stage.seconds)}"
