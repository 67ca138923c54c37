"""What the device does and what the run costs, live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from core.text import harmless
from tui.widgets.drawing import MUTED, bar, money, sparkline

if TYPE_CHECKING:
    from benchmark.telemetry import GpuSample, HostSample
    from tui.state import Followed

_LABEL = 12
_VALUE = 10
_BAR = 24


class TelemetryPanel(Static):
    """The GPU's or the CPU's clock, power, temperature and use as sparklines."""

    def __init__(self) -> None:
        super().__init__(markup=False, classes="panel", id="telemetry")
        self.border_title = "telemetry"

    def show(self, followed: Followed) -> None:
        """Show the latest samples."""
        self.border_title = "telemetry" if followed.running else "telemetry (the last seen)"
        self.update(telemetry_content(followed, max(10, self.content_size.width)))


class CostPanel(Static):
    """What the run costs."""

    def __init__(self) -> None:
        super().__init__(markup=False, classes="panel", id="cost")
        self.border_title = "cost"

    def show(self, followed: Followed) -> None:
        """Show the latest figures."""
        self.update(cost_content(followed))


def telemetry_content(followed: Followed, width: int) -> Content:
    """Return a line a figure: its course, and its last value."""
    samples = followed.samples
    gpu = [sample.gpu for sample in samples]
    host = [sample.host for sample in samples]
    if not any(gpu) and not any(host):
        return Content.styled("No samples yet.", MUTED)
    lines = []
    if any(gpu):
        lines += [
            _line("GPU clock", [_of(one, "sm_clock_mhz") for one in gpu], "MHz", width),
            _line("GPU power", [_of(one, "power_watts") for one in gpu], "W", width),
            _line("GPU temp.", [_of(one, "temperature_celsius") for one in gpu], "°C", width),
            _line("GPU use", [_of(one, "utilization_percent") for one in gpu], "%", width),
        ]
    lines += [
        _line("CPU use", [_of(one, "cpu_percent") for one in host], "%", width),
        _line("CPU steal", [_of(one, "steal_percent") for one in host], "%", width),
        _line("CPU clock", [_of(one, "cpu_frequency_mhz") for one in host], "MHz", width),
        _line("load, 1 min", [_of(one, "load_1m") for one in host], "", width),
    ]
    last = next((one for one in reversed(gpu) if one is not None), None)
    if last is not None and last.throttle_reasons:
        lines.append(
            Content.styled(harmless(f"clocks: {', '.join(last.throttle_reasons)}"), "$text-warning")
        )
    return Content("\n").join(lines)


def _of(sample: GpuSample | HostSample | None, name: str) -> float | None:
    return None if sample is None else getattr(sample, name)


def _line(label: str, values: Sequence[float | None], unit: str, width: int) -> Content:
    room = max(4, width - _LABEL - _VALUE - 1)
    last = values[-1] if values else None
    shown = "-" if last is None else f"{last:,.0f} {unit}" if unit else f"{last:,.2f}"
    return Content.assemble(
        f"{label:<{_LABEL}}", (sparkline(values, room), "$primary"), f" {shown:>{_VALUE}}"
    )


def cost_content(followed: Followed) -> Content:
    """Return rate, spent, projection and budget, or that nothing is billed."""
    cost = followed.view.cost
    if cost is None:
        text = (
            "Nothing is billed: the run is on this machine."
            if followed.view.target == "local"
            else "No cost was reported yet."
        )
        return Content.styled(text, MUTED)
    lines = [
        _amount("rate", f"{money(cost.usd_per_hour)} per hour"),
        Content.assemble(_label("spent"), (money(cost.spent_usd), "bold")),
    ]
    if cost.projected_usd is not None:
        lines.append(_amount("at the end", f"{money(cost.projected_usd)}, teardown included"))
    if cost.budget_usd:
        share = cost.spent_usd / cost.budget_usd
        style = "$error" if share >= 0.95 else "$warning" if share >= 0.8 else "$success"
        lines.append(
            Content.assemble(
                _label("budget"),
                bar(cost.spent_usd, cost.budget_usd, _BAR, style),
                f" {share:.0%} of {money(cost.budget_usd)}",
            )
        )
    lines.append(Content.styled(harmless(f"prices: {cost.source}"), MUTED))
    return Content("\n").join(lines)


def _label(text: str) -> tuple[str, str]:
    return (f"{text:<{_LABEL}}", MUTED)


def _amount(label: str, text: str) -> Content:
    return Content.assemble(_label(label), text)
