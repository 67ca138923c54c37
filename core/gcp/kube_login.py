"""The login at a GKE cluster's API server: its address, its authority, tokens renewed in time."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from benchmark.errors import ProblemError

if TYPE_CHECKING:
    from core.gcp.clusters import Endpoint
    from core.gcp.connection import Google


def login_for(google: Google, endpoint: Endpoint) -> Callable[[Any], Awaitable[None]]:
    """Return what sets a configuration of the Kubernetes client (``kubernetes.aio``) up for a
    cluster, its token renewed before it ends for as long as the client lives. Called again for the
    same configuration, after a refusal, it fetches another token.

    Raises (the returned function): CredentialsError, UnavailableError.
    """

    async def log_in(configuration: Any) -> None:
        configuration.host = endpoint.host_url
        configuration.ca_cert_data = endpoint.ca_pem
        configuration.verify_ssl = True
        token = await google.token()
        if configuration.api_key.get("BearerToken") == _bearer(token):
            token = await google.token(force=True)
        _give(configuration, token)
        # The client calls it before every request; the token is at hand but for once in an hour.
        configuration.refresh_api_key_hook = refresh

    async def refresh(configuration: Any) -> None:
        # The old one may still do: whether it does is the API server's to say.
        with contextlib.suppress(ProblemError):
            _give(configuration, await google.token())

    return log_in


def _give(configuration: Any, token: str) -> None:
    configuration.api_key = {**configuration.api_key, "BearerToken": _bearer(token)}


def _bearer(token: str) -> str:
    return f"Bearer {token}"
