"""Access tokens from google-auth: found where gcloud and Google's libraries find credentials, kept
until shortly before they end.

google-auth is synchronous: one thread hop for finding them, one for each token.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import ProblemError
from core.gcp.access import GoogleAccess
from core.gcp.errors import ApiDisabledError, CredentialsError, UnavailableError
from core.gcp.refusals import Asked, refusal
from core.gcp.said import from_rest, from_status, plain
from core.text import harmless

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_OF_PEOPLE = ("google.oauth2.credentials", "google.auth.external_account_authorized_user")
_BEFORE_END_S = 300.0
_REQUEST_TIMEOUT_S = 20.0
_NONE = (
    "Run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a service "
    "account's file."
)


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    fresh_until: float
    ends_at: float


class Tokens:
    """The access tokens of one account, one refresh at a time."""

    def __init__(self, access: GoogleAccess, monotonic: Callable[[], float]) -> None:
        self._access = access
        self._monotonic = monotonic
        self._credentials: Credentials | None = None
        self._token: _Token | None = None
        self._refreshing: asyncio.Task[str] | None = None

    @property
    def account(self) -> str:
        """E-mail of the account; empty until a token was fetched, or where nobody says it."""
        for name in ("service_account_email", "account"):
            known = getattr(self._credentials, name, None)
            if isinstance(known, str) and "@" in known:
                return harmless(known)
        return ""

    @property
    def quota_project(self) -> str:
        """The project to name with each request (``x-goog-user-project``); empty: the account's own
        is right. A person's credentials belong to gcloud's own project otherwise, whose APIs are
        not ours (https://cloud.google.com/docs/quotas/set-quota-project).
        """
        named = getattr(self._credentials, "quota_project_id", None)
        if isinstance(named, str) and named:
            return named
        kind = type(self._credentials).__module__
        return self._access.project if kind in _OF_PEOPLE else ""

    async def token(self) -> str:
        """Return a token that is good for some minutes at least.

        Raises:
            CredentialsError: there are no credentials, or Google does not take them.
            UnavailableError: whoever gives the tokens gave no answer.
            ApiDisabledError: the one that impersonation needs.
        """
        token = self._token
        if token is not None and self._monotonic() < token.fresh_until:
            return token.value
        try:
            return await self._refreshed()
        except UnavailableError:
            if token is not None and self._monotonic() < token.ends_at:
                return token.value
            raise

    async def renew(self, refused: str) -> str:
        """Return another token than ``refused``, which Google did not take.

        Raises: as :meth:`token`.
        """
        if self._token is not None and self._token.value != refused:
            # Somebody else has met the same refusal before.
            return self._token.value
        return await self._refreshed()

    async def close(self) -> None:
        """Wait for no refresh any longer."""
        refreshing = self._refreshing
        if refreshing is not None:
            refreshing.cancel()
            await asyncio.wait([refreshing])

    async def _refreshed(self) -> str:
        if self._refreshing is None:
            task = asyncio.create_task(self._refresh())
            task.add_done_callback(self._refresh_ended)
            self._refreshing = task
        # Who stops waiting must not stop it for the others.
        return await asyncio.shield(self._refreshing)

    def _refresh_ended(self, task: asyncio.Task[str]) -> None:
        self._refreshing = None
        if not task.cancelled():
            # Whoever still waits gets it; where nobody does, it is no news.
            task.exception()

    async def _refresh(self) -> str:
        if self._credentials is None:
            self._credentials = await asyncio.to_thread(_find, self._access)
        value, lasts_s = await asyncio.to_thread(_fetch, self._credentials, self._access)
        now = self._monotonic()
        # The metadata server hands out tokens that are nearly over.
        margin = min(_BEFORE_END_S, lasts_s / 2)
        self._token = _Token(value, now + lasts_s - margin, now + lasts_s)
        return value


def _find(access: GoogleAccess) -> Credentials:
    """Find the credentials; nothing is asked of Google yet, save whether this is a machine of its.

    Raises: CredentialsError.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        # The library reads the variable too, but tells less of what is wrong with the file.
        file = access.credentials_file or os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
        if file:
            found = _from_file(file)
        else:
            found, _project = google.auth.default(scopes=_SCOPES)
    except GoogleAuthError as error:
        raise CredentialsError(
            f"No credentials for Google Cloud were found: {_reason(error)}.", _NONE
        ) from None
    return _impersonating(found, access) if access.impersonate else found


def _from_file(name: str) -> Credentials:
    import google.auth
    from google.oauth2 import credentials, service_account

    try:
        document = json.loads(Path(name).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise CredentialsError(
            f"The credentials file {harmless(name)} cannot be read: {reason}.", _NONE
        ) from None
    kind = document.get("type") if isinstance(document, dict) else None
    # google-auth is typed in parts only.
    of_service: Any = service_account.Credentials.from_service_account_info
    of_person: Any = credentials.Credentials.from_authorized_user_info
    other: Any = google.auth.load_credentials_from_dict
    try:
        match kind:
            case "service_account":
                found = of_service(document, scopes=_SCOPES)
            case "authorized_user":
                found = of_person(document, scopes=_SCOPES)
            case _:
                # Deprecated where the file comes from others; here its owner names it.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    found, _project = other(document, scopes=_SCOPES)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        google.auth.exceptions.GoogleAuthError,
    ):
        # Its own words can hold parts of the key.
        raise CredentialsError(
            f"The credentials file {harmless(name)} holds no credentials that Google's library "
            "understands.",
            "It must be the JSON file of a service account's key, of workload identity "
            "federation, or of gcloud auth application-default login.",
        ) from None
    result: Credentials = found
    return result


def _impersonating(source: Credentials, access: GoogleAccess) -> Credentials:
    from google.auth import impersonated_credentials

    base = access.base_url("iamcredentials")
    acting: Any = impersonated_credentials.Credentials
    result: Credentials = acting(
        source_credentials=source,
        target_principal=access.impersonate,
        target_scopes=list(_SCOPES),
        lifetime=3600,
        iam_endpoint_override=(
            f"{base}/v1/projects/-/serviceAccounts/{access.impersonate}:generateAccessToken"
        ),
    )
    return result


def _fetch(credentials: Any, access: GoogleAccess) -> tuple[str, float]:
    """Return a new token and for how many seconds it is good.

    Raises: CredentialsError, UnavailableError; ApiDisabledError where an account is impersonated.
    """
    from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
    from google.auth.transport.requests import Request

    # The library's own limit is 120 s.
    request = functools.partial(Request(), timeout=_REQUEST_TIMEOUT_S)
    try:
        credentials.refresh(request)
    except GoogleAuthError as error:
        reason = _reason(error)
        if isinstance(error, TransportError) or (
            isinstance(error, RefreshError) and getattr(error, "retryable", False)
        ):
            raise UnavailableError(
                f"Google gave no access token: {reason}.",
                "See that this machine's network and proxy lead to oauth2.googleapis.com, then "
                "try again.",
            ) from None
        if access.impersonate:
            raise _not_impersonated(error, access) from None
        raise CredentialsError(f"Google does not take the credentials: {reason}.", _NONE) from None
    except (ValueError, TypeError, KeyError, OSError) as error:
        # What signs with the key, runs a program or reads a file of an external account.
        raise CredentialsError(
            f"The credentials cannot be used: {type(error).__name__}.", _NONE
        ) from None
    token, expiry = credentials.token, credentials.expiry
    if not isinstance(token, str) or not token:
        raise CredentialsError("The credentials gave no access token.", _NONE)
    # google-auth's ends are wall time, UTC without saying so; from here on only durations count.
    left = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() if expiry else 3600.0
    return token, max(1.0, left)


def _not_impersonated(error: Exception, access: GoogleAccess) -> ProblemError:
    # The refusal itself comes behind the library's words.
    body = str(error.args[1]) if len(error.args) > 1 else ""
    acting = harmless(access.impersonate)
    asked = Asked(f"acting as {acting}", access.project, "iamcredentials.googleapis.com")
    understood = refusal(from_rest(403, body), asked)
    if understood.temporary or isinstance(understood.problem, ApiDisabledError):
        return understood.problem
    return CredentialsError(
        f"The account may not act as {acting}: {_reason(error)}.",
        f"Run gcloud iam service-accounts add-iam-policy-binding {acting} --member user:E-MAIL "
        "--role roles/iam.serviceAccountTokenCreator, or log in as another account.",
    )


def _reason(error: Exception) -> str:
    # The second argument holds the whole answer; where that is no answer of OAuth's, the library
    # puts the error into its words as it is.
    first, answer = (*error.args, "", "")[:2]
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        first = from_status(answer["error"]).message or first
    return plain(str(first))[:300].rstrip(" .") or type(error).__name__
