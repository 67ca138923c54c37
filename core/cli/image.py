"""``image``: build the benchmark image, or build and push it."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.cli.opening import settings_of
from core.cli.parser import Options
from core.errors import InputError
from core.text import harmless

if TYPE_CHECKING:
    from core.image.credentials import CredentialSource
    from core.image.shipping import Part

_PROGRESS_INTERVAL_S = 3.0


def execute(options: Options) -> int:
    """Build, and with ``push`` push; stdout gets one JSON object at the end."""
    from core.image.shipping import ImageOrder, ship

    settings = settings_of(options)
    if not settings.image:
        raise InputError("No image is named.", "Say where it goes: --image REGISTRY/REPOSITORY.")
    lines = _Lines(quiet=options.quiet)
    shipped = asyncio.run(
        ship(
            ImageOrder(settings.image, settings.base_image),
            credentials=_credentials(options, settings.image),
            report=lines.part,
            log=lines.log,
            push=options.item == "push",
        )
    )
    _, at, digest = shipped.reference.partition("@")
    document = {
        "reference": shipped.reference,
        "tag": shipped.tag or None,
        "digest": digest if at else None,
        "bytes": shipped.size_bytes,
        "built": shipped.built,
        "pushed": shipped.pushed,
    }
    print(json.dumps(document))
    return 0


def _credentials(options: Options, image: str) -> CredentialSource:
    from core.image.credentials import CredentialSource, Login
    from core.image.reference import parse_reference

    if (options.registry_user is None) == options.registry_password_stdin:
        raise InputError(
            "A registry login is a user and a password.",
            "Give --registry-user NAME and --registry-password-stdin together, or neither.",
        )
    if options.registry_user is None:
        return CredentialSource(os.environ)
    if sys.stdin.isatty():
        password = getpass.getpass("Registry password: ")
    else:
        password = sys.stdin.read().rstrip("\r\n")
    if not password:
        raise InputError("There is no password on stdin.", "Pipe it in, from a file or a manager.")
    # For that registry only: the base image's may be another.
    login = Login(options.registry_user, password)
    return CredentialSource(os.environ, {parse_reference(image).domain: login})


@dataclass
class _Lines:
    """stderr: a line when something changes, and every few seconds how far a layer is."""

    quiet: bool
    _shown: dict[str, tuple[str, float]] = field(default_factory=dict)

    def part(self, part: Part) -> None:
        """Say where a layer is; of steps the log tells."""
        if part.name.startswith("step "):
            return
        state, said_at = self._shown.get(part.name, ("", 0.0))
        now = time.monotonic()
        if part.state == state and now - said_at < _PROGRESS_INTERVAL_S:
            return
        self._shown[part.name] = (part.state, now)
        figures = "" if part.done is None else f" {_megabytes(part.done)}"
        if part.done is not None and part.total:
            figures += f" of {_megabytes(part.total)}"
        self.log(f"{part.name}: {part.state}, {part.detail}{figures}")

    def log(self, line: str) -> None:
        """Say a line."""
        if not self.quiet:
            print(harmless(line), file=sys.stderr, flush=True)


def _megabytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"
