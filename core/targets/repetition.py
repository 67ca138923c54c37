"""What of a container's log a run has heard already: its process was killed, and the next one reads
the log from its beginning.
"""

from __future__ import annotations

import re
import typing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmark.progress import ProgressRecord
from core.run.events import PartChanged, Stage
from core.run.log import LOG_FILE
from core.run.pipeline import StageContext

_RECORDS = typing.get_args(ProgressRecord)
_LINE = re.compile(rb"(\S+) \[([^\]]*)\] ")


@dataclass
class Heard:
    """Counts down what is heard again."""

    records: int = 0
    """Progress records that are in the journal."""
    until: datetime | None = None
    """Time of the last line that is in deployment.log, in whole milliseconds."""
    at_until: int = 0
    """How many lines of that very time are."""

    def is_old_record(self) -> bool:
        """Return whether the next progress record is in the journal."""
        self.records -= 1
        return self.records >= 0

    def is_old_line(self, time: datetime | None) -> bool:
        """Return whether the next line, of this time, is in deployment.log."""
        if self.until is None or time is None:
            return False
        when = time.replace(microsecond=time.microsecond // 1000 * 1000)
        if when == self.until:
            self.at_until -= 1
            return self.at_until >= 0
        return when < self.until


def heard_before(context: StageContext, pod: str, source: str) -> Heard:
    """Return what this run has heard of this very pod. ``source`` is its name in deployment.log."""
    known = any(
        isinstance(event.record, PartChanged)
        and (event.record.kind, event.record.name) == ("pod", pod)
        for event in context.before
    )
    if not known:
        return Heard()
    records = sum(
        event.stage is Stage.JOB and isinstance(event.record, _RECORDS) for event in context.before
    )
    until, at_until = _last_line(context.folder / LOG_FILE, source)
    return Heard(records, until, at_until)


def _last_line(log: Path, source: str) -> tuple[datetime | None, int]:
    until, count = None, 0
    with log.open("rb") as lines:
        for line in lines:
            match = _LINE.match(line)
            if match is None or match[2] != source.encode():
                continue
            try:
                time = datetime.fromisoformat(match[1].decode("ascii", "replace"))
            except ValueError:
                continue
            if until is None or time > until:
                until, count = time, 1
            elif time == until:
                count += 1
    return until, count
