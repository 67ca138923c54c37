"""What an API server's refusal, or its silence, means: the error to raise, as a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from core.kube.errors import (
    ClusterError,
    ConflictError,
    DeniedError,
    ExpiredError,
    NotFoundError,
    UnreachableError,
)
from core.text import harmless

_TEMPORARY = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Who:
    """Who was asked, and as whom."""

    server: str
    context: str


class TemporaryError(Exception):
    """The server asks to be asked again."""

    def __init__(self, problem: UnreachableError, pause_s: float) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.pause_s = pause_s


def refusal(
    who: Who, status: int, message: str, asked: str, headers: Mapping[str, str]
) -> Exception:
    """Return the error for an HTTP status; a :class:`TemporaryError` where asking again may help.

    ``message`` is what the server said, ``asked`` the method and the path.
    """
    said = harmless(message).strip().rstrip(".") or f"HTTP status {status}"
    if status in _TEMPORARY:
        problem = UnreachableError(
            f"The API server {who.server} cannot serve requests now ({status}: {said}).",
            "Try again when it is well; what was created is in the journal.",
        )
        return TemporaryError(problem, _retry_after(headers))
    match status:
        case 401:
            return DeniedError(
                f"The API server {who.server} does not accept the credentials of context "
                f"{who.context} (401: {said}).",
                "Log in again, as for kubectl, and see that this machine's clock is right.",
                status=status,
            )
        case 403:
            return DeniedError(
                f"Context {who.context} may not do this: {said}.",
                "gpubench-tui --no-ui permissions prints the Role that is needed.",
                status=status,
            )
        case 404:
            return NotFoundError(f"{asked}: {said}.")
        case 409:
            return ConflictError(f"{asked}: {said}.")
        case 410:
            return ExpiredError(f"{asked}: {said}.")
    return ClusterError(f"The API server {who.server} refused {asked}: {said}.")


def unreachable(who: Who, error: Exception) -> UnreachableError:
    """Return the error for a connection that failed."""
    return UnreachableError(
        f"The API server {who.server} of context {who.context} cannot be reached: "
        f"{harmless(_last_line(error))}.",
        "See that the cluster runs and that this machine's network and VPN lead to it.",
    )


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, min(float(headers.get("Retry-After", "0")), 120.0))
    except ValueError:
        # An HTTP date: the server's clock may not be ours, so our own pauses must do.
        return 0.0


def message_of(text: str) -> str:
    """Return what a Status object says, else the beginning of the body."""
    try:
        document = json.loads(text)
    except ValueError:
        return text.strip()[:300]
    return str(document.get("message") or "") if isinstance(document, dict) else ""


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[-1].strip() if lines else type(error).__name__).rstrip(".")
