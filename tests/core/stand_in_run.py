"""A run's process whose stages are stand-ins: ``python -m tests.core.stand_in_run``.

Arguments: state folder, results folder, name of the job's work. Prints the run's id first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from core.run.journal import Journal
from tests.core.runs import execute, new_run
from tests.core.stages import WORKS


def main() -> int:
    state, results, work = Path(sys.argv[1]), Path(sys.argv[2]), WORKS[sys.argv[3]]
    with Journal(state) as journal:
        run = new_run(journal, results)
        print(run.id, flush=True)
        return execute(journal, run, work, results)


if __name__ == "__main__":
    sys.exit(main())
