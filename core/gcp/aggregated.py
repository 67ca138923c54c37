"""Compute Engine's lists over all zones and regions.

An ``aggregatedList`` (cloud.google.com/compute/docs/reference/rest/v1) answers by scope, and a
scope that could not be asked says so beside those that could. Such a list proves nothing: it is an
error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from core.gcp.answers import part, text, texts
from core.gcp.errors import UnavailableError
from core.text import harmless

if TYPE_CHECKING:
    from core.gcp.connection import Google

# Said of a scope that was asked and has nothing.
_EMPTY = "NO_RESULTS_ON_PAGE"
# Said of an answer that lacks something (Warning.code of the API).
_LACKING = frozenset({"UNREACHABLE", "PARTIAL_SUCCESS", "LIST_OVERHEAD_QUOTA_EXCEED"})


async def aggregated(
    google: Google, kind: str, query: Mapping[str, str]
) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
    """Yield everything of a kind with its scope (``zones/us-central1-a``), of all scopes.

    Raises:
        UnavailableError: not every scope could be asked.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = f"/compute/v1/projects/{google.project}/aggregated/{kind}"
    # Partial success has to be asked for; it is refused here in case it comes unasked.
    asked = f"listing the {kind} of all zones"
    limits = {"maxResults": "500", **query}
    async for page in google.documents("compute", path, query=limits, asked=asked):
        _check_whole(page, kind)
        for scope, found in part(page, "items").items():
            for item in _of_scope(kind, scope, found):
                yield scope, item


def _check_whole(page: Mapping[str, Any], kind: str) -> None:
    if unreachable := texts(page, "unreachables"):
        raise _partial(kind, ", ".join(unreachable), "it could not be reached")
    warning = part(page, "warning")
    if text(warning, "code") in _LACKING:
        raise _partial(kind, "a part of the project", text(warning, "message"))
    # Google's own lists say what they are even where nothing is in them.
    if not isinstance(page.get("items", {}), dict) or not page.keys() & {"items", "kind"}:
        raise _partial(kind, "the project", "the answer cannot be read")


def _of_scope(kind: str, scope: str, found: Any) -> list[Mapping[str, Any]]:
    """Return a scope's resources, all of which must be readable."""
    found = found if isinstance(found, dict) else {kind: None}
    warning = part(found, "warning")
    code = text(warning, "code")
    # What Google warns of beside a list (a deprecated type ...) takes nothing from it.
    if code in _LACKING or (code not in ("", _EMPTY) and kind not in found):
        raise _partial(kind, scope, text(warning, "message") or code)
    items = found.get(kind, [])
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and text(item, "name") for item in items
    ):
        raise _partial(kind, scope, "its part of the answer cannot be read")
    return items


def _partial(kind: str, where: str, why: str) -> UnavailableError:
    reason = harmless(why).rstrip(".") or "it gave no reason"
    return UnavailableError(
        f"Google could not list the {kind} of {harmless(where)}: {reason}.",
        "What is there is unknown until it answers: try again in a few minutes.",
    )
