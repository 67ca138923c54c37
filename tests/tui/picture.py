"""Draws the console as the README shows it: ``python -m tests.tui.picture docs/console.svg``.

Over the recorded runs, with a clock that stands still; nothing of it is made up.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from core.console_settings import ConsoleSettings
from core.run.journal import Journal
from core.run.log import LOG_FILE
from tests.tui.recorded import recorded_events, replay
from tui.app import Console

_MEASURED = 3


async def picture(target: Path) -> None:
    """Write the dashboard of a recorded run under way as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        state, results = Path(folder, "state"), Path(folder, "results")
        replay(state, results, "baseline")
        run = replay(state, results, "xen", until="run_created")
        events = recorded_events("xen", run.folder, results)
        kept, finished = [], 0
        for event in events[1:]:
            finished += event.record.event == "measurement_finished"
            if finished == _MEASURED:
                break
            kept.append(event)
        with Journal(state) as journal:
            for event in kept:
                journal.append(run.id, event.record, time=event.time, stage=event.stage)
        now = kept[-1].time
        log = run.folder / LOG_FILE
        # As far as it had come by then.
        lines = log.read_text().splitlines(keepends=True)
        log.write_text(
            "".join(line for line in lines if datetime.fromisoformat(line.split()[0]) <= now)
        )
        app = Console(
            ConsoleSettings(),
            {},
            lambda: now,
            flags={"state_dir": str(state), "results_dir": str(results)},
            poll_s=0.02,
        )
        async with app.run_test(size=(130, 36)) as pilot:
            await pilot.pause(2)
            await pilot.press("enter")
            await pilot.pause(2)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(app.export_screenshot(title="gpubench-tui"))


if __name__ == "__main__":
    asyncio.run(picture(Path(sys.argv[1])))
