"""What the log panel has to tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.message import Message


@dataclass
class LogCaughtUp(Message):
    """Everything that the file held was read."""

    lines: int
    """Lines in the log."""
    errors: int
    """Lines among them that are errors."""


@dataclass
class LogSaved(Message):
    """A copy of the log, or of a part of it, was written."""

    path: Path
    """The new file."""
    size: int
    """Its bytes."""


@dataclass
class LogCopied(Message):
    """Lines were handed to the clipboard."""

    lines: int
    """How many."""


@dataclass
class LogTroubled(Message):
    """The file cannot be read, or was replaced, shortened or removed."""

    sentence: str
    """What happened."""


@dataclass
class FollowingChanged(Message):
    """The view began or ceased to follow the end of the log."""

    following: bool
    """Whether it follows now."""


@dataclass
class MarkChanged(Message):
    """Lines were marked, or are marked no more."""

    lines: tuple[int, int] | None
    """The first and the last line's number."""
