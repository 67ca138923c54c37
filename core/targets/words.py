"""What the benchmark says, wherever it runs: progress becomes events, all else lines of the log."""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from benchmark.progress import Failed, Finished, parse_progress
from core.errors import StageError
from core.run.pipeline import StageContext
from core.targets.repetition import Heard

SOURCE = "benchmark"
"""Its name in deployment.log."""


class BenchmarkWords:
    """Hears the benchmark's lines and knows what it said of its own end. What was ``heard`` by a
    process of the run that was killed is not told twice.
    """

    def __init__(self, context: StageContext, heard: Heard | None = None) -> None:
        self._context = context
        self._heard = heard or Heard()
        self._failed: Failed | None = None
        self._finished: Finished | None = None

    def hear(self, line: str, time: datetime | None = None) -> None:
        """Take one line in. ``time`` is when it was written, where that is known."""
        # Most lines of a talkative library are plain text, and a refusal by pydantic is slow.
        record = None
        if line.startswith("{"):
            try:
                record = parse_progress(line)
            except ValidationError:
                record = None
        if record is None:
            if not self._heard.is_old_line(time):
                self._context.log(SOURCE, line, time)
            return
        if isinstance(record, Failed):
            self._failed = record
        elif isinstance(record, Finished):
            self._finished = record
        if not self._heard.is_old_record():
            self._context.emit(record)

    @property
    def explained(self) -> bool:
        """Return whether the benchmark itself said how it ended."""
        return self._failed is not None or self._finished is not None

    def conclude(self, status: int) -> str:
        """Return one line on what was measured. ``status`` is the benchmark's exit status.

        Raises:
            StageError: it failed, in its own words where it had any.
        """
        if self._failed is not None:
            failed = self._failed
            raise StageError(failed.sentence, failed.remedy, exit_code=failed.exit_code)
        if status != 0 or self._finished is None:
            raise StageError(
                f"The benchmark ended with status {status} and said nothing of why.",
                "Its last words are in deployment.log.",
            )
        void = f", {self._finished.void} void" if self._finished.void else ""
        return f"{self._finished.good} measurements good{void}"
