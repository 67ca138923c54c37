"""``--help`` and ``--version`` against the interpreter's own start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.performance.pairs import Outcome, interleave, ratio, spread

_ROUNDS = 15
_PROGRAM = Path(sys.executable).with_name("gpubench-tui")


def check() -> Iterator[Outcome]:
    figures = interleave(
        {
            "pass": lambda: _seconds(sys.executable, "-c", "pass"),
            "--help": lambda: _seconds(str(_PROGRAM), "--help"),
            "--version": lambda: _seconds(str(_PROGRAM), "--version"),
        },
        _ROUNDS,
    )
    for flag in ("--help", "--version"):
        yield Outcome(
            f"gpubench-tui {flag} / python -c pass",
            ratio(figures[flag], figures["pass"]),
            most=8,
            details=f"{spread(figures[flag], 's')} against {spread(figures['pass'], 's')}",
        )


def _seconds(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
