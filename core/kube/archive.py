"""The archive that the keeper in a pod makes: what it says is in it, and safely unpacking that.

Both come from outside. Nothing is written outside the folder given, no link or device is made, and
no more is read than was announced.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from benchmark.errors import WorkError, writing
from benchmark.files import file_sha256
from core.text import harmless

COLLECTING = ".collecting"
"""Where below the destination half-done work lies."""
OURS = frozenset({COLLECTING, "deployment.log", "STATUS.md", "job.yaml"})
"""What is written beside the results here: no pod may."""
MOST_BYTES = 8 << 30
MOST_FILES = 100_000
_CHUNK = 1 << 18
# A header and its padding a file, and as much again for the extended header of a long name.
_OVERHEAD_A_FILE = 8192


class DamagedError(WorkError):
    """The archive is not what was announced."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file in the archive."""

    path: str
    """Relative, with ``/``; without ``..``."""
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What the keeper announces."""

    bytes: int
    """Length of the archive."""
    sha256: str
    files: tuple[Member, ...]

    @property
    def unpacked_bytes(self) -> int:
        return sum(member.bytes for member in self.files)


def parse_contents(text: str) -> Contents:
    """Read the keeper's line of JSON.

    Raises:
        DamagedError: it is no such line, or announces what may not be.
    """
    try:
        document = json.loads(text)
        files = tuple(
            Member(_path(each["path"]), _length(each["bytes"]), _hash(each["sha256"]))
            for each in document["files"]
        )
        contents = Contents(_length(document["bytes"]), _hash(document["sha256"]), files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(
            f"The keeper's list of results cannot be read: {harmless(str(error))}."
        ) from error
    _check_sizes(contents)
    _check_names(contents)
    return contents


def is_in_place(contents: Contents, destination: Path) -> bool:
    """Return whether every file lies below ``destination`` whole."""
    places = [(destination / member.path, member) for member in contents.files]
    return all(
        path.is_file() and path.stat().st_size == member.bytes for path, member in places
    ) and all(file_sha256(path) == member.sha256 for path, member in places)


def unpack(archive: Path, contents: Contents, destination: Path) -> None:
    """Check an archive and each file of it, then move the files to ``destination``, each in one
    step; what has other names there stays.

    Raises:
        DamagedError: something is not as announced; nothing was moved.
        DiskFullError, OutputError: see :func:`benchmark.errors.writing`.
    """
    temporary = destination / COLLECTING / "files"
    with writing(destination):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            _extract(archive, contents, temporary)
            for member in contents.files:
                place = destination / member.path
                place.parent.mkdir(parents=True, exist_ok=True)
                (temporary / member.path).replace(place)
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
            raise DamagedError(
                f"The archive of results is damaged: {harmless(str(error))}."
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _extract(archive: Path, contents: Contents, folder: Path) -> None:
    announced = {member.path: member for member in contents.files}
    most = contents.unpacked_bytes + (len(announced) + 8) * _OVERHEAD_A_FILE
    with (
        gzip.open(archive, "rb") as unpacked,
        tarfile.open(
            fileobj=cast(IO[bytes], _Bounded(unpacked, most)), mode="r|", bufsize=_CHUNK
        ) as members,
    ):
        for found in members:
            member = announced.pop(found.name, None)
            if member is None or not found.isreg() or found.issparse():
                raise DamagedError(f"The archive holds {harmless(found.name)}, not announced so.")
            source = members.extractfile(found)
            assert source is not None
            _write(source, member, folder / member.path)
    if announced:
        missing = harmless(next(iter(announced)))
        raise DamagedError(f"The archive lacks {missing} ({len(announced)} files in all).")


def _write(source: IO[bytes], member: Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    hashed, left = hashlib.sha256(), member.bytes
    with path.open("xb") as stream:
        while data := source.read(_CHUNK):
            left -= len(data)
            if left < 0:
                break
            hashed.update(data)
            stream.write(data)
    if left or hashed.hexdigest() != member.sha256:
        raise DamagedError(f"{harmless(member.path)} is not what the keeper announced.")


class _Bounded:
    """A file that may not be longer than was announced, as a gzip bomb is."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, most: int) -> None:
        self._file = file
        self._left = most

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise DamagedError("The archive of results holds more than was announced.")
        return data


def _path(value: Any) -> str:
    path = PurePosixPath(value)
    good = value == str(path) and value != "." and not path.is_absolute()
    if not good or ".." in path.parts or path.parts[0] in OURS or "\0" in value:
        raise ValueError(f"{value!r} is no name for a result")
    return str(path)


def _length(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no length")
    return value


def _hash(value: Any) -> str:
    if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise ValueError(f"{value!r} is no SHA-256")
    return str(value)


def _check_sizes(contents: Contents) -> None:
    if len(contents.files) > MOST_FILES:
        raise DamagedError(f"{len(contents.files)} result files are more than {MOST_FILES}.")
    if max(contents.bytes, contents.unpacked_bytes) > MOST_BYTES:
        raise DamagedError(f"The results are longer than {MOST_BYTES >> 30} GiB.")


def _check_names(contents: Contents) -> None:
    names: Mapping[str, Member] = {member.path: member for member in contents.files}
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    if len(names) < len(contents.files) or not folders.isdisjoint(names):
        raise DamagedError("The keeper's list of results names a file twice.")
