"""What an engine's error text means: it passes on the registry's words, without any code."""

from __future__ import annotations

import re

from core.image.errors import (
    BaseImageError,
    BuildError,
    ImageError,
    NoRepositoryError,
    NoSpaceError,
    RefusedError,
    RegistryError,
)
from core.image.progress import Progress
from core.image.reference import ImageReference

_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded|not enough space", re.I)
_TOO_LARGE = re.compile(r"\b413\b|too large", re.I)
_UNREACHABLE = re.compile(
    r"connection refused|connection reset|no such host|no route to host|i/o timeout|timed? ?out"
    r"|TLS|x509|certificate|\bEOF\b|HTTP response to HTTPS client|dial tcp|broken pipe"
    r"|network is unreachable|server misbehaving|\b(500|502|503|504|429)\b|toomanyrequests",
    re.I,
)
_DENIED = re.compile(
    r"denied|unauthori[sz]ed|authentication required|no basic auth|forbidden|\b40[13]\b", re.I
)
_NO_REPOSITORY = re.compile(r"name.?unknown|does not exist|not found|\b404\b", re.I)
_FROM_FAILED = re.compile(
    r"pull access denied|manifest unknown|manifest for|repository does not exist|not found"
    r"|no such image|invalid reference",
    re.I,
)
_BUILDERS_OWN = re.compile(r" ---> |Step \d+/\d+ : |Removing intermediate container ")
_ENDED = re.compile(r"returned a non-zero code: (\d+)")


def login_remedy(name: str) -> str:
    """Return how to log in to the registry of ``name`` (REGISTRY/REPOSITORY)."""
    return (
        f"Log in with docker login {name.partition('/')[0]}, or push it with a login of its own: "
        f"gpubench-tui --no-ui image push --image {name} --registry-user NAME "
        "--registry-password-stdin."
    )


def push_problem(said: str, reference: ImageReference) -> ImageError:
    """Return what the engine's words mean for a push."""
    words = said.rstrip(".")[:300]
    if _NO_SPACE.search(said):
        return _no_space(f"pushing {reference}", words)
    if _TOO_LARGE.search(said):
        return RefusedError(
            f"{reference.domain} refuses a layer of {reference.name} as too large ({words}).",
            "Raise the size limit of the registry, or of the proxy before it.",
        )
    if _DENIED.search(said):
        return RefusedError(
            f"{reference.domain} does not let {reference.name} be pushed ({words}).",
            f"{login_remedy(reference.name)} Otherwise see that the repository exists and that "
            "this login may push to it.",
        )
    if _UNREACHABLE.search(said):
        return RegistryError(
            f"The container engine cannot reach the registry {reference.domain} ({words}).",
            "See that its name is right, that it runs, and that the engine's network and "
            "certificates lead to it; then try again.",
        )
    if _NO_REPOSITORY.search(said):
        return NoRepositoryError(
            f"The repository {reference.name} does not exist ({words}).",
            "Create it in the registry first, or mend the name.",
        )
    return ImageError(f"{reference} could not be pushed: {words}.", "Try again.")


def pull_problem(said: str, base_image: str) -> ImageError:
    """Return what the engine's words mean for the pull of a base image."""
    words = said.rstrip(".")[:300]
    if _NO_SPACE.search(said):
        return _no_space(f"pulling the base image {base_image}", words)
    return BaseImageError(
        f"The base image {base_image} cannot be pulled ({words}).",
        "See that its name is right and that the engine can reach its registry, or name another "
        "with --base-image.",
    )


def build_problem(progress: Progress, base_image: str | None) -> ImageError:
    """Return what ended a build."""
    said = (progress.error or "it ended without an image").rstrip(".")
    # What a step's program says of a full disk is in its output; the engine says only its status.
    if any(_NO_SPACE.search(line) for line in (said, *progress.last_lines)):
        return _no_space(f"building, at {progress.step}", said[:300])
    if progress.instruction.upper().startswith("FROM") and _FROM_FAILED.search(said):
        return pull_problem(said, base_image or progress.instruction[len("FROM ") :])
    output = [
        line
        for line in progress.last_lines
        if line != progress.error and not _BUILDERS_OWN.match(line)
    ]
    ended = _ENDED.search(said)
    what = f" with status {ended[1]}" if ended else f": {said[:300]}"
    last = f": {output[-1].rstrip('.')[:200]}" if ended and output else ""
    return BuildError(
        f"The image could not be built: {progress.step} failed{what}{last}.",
        "The log has the step's whole output.",
    )


def _no_space(doing: str, words: str) -> NoSpaceError:
    return NoSpaceError(
        f"The container engine's disk is full: {doing} ({words}).",
        "Free some space (docker system prune removes what no container uses; docker system df "
        "shows it), then try again.",
    )
