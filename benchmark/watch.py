"""Turns what a measurement child says and counts into progress records."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmark.estimate import Estimate
from benchmark.plan import Measurement
from benchmark.progress import Emit, PhaseEntered, Progressed
from benchmark.protocol import PROGRESS_FILE, ProgressFile
from benchmark.telemetry import Sampler


class Watch:
    """Turns what a measurement child says and counts into progress records."""

    def __init__(
        self,
        emit: Emit,
        measurement: Measurement,
        block: int,
        folder: Path,
        estimate: Estimate,
    ) -> None:
        self._emit = emit
        self._measurement = measurement
        self._block = block
        self._folder = folder
        self._estimate = estimate
        self._phase = "loading"
        self._phase_started = time.monotonic()
        self._total: int | None = None
        self._counters: ProgressFile | None = None
        self.sampler: Sampler | None = None

    def hear(self, message: dict[str, Any]) -> None:
        if message.get("kind") != "phase":
            return
        self._phase = message["phase"]
        self._phase_started = time.monotonic()
        self._total = message.get("total")
        self._estimate.phase(self._phase)
        self._emit(
            PhaseEntered(
                name=self._measurement.name,
                block=self._block,
                phase=message["phase"],
            )
        )

    def tick(self) -> None:
        done, nanoseconds = self._read()
        elapsed = time.monotonic() - self._phase_started
        measuring = self._phase == "measuring"
        latest = self.sampler.latest() if self.sampler else None
        rate = done / elapsed if measuring and done and elapsed > 0 else None
        self._emit(
            Progressed(
                name=self._measurement.name,
                block=self._block,
                phase=self._phase,
                elapsed_s=round(elapsed, 3),
                samples_done=done if measuring else 0,
                samples_total=self._total,
                samples_per_s=round(rate, 3) if rate else None,
                latest_batch_ms=round(nanoseconds / 1e6, 4) if nanoseconds else None,
                remaining_s=self._estimate.remaining(done, self._total),
                gpu=latest.gpu if latest else None,
                host=latest.host if latest else None,
            )
        )

    def close(self) -> None:
        if self._counters is not None:
            self._counters.close()
        (self._folder / PROGRESS_FILE).unlink(missing_ok=True)

    def _read(self) -> tuple[int, int]:
        if self._counters is None:
            path = self._folder / PROGRESS_FILE
            try:
                self._counters = ProgressFile(path, create=False)
            except (OSError, ValueError):
                return 0, 0
        return self._counters.read()
