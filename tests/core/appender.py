"""Opens a journal, makes a run and appends events: ``python -m tests.core.appender``.

Arguments: state folder, results folder, how many events. Begins when a line comes on stdin.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmark.progress import Remarked
from core.run.journal import Journal
from core.run.process import utc_now
from tests.core.runs import new_run


def main() -> None:
    state, results, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    with Journal(state) as journal:
        run = new_run(journal, results)
        for number in range(count):
            journal.append(run.id, Remarked(message=f"event {number}"), time=utc_now())
    print(run.id)


if __name__ == "__main__":
    main()
