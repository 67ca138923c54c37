"""Waiting for what Google's REST APIs carry out after they have answered.

Compute Engine has operations of its own ("Handling API responses",
cloud.google.com/compute/docs/api/how-tos/api-requests-responses); the younger APIs have
google.longrunning.Operation (AIP-151).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.gcp.answers import last, part, parts, text, whole
from core.gcp.errors import OperationError, UnavailableError
from core.gcp.refusals import Asked, of_failed
from core.gcp.said import from_rest, from_status, plain

if TYPE_CHECKING:
    from core.gcp.connection import Google

_EVERY_S = 2.0
_SCOPE = re.compile(r"/projects/[^/]+/((?:zones|regions)/[^/]+)/operations/")


async def wait_compute(
    google: Google, operation: Mapping[str, Any], what: str, *, patience_s: float = 600.0
) -> None:
    """Wait until an operation of Compute Engine has ended, zonal, regional or global.

    Args:
        what: what it does, for a sentence: ``deleting disk x``.
        patience_s: of waiting between looks.

    Raises:
        UnavailableError: it did not end within the patience.
        CredentialsError, GoogleError: it failed, or could not be asked; see core.gcp.errors.
    """
    path = f"/compute/v1/projects/{google.project}/{_scope(operation)}/operations"
    name = text(operation, "name")
    waited_s = 0.0
    while text(operation, "status") != "DONE":
        waited_s = await _pause(google, name, what, waited_s, patience_s)
        operation = await google.call("compute", "GET", f"{path}/{name}", asked=what)
    errors = parts(part(operation, "error"), "errors")
    status = whole(operation, "httpErrorStatusCode")
    if not errors and status < 400:
        return
    said = from_status(errors[0]) if errors else from_rest(status, "")
    raise of_failed(said, Asked(what, google.project, "compute.googleapis.com"))


async def wait_long(
    google: Google,
    service: str,
    operation: Mapping[str, Any],
    what: str,
    *,
    patience_s: float = 120.0,
) -> Mapping[str, Any]:
    """Wait until a google.longrunning.Operation is done and return its response; raises as
    ``wait_compute``.
    """
    name = text(operation, "name")
    waited_s = 0.0
    while operation.get("done") is not True:
        waited_s = await _pause(google, name, what, waited_s, patience_s)
        operation = await google.call(service, "GET", f"/v1/{name}", asked=what)
    error = part(operation, "error")
    if error:
        said = from_status(error)
        raise of_failed(said, Asked(what, google.project, f"{service}.googleapis.com"))
    return part(operation, "response")


async def _pause(google: Google, name: str, what: str, waited_s: float, patience_s: float) -> float:
    """Wait until it is worth asking again; return how long was waited in all."""
    if not name:
        raise OperationError(
            f"Google took on {what} and did not say which operation does it.",
            "Look whether it was done before trying again.",
        )
    if waited_s >= patience_s:
        raise UnavailableError(
            f"Google has not ended {what} in {patience_s:.0f} s (operation {plain(name)}).",
            "It may still end: look again in a few minutes.",
        )
    await google.sleep(_EVERY_S)
    return waited_s + _EVERY_S


def _scope(operation: Mapping[str, Any]) -> str:
    for kind in ("zone", "region"):
        if place := last(text(operation, kind)):
            return f"{kind}s/{place}"
    found = _SCOPE.search(text(operation, "selfLink"))
    return found[1] if found else "global"
