"""Who we are for a registry: flags, a Google access token, or what `docker login` left.

Secrets are passed on stdin and in headers only; nothing here shows one, exceptions included.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.image.docker_config import config_path, malformed, read_config
from core.image.errors import CredentialsError
from core.image.reference import DOCKER_HUB
from core.text import harmless

TOKEN_VARIABLE = "GPUBENCH_REGISTRY_TOKEN"
"""An access token for Google's registries."""
_HUB_SERVER = "https://index.docker.io/v1/"
_GOOGLE = re.compile(r"(?:[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z0-9-]+\.)?gcr\.io)")
_GOOGLE_USER = "oauth2accesstoken"
# What a credential helper answers as the user when its secret is an identity token.
_TOKEN_USER = "<token>"
_HELPER_TIMEOUT_S = 30.0
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Login:
    """A user with a password, or an identity token alone."""

    user: str
    password: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)

    def for_engine(self, domain: str) -> dict[str, str]:
        """Return what the engine's API takes as its registry authentication."""
        server = _HUB_SERVER if domain == DOCKER_HUB else domain
        if self.identity_token is not None:
            return {"identitytoken": self.identity_token, "serveraddress": server}
        return {"username": self.user, "password": self.password, "serveraddress": server}


class CredentialSource:
    """Finds the login of a registry.

    ``logins`` come first, then for Google's registries an access token (the environment's, or what
    ``google_token`` returns), then the Docker config of the environment.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        logins: Mapping[str, Login] | None = None,
        google_token: Callable[[], Awaitable[str | None]] | None = None,
    ) -> None:
        self._environment = environment
        self._logins = dict(logins or {})
        self._google_token = google_token

    async def login(self, domain: str) -> Login | None:
        """Return the login for the registry ``domain``, or None to stay anonymous.

        Raises:
            CredentialsError: the Docker config, or the helper that it names, cannot be used.
        """
        if given := self._logins.get(domain):
            return given
        if _GOOGLE.fullmatch(domain):
            token = self._environment.get(TOKEN_VARIABLE)
            if not token and self._google_token is not None:
                token = await self._google_token()
            if token:
                return Login(_GOOGLE_USER, token)
        return await self._from_docker(domain)

    async def _from_docker(self, domain: str) -> Login | None:
        path = config_path(self._environment)
        config = read_config(self._environment)
        helper = _helper(config, domain, path)
        if helper is not None:
            found = await self._ask(helper, domain, path)
            if found is not None:
                return found
        return _stored(config, domain, path)

    async def _ask(self, helper: str, domain: str, path: Path) -> Login | None:
        name = f"docker-credential-{helper}"
        program = shutil.which(name, path=self._environment.get("PATH"))
        if program is None:
            raise CredentialsError(
                f"{path} names the credential helper {name} for {domain}, which is not installed.",
                f"Install it, or take it out of {path}.",
            )
        answer = await _run_helper(program, name, _server(domain), self._environment)
        if answer is None:
            return None
        try:
            document = json.loads(answer)
            user, secret = str(document["Username"]), str(document["Secret"])
        except (ValueError, KeyError, TypeError):
            raise CredentialsError(
                f"The credential helper {name} gave no login for {domain} that can be read.",
                f"Log in again: docker login {domain}.",
            ) from None
        if user == _TOKEN_USER:
            return Login("", "", identity_token=secret)
        return Login(user, secret)


async def _run_helper(
    program: str, name: str, server: str, environment: Mapping[str, str]
) -> bytes | None:
    """Return what the helper said, or None where it knows no such registry."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environment),
        )
    except OSError as error:
        raise CredentialsError(
            f"The credential helper {name} cannot be started: {error.strerror or 'no program'}.",
            "Install it anew, or take it out of the Docker config.",
        ) from error
    try:
        async with asyncio.timeout(_HELPER_TIMEOUT_S):
            said, _ = await process.communicate(server.encode())
    except TimeoutError:
        raise CredentialsError(
            f"The credential helper {name} did not answer within {_HELPER_TIMEOUT_S:.0f} s.",
            f"See what `echo {server} | {name} get` waits for.",
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return said
    # The helpers' own words, from the library that they share.
    if b"credentials not found" in said:
        return None
    raise CredentialsError(
        f"The credential helper {name} failed for {server} with exit status {process.returncode}.",
        f"Log in again (docker login), and try `echo {server} | {name} get`.",
    )


def _helper(config: Mapping[str, Any], domain: str, path: Path) -> str | None:
    helpers = {_host(key): value for key, value in (config.get("credHelpers") or {}).items()}
    name = helpers.get(_host(domain)) or config.get("credsStore")
    if not name:
        return None
    if not isinstance(name, str) or not _HELPER_NAME.fullmatch(name):
        raise malformed(path, "a credential helper's name is not one")
    return name


def _stored(config: Mapping[str, Any], domain: str, path: Path) -> Login | None:
    for key, entry in (config.get("auths") or {}).items():
        if _host(key) != _host(domain) or not isinstance(entry, dict):
            continue
        if token := entry.get("identitytoken"):
            return Login("", "", identity_token=str(token))
        try:
            if encoded := entry.get("auth"):
                both = base64.b64decode(encoded).decode("utf-8")
                user, colon, password = both.partition(":")
                if not colon:
                    raise ValueError
                return Login(user, password.rstrip("\0"))
        except (ValueError, TypeError):
            raise malformed(path, f"its auth for {harmless(key)} is not user:password") from None
        if entry.get("username") and entry.get("password"):
            return Login(str(entry["username"]), str(entry["password"]))
    return None


def _host(key: str) -> str:
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host


def _server(domain: str) -> str:
    return _HUB_SERVER if domain == DOCKER_HUB else domain
