"""Who may ask: the token endpoint, what it has given out, and what that is still worth."""

from __future__ import annotations

import functools
import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.google.refusals import Refusal, unauthenticated

# google-auth names Google's own as the audience, wherever it sends the assertion.
_GOOGLES = "https://oauth2.googleapis.com/token"
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@functools.cache
def _key() -> tuple[str, str]:
    """A private and a public RSA key, one pair a process; short, as longer ones take a second."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


class OAuthRefusal(Exception):
    """What the token endpoint says no with."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


@dataclass
class Tokens:
    """Lifetimes are in seconds of our own clock: clients reckon with theirs."""

    project: str
    account: str
    """E-mail of the service account."""
    lifetime_s: float = 3600.0
    refuse: str = ""
    """The endpoint's error for everybody: ``invalid_grant`` ..."""
    static: str = ""
    """Given out instead of new ones: what a real cluster takes."""
    granted: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Token: account, and until when (``time.monotonic``)."""

    def grant(self, account: str = "", lifetime_s: float | None = None) -> str:
        """Give a token out."""
        token = self.static or f"ya29.stand-in-{secrets.token_hex(24)}"
        lifetime = self.lifetime_s if lifetime_s is None else lifetime_s
        self.granted[token] = (account or self.account, time.monotonic() + lifetime)
        return token

    def expire(self) -> None:
        """Let none of those given out count any more."""
        self.granted.clear()

    def account_of(self, authorization: str) -> str:
        """Raises: Refusal (UNAUTHENTICATED)."""
        token = authorization.removeprefix("Bearer ")
        account, until = self.granted.get(token, ("", 0.0))
        if not account or time.monotonic() >= until:
            raise unauthenticated()
        return account

    def is_good(self, token: str) -> bool:
        """Whether a bearer of this token may come in."""
        try:
            self.account_of(token)
        except Refusal:
            return False
        return True

    def answer(self, form: dict[str, str], token_uri: str) -> dict[str, Any]:
        """Serve the token endpoint. Raises: OAuthRefusal."""
        if self.refuse:
            raise OAuthRefusal(self.refuse, "Refused as the test wants it.")
        grant = form.get("grant_type", "")
        account = self.account
        if grant == _JWT_GRANT:
            account = self._verified(form.get("assertion", ""), token_uri)
        elif grant == "refresh_token" and form.get("refresh_token") != "stand-in-refresh-token":
            raise OAuthRefusal("invalid_grant", "Token has been expired or revoked.")
        elif grant not in (
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ):
            raise OAuthRefusal("unsupported_grant_type", f"Invalid grant_type: {grant}")
        return {
            "access_token": self.grant(account),
            "expires_in": int(self.lifetime_s),
            "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }

    def write_credentials(self, path: Path, token_uri: str) -> Path:
        """Write a service account's key file."""
        document = {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": "0123456789abcdef",
            "private_key": _key()[0],
            "client_email": self.account,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(document))
        return path

    def _verified(self, assertion: str, token_uri: str) -> str:
        from google.auth import exceptions, jwt

        decode: Any = jwt.decode
        try:
            claims = decode(assertion, certs=_key()[1], audience=[token_uri, _GOOGLES])
        except (ValueError, exceptions.GoogleAuthError) as error:
            raise OAuthRefusal("invalid_grant", f"Invalid JWT Signature. {error}") from error
        if claims["iss"] != self.account:
            raise OAuthRefusal("invalid_grant", "Invalid grant: account not found")
        return str(claims["iss"])
