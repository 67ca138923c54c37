"""A history for a terminal and as JSON: what core.verdict.history found, nothing computed anew."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime

from core.report.past_runs import FoundHistory
from core.report.scenarios import terminal_json
from core.text import columns, harmless
from core.verdict.figures import percent_text, probability_text, value_text
from core.verdict.history import Change, History, PastRun, Series, too_few
from core.verdict.levels import ALPHA
from core.verdict.model import CONFIDENCE, TARGET_OVERHEAD, Span

VERSION = 1
"""Of the JSON document; another where a reader of the one before would go wrong."""
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "12345678"
"""For a terminal that has no others."""

_MISSING = " "
# A row as wide as this still fits beside its figures.
_MOST_BARS = 40
_MOST_LISTED = 40
# A row's range fills its height, and noise would look like mountains, unless it is at least this.
_LEAST_RANGE = math.log1p(TARGET_OVERHEAD)
_RUN_HEADERS = ("#", "RUN", "STARTED (UTC)", "BLOCKS", "DIFFERS FROM THE RUN BEFORE IN")
_SERIES_HEADERS = (
    *("MEASUREMENT", "METRIC", "RUNS", "OLD TO NEW", "NEWEST RUN (90 %)", "RUNS DIFFER"),
    *("BLOCKS DIFFER", "NEXT RUN (90 %)", "CHANGED WITH RUN"),
)


def render_text(found: FoundHistory, bars: str = BARS) -> str:
    """Return the history for a terminal. ``bars``: the signs of a sparkline, low to high."""
    history = found.history
    lines = _heading(history)
    lines += ["", *_run_lines(history), ""]
    lines += columns([_SERIES_HEADERS, *(_cells(each, history, bars) for each in history.series)])
    lines += ["", *_change_lines(history), "", *map(harmless, _notes(history))]
    return "\n".join(lines) + "\n"


def render_json(found: FoundHistory) -> str:
    """Return the history with every figure as it was computed. The names are those of
    ``core.verdict.history``; ``run`` is an index into ``runs``, times are ISO 8601, percentages of
    a change say how much larger the figure is.
    """
    history = found.history
    document = {
        "kind": "history",
        "version": VERSION,
        "confidence": CONFIDENCE,
        "alpha": ALPHA,
        **asdict(history),
        "changed_runs": [history.runs[run].id for run in history.changed_runs],
        "too_few": too_few(history) or None,
        "skipped": found.skipped,
        "notes": _notes(history),
    }
    return (
        terminal_json(json.dumps(document, indent=1, allow_nan=False, default=datetime.isoformat))
        + "\n"
    )


def _heading(history: History) -> list[str]:
    first, last = history.runs[0], history.runs[-1]
    count = len(history.runs)
    where = f" on target {harmless(history.target)}" if history.target else ""
    return [
        f"History of leg {harmless(history.leg)}{where}: {count} run{'s' if count > 1 else ''}, "
        f"{_time(first)} to {_time(last)} (UTC)",
        f"profile: {harmless(', '.join(history.profiles))}",
        f"measured on: {harmless(history.device)}",
        f"configuration: {harmless(history.configuration)}",
    ]


def _run_lines(history: History) -> list[str]:
    rows: list[tuple[str, ...]] = [_RUN_HEADERS]
    hidden = max(0, len(history.runs) - _MOST_LISTED)
    for number, run in enumerate(history.runs):
        if number >= hidden or number in history.changed_runs:
            blocks = f"{run.blocks}, {run.void} void" if run.void else str(run.blocks)
            names = ", ".join(each.name for each in run.differences)
            rows.append(
                (str(number + 1), harmless(run.id), _time(run), blocks, harmless(names) or "-")
            )
    lines = columns(rows)
    if hidden:
        lines.append(
            f"Of the {hidden} oldest runs only those with a change are listed; --json has all."
        )
    return lines


def _cells(series: Series, history: History, bars: str) -> tuple[str, ...]:
    newest = series.figures[-1]
    figure = value_text(newest.value)
    if newest.interval is not None:
        figure += f" ({_span(newest.interval)})"
    changed = ", ".join(str(change.run + 1) for change in series.changes)
    if not changed:
        changed = "* advisory" if series.advisory else "-" if too_few(history) else "none"
    return (
        harmless(series.measurement),
        f"{series.metric} ({series.unit})",
        str(len(series.figures)),
        sparkline(series, len(history.runs), bars),
        figure,
        _noise(series.noise_percent),
        _noise(series.block_noise_percent),
        "-" if series.next_run is None else _span(series.next_run),
        changed,
    )


def sparkline(series: Series, runs: int, bars: str = BARS) -> str:
    """Return one bar a run, the newest at the right; a run without the figure leaves a gap."""
    logarithms = {figure.run: math.log(figure.value) for figure in series.figures}
    low, high = min(logarithms.values()), max(logarithms.values())
    height = max(high - low, _LEAST_RANGE)
    ground = (low + high - height) / 2
    signs = []
    for run in range(max(0, runs - _MOST_BARS), runs):
        if run not in logarithms:
            signs.append(_MISSING)
            continue
        place = int(len(bars) * (logarithms[run] - ground) / height)
        signs.append(bars[min(max(place, 0), len(bars) - 1)])
    return "".join(signs)


def _change_lines(history: History) -> list[str]:
    if sentence := too_few(history):
        return [sentence]
    if not history.changed_runs:
        return ["Nothing changed beyond the noise."]
    lines = []
    for number in history.changed_runs:
        run = history.runs[number]
        lines.append(
            f"Changed beyond the noise with run {number + 1}, {harmless(run.id)}, {_time(run)} "
            "(UTC):"
        )
        for series, change in history.changes_with(number):
            lines.append(f"  {harmless(change_sentence(series, change, history.tests))}")
        differing = "; ".join(map(str, run.differences))
        lines.append(
            f"  Other than in the run before it: {harmless(differing)}."
            if differing
            else "  Nothing that is recorded is other than in the run before it."
        )
    return lines


def change_sentence(series: Series, change: Change, tests: int) -> str:
    """Return one change with its size, interval and p-values."""
    direction = "higher" if change.percent > 0 else "lower"
    size = percent_text(abs(change.percent)).lstrip("+")
    interval = "no interval"
    if change.interval_percent is not None:
        span = change.interval_percent
        interval = f"90 % interval {percent_text(span.low)} to {percent_text(span.high)} %"
    p_value = probability_text(change.p_value, ALPHA)
    adjusted = probability_text(change.adjusted_p_value, ALPHA)
    return (
        f"{series.measurement} {series.metric}: {size} % {direction}, "
        f"{'worse' if change.worse else 'better'} ({interval}; p {_is(p_value)}, among "
        f"{tests} places {_is(adjusted)}); runs at that level: {change.runs_after}, at the one "
        f"before: {change.runs_before}."
    )


def _is(probability: str) -> str:
    return probability if probability.startswith("<") else f"= {probability}"


def _notes(history: History) -> list[str]:
    notes = [
        "A figure is the geometric mean of a run's good blocks, its interval comes from how they "
        "differ. Runs differ, blocks differ: the standard deviation of their logarithms, of runs "
        "at one level, of blocks within a run.",
        "changed: a run and those after it against those before it, beyond what runs differ by. "
        f"Where nothing changes, {100 * (1 - ALPHA):g} % of histories point out nothing, if the "
        "noise of runs is normal and does not linger from one to the next.",
        "Bars span a row's own range, or 5 % where that is less.",
    ]
    if any(run.differences for run in history.runs):
        notes.append(
            "What else is other in a run stands beside a change; it need not be its cause."
        )
    if any(series.advisory for series in history.series):
        reasons = dict.fromkeys(each.advisory for each in history.series if each.advisory)
        notes.append(f"* advisory: shown, and no change is looked for: {'; '.join(reasons)}.")
    if any(series.latency_of == "batch" for series in history.series):
        notes.append("Offline has one query; its latencies are those of a batch in the SUT.")
    return [*notes, *history.left_out, history.notice]


def _noise(percent: float | None) -> str:
    return "-" if percent is None else f"{percent:.2f} %"


def _span(span: Span) -> str:
    return f"{value_text(span.low)} to {value_text(span.high)}"


def _time(run: PastRun) -> str:
    return f"{run.started_at.astimezone(UTC):%Y-%m-%d %H:%M}"
