"""What the image is built from: gathered in memory, hashed by content, always packed the same."""

from __future__ import annotations

import hashlib
import io
import re
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core import __version__
from core.image.errors import SourceError

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = "benchmark"
_SUFFIXES = frozenset({".py", ".toml", ".json"})
_BESIDES = ("benchmark/requirements.txt", "core/image/unmet.py")
_DEFAULT_BASE = re.compile(r"^ARG\s+BASE_IMAGE=[\"']?([^\s\"']+)", re.MULTILINE)
# Enough that two contents never meet, and short enough to read out.
_TAG_LENGTH = 16


@dataclass(frozen=True, slots=True)
class ContextFile:
    """One file that the engine gets."""

    path: str
    """Within the context, with slashes."""
    content: bytes = field(repr=False)
    executable: bool = False


@dataclass(frozen=True, slots=True)
class BuildContext:
    """Everything that decides what the image will be."""

    files: Sequence[ContextFile]
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Build arguments beside BASE_IMAGE."""

    @property
    def default_base(self) -> str | None:
        """The Dockerfile's own base image; None where it takes no other."""
        dockerfile = next((file for file in self.files if file.path == "Dockerfile"), None)
        found = _DEFAULT_BASE.search(dockerfile.content.decode() if dockerfile else "")
        return found[1] if found else None

    def build_arguments(self, base_image: str | None) -> dict[str, str]:
        """Return all build arguments for this base image."""
        base = base_image or self.default_base
        return {**self.arguments, **({"BASE_IMAGE": base} if base else {})}

    def tag(self, base_image: str | None) -> str:
        """Return the hash over files, executable bits, base image and build arguments."""
        hashed = hashlib.sha256()

        def add(*parts: bytes) -> None:
            for part in parts:
                # With its length: what ends one part must not look like the next one's beginning.
                hashed.update(len(part).to_bytes(8, "big") + part)

        for file in self._sorted():
            add(b"file", file.path.encode(), b"x" if file.executable else b"-", file.content)
        for name, value in sorted(self.build_arguments(base_image).items()):
            add(b"argument", name.encode(), value.encode())
        return hashed.hexdigest()[:_TAG_LENGTH]

    def archive(self) -> bytes:
        """Return the files as a tar archive: the same bytes for the same content."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for file in self._sorted():
                member = tarfile.TarInfo(file.path)
                member.size = len(file.content)
                member.mode = 0o755 if file.executable else 0o644
                tar.addfile(member, io.BytesIO(file.content))
        return packed.getvalue()

    def _sorted(self) -> list[ContextFile]:
        return sorted(self.files, key=lambda file: file.path)


def load_context(root: Path = _ROOT, prefix: Path | None = None) -> BuildContext:
    """Gather the Dockerfile and the benchmark from the folder that holds the installed packages.

    A Dockerfile lies beside them in a checkout; an installation keeps it under ``prefix``.

    Raises:
        SourceError: something is not there or cannot be read.
    """
    package = root / _PACKAGE
    paths = [
        path
        for path in package.rglob("*")
        if path.suffix in _SUFFIXES and "__pycache__" not in path.parts and path.is_file()
    ]
    paths += [root / name for name in _BESIDES]
    files = [_file(path, path.relative_to(root).as_posix()) for path in paths]
    shared = (prefix or Path(sys.prefix)) / "share/gpubench-tui/Dockerfile"
    beside = root / "Dockerfile"
    files.append(_file(beside if beside.is_file() else shared, "Dockerfile"))
    return BuildContext(files, {"VERSION": __version__})


def _file(path: Path, name: str) -> ContextFile:
    try:
        return ContextFile(name, path.read_bytes(), bool(path.stat().st_mode & 0o100))
    except OSError as error:
        raise SourceError(
            f"The image cannot be built: {path} cannot be read ({error.strerror}).",
            "Install gpubench-tui anew, or work in a clone of its repository.",
        ) from error
