"""Keeping secrets that people put on a kernel command line out of the evidence."""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = "[redacted]"

_SECRET_KEY: Final = re.compile(
    r"pass|pwd|secret|token|key|cred|auth|bearer|psk|pin\b|cookie|session|sig|salt|seed|license",
    re.IGNORECASE,
)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_USER_INFO: Final = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY: Final = re.compile(r"\?.+")
_OPAQUE: Final = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
# What follows two dashes is handed to the init process and says nothing of the machine.
_FOR_INIT: Final = re.compile(r"(?<= -- )\S.*", re.DOTALL)
# A word of a command line: quotes keep spaces inside it, and an unclosed quote runs to the end.
_WORD: Final = re.compile(r'(?:"[^"]*(?:"|$)|[^\s"])+')


def redact_command_line(text: str) -> str:
    """Return a kernel command line with the values that look secret replaced by `[redacted]`.

    A value is taken for a secret when its key sounds like one, when it follows a flag that does,
    or when it is a long run of letters and digits; user names, passwords and queries in URLs go
    too, and everything after `--`. Keys always stay. It would rather hide too much: no rule of
    the classification reads a value that this hides.
    """
    text = _FOR_INIT.sub(f"{REDACTED}\n", text)
    pieces: list[str] = []
    end = 0
    hide_next = False
    for match in _WORD.finditer(text):
        word = match.group()
        pieces.append(text[end : match.start()])
        pieces.append(REDACTED if hide_next and "=" not in word else _redact_word(word))
        hide_next = "=" not in word and word.startswith("-") and bool(_SECRET_KEY.search(word))
        end = match.end()
    pieces.append(text[end:])
    return "".join(pieces)


def _redact_word(word: str) -> str:
    key, separator, value = word.partition("=")
    if not separator:
        return REDACTED if _looks_opaque(word) else word
    if _SECRET_KEY.search(key):
        return f"{key}={REDACTED}"
    value = _QUERY.sub(f"?{REDACTED}", _USER_INFO.sub(f"{REDACTED}@", value))
    # One value can hold further settings: "ds=nocloud;password=x", "systemd.set=a:token=x".
    if "=" in value and _SECRET_KEY.search(value):
        value = REDACTED
    return f"{key}={_OPAQUE.sub(_redact_opaque, value)}"


def _redact_opaque(match: re.Match[str]) -> str:
    return REDACTED if _looks_opaque(match.group()) else match.group()


def _looks_opaque(run: str) -> bool:
    if _UUID.fullmatch(run) or not _OPAQUE.fullmatch(run) or run.count("/") > 1:
        return False
    return any(c.isdigit() for c in run) and any(c.isalpha() for c in run)
