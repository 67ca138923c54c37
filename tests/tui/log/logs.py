"""Logs for tests: small ones written by hand, large ones by the line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tui.log.index import LogIndex

STAMP = "2026-05-04T12:00:{seconds:02d}.000+00:00"

HOSTILE = [
    b"\x1b[31mred\x1b[0m and \x1b]0;title\x07 and \x1b]52;c;aGk=\x1b\\",
    b"[bold red]markup[/] [@click=app.quit]press[/] [/nothing]",
    b"\xff\xfe\xc3( invalid \xed\xa0\x80 UTF-8",
    "right \u202eto left\u202c and \u2066isolated\u2069".encode(),
    "zero\u200bwidth\u200djoined\ufeff \u2028line\u2029end\x85".encode(),
    "\U0001f680 \u2764\ufe0f \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea"
    " \U0001f44d\U0001f3fd 1\ufe0f\u20e3".encode(),
    "日本語の長い行 カタカナ 한국어".encode() * 20,
    b"a\tb\tc\x00d\rover\x08\x7f\x9b31m",
    "e\u0301".encode() + "Z\u0300\u0301\u0302\u0303".encode() * 50,
    b"x" * 1_000_000,
    "\u0301\u0301 combining first".encode(),
    b"",
]


def line(text: str, source: str = "job", seconds: int = 0) -> bytes:
    """One line as the run's log writes it."""
    return f"{STAMP.format(seconds=seconds)} [{source}] {text}\n".encode()


def numbered(count: int, word: str = "line") -> bytes:
    """Many lines, each with its number."""
    return b"".join(line(f"{word} {number}", seconds=number % 60) for number in range(count))


def read_all(index: LogIndex, budget: int = 65_536) -> None:
    """Read what there is now."""
    while index.read_more(budget):
        pass


def append(path: Path, data: bytes) -> None:
    """Write on, as a run does."""
    with path.open("ab") as stream:
        stream.write(data)


def still() -> Callable[[], float]:
    """A clock for which no work takes any time."""
    return lambda: 0.0


def hurried() -> Callable[[], float]:
    """A clock for which every look at it costs a second: each slice is as small as can be."""
    now = 0.0

    def tell() -> float:
        nonlocal now
        now += 1.0
        return now

    return tell
