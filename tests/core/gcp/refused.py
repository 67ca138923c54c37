"""Refusals as REST gives them."""

from __future__ import annotations

import json
from typing import Any

from core.gcp.refusals import Asked, Refusal, refusal
from core.gcp.said import from_rest

ASKED = Asked("creating cluster c", "proj", "container.googleapis.com", "me@example.net")


def rest(
    status: int, message: str, *, code: str = "", reason: str = "", old: str = "", **facts: str
) -> Refusal:
    """A REST refusal in google.rpc.Status' form."""
    error: dict[str, Any] = {"code": status, "message": message}
    if code:
        error["status"] = code
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": reason, "metadata": facts}]
    if old:
        error["errors"] = [{"reason": old, "domain": "global"}]
    return refusal(from_rest(status, json.dumps({"error": error})), ASKED)
