"""Names of images, as Docker reads them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from core.image.errors import ImageNameError
from core.text import harmless

DOCKER_HUB = "docker.io"
_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_DOMAIN = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?"
)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class ImageReference:
    """REGISTRY/REPOSITORY with a tag, a digest, both or neither."""

    domain: str
    """The registry, with its port."""
    path: str
    """The repository's name within the registry."""
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """REGISTRY/REPOSITORY."""
        return f"{self.domain}/{self.path}"

    @property
    def is_pinned(self) -> bool:
        """Whether it names one image, and not only the repository."""
        return self.tag is not None or self.digest is not None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse_reference(text: str) -> ImageReference:
    """Read an image's name; one without a registry is Docker Hub's, as everywhere.

    Raises:
        ImageNameError: it is no name of an image.
    """
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _wrong(text, "what follows the @ is no sha256:... digest")
    head, slash, tail = rest.rpartition("/")
    last, colon, tag = tail.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _wrong(text, "what follows the last colon is no tag")
    domain, path = _split(f"{head}{slash}{last}")
    if not _DOMAIN.fullmatch(domain):
        raise _wrong(text, "its registry is no host name or address")
    if not path or not all(_COMPONENT.fullmatch(part) for part in path.split("/")):
        raise _wrong(
            text, "a repository has lower-case letters, digits and single . _ - / between them"
        )
    if len(domain) + len(path) >= _LONGEST_NAME:
        raise _wrong(text, f"it is longer than {_LONGEST_NAME} characters")
    return ImageReference(domain, path, tag or None, digest or None)


def is_loopback(domain: str) -> bool:
    """Return whether a registry is on this machine: only those are spoken to without TLS."""
    host = domain if domain.endswith("]") else domain.rpartition(":")[0] or domain
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        return DOCKER_HUB, name if slash else f"library/{name}"
    if first in _HUB_NAMES:
        return DOCKER_HUB, rest if "/" in rest else f"library/{rest}"
    return first, rest


def _wrong(text: str, why: str) -> ImageNameError:
    return ImageNameError(
        f"{harmless(text)[:200]!r} is no name of an image: {why}.",
        "Write REGISTRY/REPOSITORY, like europe-docker.pkg.dev/PROJECT/REPOSITORY/gpubench, or add "
        ":TAG or @sha256:... to name an image that is there already.",
    )
