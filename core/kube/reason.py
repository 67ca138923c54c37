"""Why something is as it is, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from core.text import harmless

_SAID_AT_MOST = 400


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a pod waits, why a container ended, or why no GPU can be used."""

    kind: str
    """A stable word such as ``no gpu`` or ``out of memory``."""
    sentence: str
    """What happened, and to which object; harmless to show."""
    remedy: str
    """What can be done; may be empty."""
    hopeless: bool
    """What waits: waiting will not help. What ended: the same again would end the same."""


def shown(text: str) -> str:
    """Return what somebody else said as part of a sentence: one harmless line, not too long."""
    plain = harmless(" ".join(text.split()).rstrip("."))
    return plain if len(plain) <= _SAID_AT_MOST else f"{plain[:_SAID_AT_MOST]}…"
