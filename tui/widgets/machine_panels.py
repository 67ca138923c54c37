"""What the device does, live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from core.text import harmless
from tui.widgets.drawing import MUTED, sparkline

if TYPE_CHECKING:
    from benchmark.telemetry import GpuSample, HostSample
    from tui.state import Followed

_LABEL = 12
_VALUE = 10


class TelemetryPanel(Static):
    """The GPU's or the CPU's clock, power, temperature and use as sparklines."""

    def __init__(self) -> None:
        super().__init__(markup=False, classes="panel", id="telemetry")
        self.border_title = "telemetry"

    def show(self, followed: Followed) -> None:
        """Show the latest samples."""
        self.border_title = "telemetry" if followed.running else "telemetry (the last seen)"
        self.update(telemetry_content(followed, max(10, self.content_size.width)))


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
