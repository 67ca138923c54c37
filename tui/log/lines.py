"""What a line of ``deployment.log`` is, and the text of it that is shown, searched and copied."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from core.text import harmless

LONGEST_SHOWN = 20_000
"""Bytes of one message that are shown and searched. The rest is in the file, and in a saved copy:
with a bound here, one line of a gigabyte costs no more than any other."""

LONGEST_HEAD = 256
"""More bytes than a time and a source take."""

# Matched against every line, so it is loose about dates, and possessive: together that is four
# times as fast as an exact pattern that backtracks.
_TIME, _SOURCE = rb"[0-9]{4}-[0-9][-+0-9T:.Z]{13,29}+", rb"[^\]\n]{1,200}+"
_HEAD = re.compile(rb"(%b) \[(%b)\] " % (_TIME, _SOURCE))
SOURCES = re.compile(rb"(?:%b \[(%b)\] )?+.*+\n" % (_TIME, _SOURCE))
"""``findall`` gives the source of each complete line, empty where a line has none."""
MESSAGES = re.compile(rb"(?:%b \[%b\] )?+(.*+)\n" % (_TIME, _SOURCE))
"""``findall`` gives the message of each complete line."""

ERROR_WORDS = rb"(?i)(?:error|exception|traceback|\bfatal|\bpanic|\boom)"
"""A line is an error when its message (its first LONGEST_SHOWN bytes) holds one of these, in any
case: RuntimeError and OOMKilled are, a room is not. RE2's syntax."""

# They have no width of their own but change the width of the character before them, differently
# on every terminal.
_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line as it can be shown."""

    number: int
    """From 0."""
    time: str
    """As the file has it; empty for a line that somebody else wrote into the file."""
    source: str
    text: str
    error: bool
    complete: bool
    """False for a last line that has no end yet."""


def head_of(raw: bytes) -> tuple[bytes, bytes, int]:
    """Return a raw line's time and source, and where its message begins."""
    found = _HEAD.match(raw)
    return (found[1], found[2], found.end()) if found else (b"", b"", 0)


def shown_text(message: bytes, missing: int = 0) -> str:
    """Return a message as one printable line. ``missing``: bytes of it that are not in
    ``message``.
    """
    missing += max(0, len(message) - LONGEST_SHOWN)
    if not missing:
        message = message.removesuffix(b"\r")
    # Not final when something is missing: a character that the cut split is left out.
    text, _ = codecs.utf_8_decode(message[:LONGEST_SHOWN], "backslashreplace", not missing)
    text = shown(text)
    return f"{text} [{missing} more bytes]" if missing else text


def shown(text: str) -> str:
    """Return text of one printable line, whose width is the sum of its characters' widths."""
    # Whatever isprintable() lets through, harmless() would return as it is, only slower.
    if not text.isprintable() or len(text) > LONGEST_SHOWN:
        text = harmless(text)
    return text if text.isascii() else _VARIATION.sub("", text)


def is_shown_as_it_is(block: bytes) -> bool:
    """Return whether every line of a block of whole, short lines is shown just as it lies in the
    file.
    """
    try:
        text = block.decode()
    except UnicodeDecodeError:
        return False
    if not text.replace("\n", "").isprintable():
        return False
    return text.isascii() or _VARIATION.search(text) is None
