"""Questions to an image registry, by the Docker Registry HTTP API v2 and its token flow."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from core.image.credentials import CredentialSource, Login
from core.image.errors import (
    ImageError,
    ImageNotFoundError,
    NoRepositoryError,
    RefusedError,
    RegistryError,
)
from core.image.reference import DOCKER_HUB, ImageReference, is_loopback
from core.image.refusals import login_remedy
from core.text import harmless

if TYPE_CHECKING:
    import ssl

    import httpx

_HUB_ADDRESS = "https://registry-1.docker.io"
_INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT = ", ".join((*_MANIFEST_TYPES, *_INDEX_TYPES))
# Where Docker keeps the certificates of registries that have an authority of their own.
_CERTIFICATES = Path("/etc/docker/certs.d")
_TIMEOUT_S = 30.0
_TRIES = 4
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_TEMPORARY = frozenset({408, 429, 500, 502, 503, 504})
_CHALLENGE = re.compile(r"(?:^|,\s*)(Basic|Bearer)\b", re.IGNORECASE)
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Stored:
    """An image as the registry has it."""

    digest: str
    """Of the manifest or of the index, as the server says it."""
    size_bytes: int
    """Compressed: configuration and layers; of an index, those for linux/amd64."""


class Registry:
    """A connection to one registry; use it as an async context manager."""

    def __init__(
        self,
        domain: str,
        credentials: CredentialSource,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
        certificates: Path = _CERTIFICATES,
    ) -> None:
        self._domain = domain
        self._credentials = credentials
        self._sleep = sleep
        self._transport = transport
        self._certificates = certificates / domain
        scheme = "http" if is_loopback(domain) else "https"
        self._address = _HUB_ADDRESS if domain == DOCKER_HUB else f"{scheme}://{domain}"
        # By scope: a registry may give another token for each.
        self._authorizations: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        # 0.2 s to import and to read certificates: only who asks a registry pays, and not the loop.
        trusted = await asyncio.to_thread(self._trusted)
        import httpx

        self._client = httpx.AsyncClient(
            verify=trusted,
            timeout=_TIMEOUT_S,
            follow_redirects=True,
            transport=self._transport,
            # As Docker does: nothing on this machine is reached through a proxy.
            trust_env=not is_loopback(self._domain),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    def _trusted(self) -> ssl.SSLContext:
        """Return what is trusted: the system's, and what the engine trusts for this registry."""
        import httpx

        trusted = httpx.create_ssl_context()
        for path in sorted(self._certificates.glob("*.crt")):
            try:
                trusted.load_verify_locations(path)
            except OSError as error:
                raise RegistryError(
                    f"The certificate {path} of the registry {self._domain} cannot be read: "
                    f"{harmless(error.strerror or 'it is none')}.",
                    "Mend it, or make it readable for this user.",
                ) from error
        return trusted

    async def find(self, reference: ImageReference) -> Stored | None:
        """Return what the registry has under a tag or digest, or None where it has nothing.

        Raises:
            RefusedError: the registry does not let these credentials read.
            RegistryError: no usable answer after a few tries.
        """
        wanted = reference.digest or reference.tag or "latest"
        answer = await self._manifest(reference, wanted)
        if answer is None:
            return None
        document, digest = self._read(reference, answer)
        if reference.digest and digest != reference.digest:
            raise RegistryError(
                f"{self._domain} answered {digest} for {reference}.",
                "Something between here and the registry changes what it says.",
            )
        if "manifests" in document:
            chosen = _for_platform(document)
            inner = await self._manifest(reference, chosen) if chosen else None
            document = self._read(reference, inner)[0] if inner is not None else {}
        return Stored(digest, _size(document))

    async def get(self, reference: ImageReference) -> Stored:
        """Return what the registry has under a tag or digest.

        Raises:
            ImageNotFoundError: it has nothing there.
            RefusedError: the registry does not let these credentials read.
            RegistryError: no usable answer after a few tries.
        """
        if (found := await self.find(reference)) is not None:
            return found
        raise ImageNotFoundError(
            f"There is no image {reference} in its registry.",
            "See that its name and tag are right, or leave the tag out to have the benchmark's "
            "image built and pushed there.",
        )

    async def check_push(self, reference: ImageReference) -> None:
        """See that these credentials may push, before an image is built for it: an upload is begun
        and given up.

        Raises:
            RefusedError: they may not, or the repository does not exist.
            RegistryError: no usable answer after a few tries.
        """
        path = f"/v2/{reference.path}/blobs/uploads/"
        scope = f"repository:{reference.path}:pull,push"
        answer = await self._ask("POST", path, scope)
        if answer.status_code >= 400:
            raise self.refusal(reference, answer.status_code, _words(answer))
        await self._give_up(answer, scope)

    async def _give_up(self, answer: httpx.Response, scope: str) -> None:
        import httpx

        # The registry ends a forgotten upload by itself: what comes of this does not matter.
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, ValueError):
            upload = answer.url.join(answer.headers.get("Location", ""))
            # The credentials are for the registry alone, wherever it may point.
            if _origin(upload) == _origin(httpx.URL(self._address)):
                await self._client.delete(
                    upload, headers=self._headers(scope), follow_redirects=False
                )

    def refusal(self, reference: ImageReference, status: int, said: str) -> ImageError:
        """Return what an HTTP status, and the registry's words, mean for a push or pull."""
        words = f": {said}" if said else ""
        match status:
            case 401:
                return RefusedError(
                    f"{self._domain} does not accept the credentials for {reference.name} "
                    f"(401{words}).",
                    login_remedy(reference.name),
                )
            case 404:
                return NoRepositoryError(
                    f"The repository {reference.name} does not exist (404{words}).",
                    "Create it in the registry first, or mend the name.",
                )
            case 413:
                return RefusedError(
                    f"{self._domain} refuses a layer of {reference.name} as too large "
                    f"(413{words}).",
                    "Raise the size limit of the registry, or of the proxy before it.",
                )
            case status if status < 500:
                return RefusedError(
                    f"{self._domain} does not let these credentials use {reference.name} "
                    f"({status}{words}).",
                    "Ask for the right to pull from and push to it, or log in as somebody who may.",
                )
        return self._unwell(f"it answers {status}{words}")

    async def _manifest(self, reference: ImageReference, wanted: str) -> httpx.Response | None:
        path = f"/v2/{reference.path}/manifests/{wanted}"
        answer = await self._ask("GET", path, f"repository:{reference.path}:pull")
        if answer.status_code == 404:
            return None
        if answer.status_code >= 400:
            raise self.refusal(reference, answer.status_code, _words(answer))
        return answer

    def _read(
        self, reference: ImageReference, answer: httpx.Response
    ) -> tuple[Mapping[str, Any], str]:
        digest = answer.headers.get("Docker-Content-Digest") or (
            f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        )
        try:
            document = json.loads(answer.content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise self._unwell(f"what it says of {reference} is no manifest")
        return document, digest

    async def _ask(self, method: str, path: str, scope: str) -> httpx.Response:
        """Send a request, once more with a token where the registry asks for one."""
        answer = await self._send(method, f"{self._address}{path}", scope)
        if answer.status_code != 401:
            return answer
        challenges = _challenges(answer.headers.get_list("WWW-Authenticate"))
        login = await self._credentials.login(self._domain)
        if bearer := challenges.get("bearer"):
            self._authorizations[scope] = f"Bearer {await self._token(bearer, scope, login)}"
        elif "basic" in challenges and login is not None:
            both = base64.b64encode(f"{login.user}:{login.password}".encode())
            self._authorizations[scope] = f"Basic {both.decode('ascii')}"
        else:
            return answer
        return await self._send(method, f"{self._address}{path}", scope)

    async def _token(self, challenge: Mapping[str, str], scope: str, login: Login | None) -> str:
        realm = challenge.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (
            parts.scheme == "http" and is_loopback(parts.netloc) and is_loopback(self._domain)
        ):
            raise RegistryError(
                f"{self._domain} wants the credentials sent to {harmless(realm)[:200]!r}, which "
                "is not safe.",
                "Nothing was sent. The registry's token service needs an https address.",
            )
        answer = await self._token_answer(realm, challenge.get("service"), scope, login)
        if answer.status_code in (400, 401, 403):
            raise RefusedError(
                f"{self._domain} does not accept the credentials "
                f"({answer.status_code} from {harmless(parts.netloc)}).",
                login_remedy(f"{self._domain}/{scope.split(':')[1]}"),
            )
        try:
            document = answer.json() if answer.status_code < 400 else {}
            token = document.get("token") or document.get("access_token")
        except (ValueError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._unwell(
                f"its token service {harmless(parts.netloc)} gave no token ({answer.status_code})"
            )
        return token

    async def _token_answer(
        self, realm: str, service: str | None, scope: str, login: Login | None
    ) -> httpx.Response:
        about = {"scope": scope} | ({"service": service} if service else {})
        if login is not None and login.identity_token is not None:
            form = {
                **about,
                "grant_type": "refresh_token",
                "client_id": "gpubench-tui",
                "refresh_token": login.identity_token,
            }
            return await self._patiently("POST", realm, data=form)
        basic = None if login is None else (login.user, login.password)
        return await self._patiently("GET", realm, params=about, auth=basic)

    async def _send(self, method: str, address: str, scope: str) -> httpx.Response:
        return await self._patiently(method, address, headers=self._headers(scope))

    def _headers(self, scope: str) -> dict[str, str]:
        authorization = self._authorizations.get(scope)
        return {"Accept": _ACCEPT} | ({"Authorization": authorization} if authorization else {})

    async def _patiently(self, method: str, address: str, **options: Any) -> httpx.Response:
        """Send a request, again while the registry is away or asks for patience."""
        import httpx

        pause = _FIRST_PAUSE_S
        for attempt in range(1, _TRIES + 1):
            asked_pause = 0.0
            try:
                answer = await self._client.request(method, address, **options)
                if answer.status_code not in _TEMPORARY:
                    return answer
                said = _words(answer)
                reason = f"it answers {answer.status_code}{': ' if said else ''}{said}"
                asked_pause = _retry_after(answer.headers)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = _reason(error)
                if "CERTIFICATE_VERIFY_FAILED" in reason or isinstance(error, httpx.InvalidURL):
                    break
            if attempt < _TRIES:
                await self._sleep(max(asked_pause, pause))
                pause *= 2
        raise self._unwell(reason)

    def _unwell(self, reason: str) -> RegistryError:
        return RegistryError(
            f"The registry {self._domain} cannot be used: {reason}.",
            "See that its name is right, that it runs, and that this machine's network and "
            "certificates lead to it; then try again.",
        )


def _origin(address: httpx.URL) -> tuple[str, str, int | None]:
    # A scheme's usual port is None.
    return address.scheme, address.host, address.port


def _challenges(headers: list[str]) -> dict[str, dict[str, str]]:
    """Return the parameters of each scheme that a registry would take."""
    found: dict[str, dict[str, str]] = {}
    for header in headers:
        starts = [*_CHALLENGE.finditer(header)]
        for start, following in zip(starts, [*starts[1:], None], strict=True):
            end = following.start() if following else len(header)
            found.setdefault(start[1].lower(), {}).update(
                {
                    name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
                    for name, quoted, plain in _PARAMETER.findall(header[start.end() : end])
                }
            )
    return found


def _for_platform(index: Mapping[str, Any]) -> str | None:
    """Return the digest of an index's image for linux/amd64, else of its first."""
    entries = [entry for entry in index["manifests"] or [] if isinstance(entry, dict)]
    for entry in entries:
        platform = entry.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
            return str(entry.get("digest"))
    return str(entries[0].get("digest")) if entries else None


def _size(manifest: Mapping[str, Any]) -> int:
    blobs = [manifest.get("config"), *(manifest.get("layers") or [])]
    sizes = [blob.get("size") for blob in blobs if isinstance(blob, dict)]
    return sum(size for size in sizes if isinstance(size, int))


def _words(answer: httpx.Response) -> str:
    """Return what the registry's error document says."""
    try:
        first = answer.json()["errors"][0]
        said = str(first.get("message") or first.get("code") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        said = ""
    return harmless(said).strip().rstrip(".")[:300]


def _reason(error: Exception) -> str:
    text = harmless(" ".join(str(error).split())).rstrip(".") or type(error).__name__
    return text[:300]


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, min(float(headers.get("Retry-After", "0")), _LONGEST_PAUSE_S))
    except ValueError:
        return 0.0
