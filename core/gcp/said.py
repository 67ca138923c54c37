"""What Google said when it refused, in one form, whichever way it came.

Shapes: google.rpc.Status with google.rpc.ErrorInfo (https://google.aip.dev/193), the older REST
bodies' ``errors`` lists, the ``error.errors`` of Compute Engine's operations, and the operations
and conditions of GKE.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.text import harmless

if TYPE_CHECKING:
    from google.cloud import container_v1

JsonObject = dict[str, Any]

# google.rpc.Code, in its order.
CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_OF_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_LONGEST = 600
_LONGEST_PAUSE_S = 120.0
# What answers may repeat of a request: access tokens, signed assertions, keys.
_SECRETS = (
    re.compile(r"ya29\.[\w.\-]+"),
    re.compile(r"(?i)(?<=bearer )\s*[\w.\-~+/]+=*"),
    re.compile(r"eyJ[\w\-]+\.[\w\-]+\.?[\w\-]*"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.S),
)


@dataclass(frozen=True, slots=True)
class Said:
    """A refusal as it was given."""

    code: str = ""
    """Of google.rpc.Code (``PERMISSION_DENIED``); empty: none that is known."""
    message: str = ""
    """One line, harmless and without secrets."""
    reasons: frozenset[str] = frozenset()
    """Every machine-readable reason beside the code, as ``SERVICE_DISABLED``."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """ErrorInfo's metadata and what else is named: ``permission``, ``service`` ..."""
    pause_s: float = 0.0
    """How long to wait before asking again, where Google says it."""


def plain(text: str) -> str:
    """Return text of Google's as one line that steers no terminal and holds no secret."""
    for secret in _SECRETS:
        text = secret.sub("[secret]", text)
    line = harmless(" ".join(text.split())).rstrip(" .")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."


def from_rest(status: int, text: str, retry_after: str = "") -> Said:
    """Read an HTTP answer of 300 or above; Google redirects no request of an API."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    # A batch of one comes as a list.
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, str):
        # OAuth's own form (RFC 6749, 5.2).
        detail = document.get("error_description") if isinstance(document, dict) else ""
        error = {"message": f"{error}: {detail}" if detail else error}
    if not isinstance(error, dict):
        error = {"message": _words_of_page(text)}
    said = from_status(error)
    known = said.code if said.code in CODES else _OF_HTTP.get(status, "")
    return Said(
        known or ("UNAVAILABLE" if status >= 500 else "INVALID_ARGUMENT"),
        said.message or f"HTTP status {status}",
        said.reasons,
        said.facts,
        said.pause_s or _seconds(retry_after),
    )


def from_status(error: Mapping[str, Any]) -> Said:
    """Read a google.rpc.Status in JSON, the ``error`` of a REST answer, or one of the ``errors`` of
    Compute Engine (``code`` is a word there, its details are in ``errorDetails``).
    """
    reasons: set[str] = set()
    facts: dict[str, str] = {}
    pause = 0.0
    code = error.get("status")
    if not isinstance(code, str):
        code = ""
    numeric = error.get("code")
    if isinstance(numeric, str):
        reasons.add(_constant(numeric))
    elif not code and isinstance(numeric, int) and 0 < numeric < len(CODES):
        code = CODES[numeric]
    for old in _objects(error.get("errors")):
        reasons.add(_constant(str(old.get("reason") or old.get("code") or "")))
    for detail in (*_objects(error.get("details")), *_objects(error.get("errorDetails"))):
        pause = max(pause, _read_detail(detail, reasons, facts))
    message = error.get("message")
    return Said(
        _constant(code),
        plain(message if isinstance(message, str) else ""),
        frozenset(reasons - {""}),
        facts,
        pause,
    )


def from_grpc(error: Exception) -> Said:
    """Read what the client library raised: google.api_core's errors, or gRPC's own."""
    from google.api_core import exceptions

    # google.api_core is typed in parts only.
    wrap: Any = exceptions.from_grpc_error
    wrapped: Any = error if isinstance(error, exceptions.GoogleAPICallError) else wrap(error)
    code = wrapped.grpc_status_code
    details = [_as_json(detail) for detail in wrapped.details]
    said = from_status({"message": str(wrapped.message or ""), "details": details})
    name = code.name if code is not None else "UNKNOWN"
    return Said(name, said.message or name, said.reasons, said.facts, said.pause_s)


def from_operation(operation: container_v1.Operation) -> Said | None:
    """Read why an operation failed, or what keeps it from going on; None where it says nothing."""
    error = operation.error
    conditions = from_conditions((*operation.cluster_conditions, *operation.nodepool_conditions))
    if not (error.code or error.message):
        if conditions is not None:
            return _joined(conditions, operation.status_message)
        # Deprecated, and on some failures all there is.
        text = plain(operation.status_message)
        return Said(message=text) if text else None
    details = [_as_json(detail) for detail in error.details]
    said = from_status({"code": error.code, "message": error.message, "details": details})
    if conditions is None:
        return _joined(said, operation.status_message)
    return Said(
        said.code or conditions.code,
        said.message or conditions.message,
        said.reasons | conditions.reasons,
        said.facts,
    )


def from_conditions(conditions: Iterable[container_v1.StatusCondition]) -> Said | None:
    """Read the conditions of a cluster, a pool or an operation; None where there are none."""
    codes: list[str] = []
    messages: list[str] = []
    reasons: set[str] = set()
    for condition in conditions:
        reasons.add(getattr(condition.code, "name", ""))
        canonical = int(condition.canonical_code)
        if 0 < canonical < len(CODES):
            codes.append(CODES[canonical])
        message = plain(condition.message)
        if message and message not in messages:
            messages.append(message)
    if not (reasons or codes):
        return None
    return Said(
        codes[0] if codes else "",
        "; ".join(messages) or ", ".join(sorted(reasons - {""})),
        frozenset(reasons - {"", "UNKNOWN"}),
    )


def _joined(said: Said, more: str) -> Said:
    message = said.message or plain(more)
    return Said(said.code, message, said.reasons, said.facts, said.pause_s)


def _read_detail(detail: JsonObject, reasons: set[str], facts: dict[str, str]) -> float:
    """Note what one detail holds; return the pause it asks for, in seconds."""
    # Compute Engine wraps each: {"errorInfo": {...}}, {"quotaInfo": {...}}.
    for inner in ("errorInfo", "quotaInfo"):
        wrapped = detail.get(inner)
        if isinstance(wrapped, dict):
            detail = wrapped
    reason = detail.get("reason")
    if isinstance(reason, str):
        reasons.add(_constant(reason))
    for name in ("metadata", "metadatas", "dimensions"):
        named = detail.get(name)
        if isinstance(named, dict):
            facts.update({str(key): plain(str(value)) for key, value in named.items()})
    for name in ("metricName", "limitName"):
        if isinstance(detail.get(name), str):
            facts[name] = plain(detail[name])
    for violation in _objects(detail.get("violations")):
        subject = violation.get("subject") or violation.get("type")
        if isinstance(subject, str):
            facts.setdefault("violation", plain(subject))
    return _seconds(detail.get("retryDelay"))


def _as_json(detail: Any) -> JsonObject:
    from google.protobuf import json_format  # type: ignore[import-untyped]

    try:
        read = json_format.MessageToDict(detail)
    except (TypeError, ValueError, AttributeError):
        # An Any whose type this client does not know.
        return {}
    return read if isinstance(read, dict) else {}


def _objects(value: Any) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _constant(reason: str) -> str:
    """Return ``RATE_LIMIT_EXCEEDED`` for ``rateLimitExceeded``; constants stay as they are."""
    if reason.isupper():
        return reason
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", reason).upper()


def _seconds(text: Any) -> float:
    """Return the seconds of ``30`` or ``1.5s``; 0 for what is neither."""
    if not isinstance(text, str) or not re.fullmatch(r"\d{1,9}(\.\d{1,9})?s?", text):
        # An HTTP date: the server's clock may not be ours, so our own pauses must do.
        return 0.0
    return min(float(text.removesuffix("s")), _LONGEST_PAUSE_S)


def _words_of_page(text: str) -> str:
    title = re.search(r"<title>(.*?)</title>", text, re.S | re.I)
    return title[1] if title else re.sub(r"<[^>]*>", " ", text)[:300]
