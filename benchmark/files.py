"""Files that are whole or absent, and what their content hashes to."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from benchmark.errors import writing


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace ``path`` in one step, so that a kill at any instant leaves the old file or the new.

    Raises:
        DiskFullError, OutputError: see :func:`benchmark.errors.writing`.
    """
    data = content.encode() if isinstance(content, str) else content
    # The process id keeps two writers of one path from sharing a half-written file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
