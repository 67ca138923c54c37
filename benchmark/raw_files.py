"""The raw files of a measurement, read with suspicion.

They come from anybody: bounded in size, never unpickled, never from outside the result's folder,
and only as long as they are what the result file says was written.
"""

from __future__ import annotations

import hashlib
import os
import stat
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from benchmark.errors import ResultFileError
from benchmark.measure import BATCHES_FILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.results import MeasurementResult, RawFile

_COLUMNS = 3
_ROW_BYTES = 8 * _COLUMNS
# 192 MB of memory while a file is looked at; two hours of a thousand queries a second.
_MOST_ROWS = 8_000_000
_LONGEST_HEADER = 2**16
_LARGEST_FILE = _ROW_BYTES * _MOST_ROWS + _LONGEST_HEADER
# Magic, version and the length of the rest of the header (numpy.lib.format, version 1.0).
_MAGIC_BYTES = 10
# 768 KiB: what was just read is still in the processor's cache when it is hashed and looked at.
_PIECE_ROWS = 2**15
# Times are nanoseconds from the first; a year is far more than any measurement takes.
_LONGEST_NS = 365 * 86_400 * 10**9
_LARGEST_BATCH = 10**8


class RawFileChangedError(ResultFileError):
    """A raw file is not the one that its result file says was written."""


def raw_file(measurement: MeasurementResult, name: str) -> RawFile | None:
    """Return what a result file says about a measurement's raw file called ``name``."""
    return next(
        (raw for raw in measurement.raw_files if PurePosixPath(raw.path).name == name), None
    )


def raw_path(folder: Path, raw: RawFile) -> Path:
    """Return where a raw file lies. ``folder`` is the result file's.

    Raises:
        ResultFileError: outside that folder, by its path or by a link.
    """
    inside = PurePosixPath(raw.path)
    outside = ResultFileError(f"{raw.path} is no path inside the result's folder {folder}.")
    # A result file may come from anybody, and has no say over files outside its own folder.
    if inside.is_absolute() or ".." in inside.parts or "\0" in raw.path:
        raise outside
    path = folder / inside
    try:
        within = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # a link that leads to itself
        raise ResultFileError(f"{path} cannot be read: its links lead nowhere.") from error
    if not within:
        raise outside
    return path


def read_rows(folder: Path, measurement: MeasurementResult, name: str) -> NDArray[Any] | None:
    """Return a raw file's rows, int64 [rows, 3] (``latencies.npy``: due ns, issued ns after due,
    latency ns from due; ``batches.npy``: started ns, ended ns, samples), or None where there is no
    such file. Each column lies in one piece of memory. ``folder`` is the result file's.

    Raises:
        RawFileChangedError: its length or its hash is not what the result file says.
        ResultFileError: it cannot be read, is too large, or holds what no benchmark writes.
    """
    raw = raw_file(measurement, name)
    if raw is None:
        return None
    path = raw_path(folder, raw)
    if not os.path.lexists(path):
        return None
    try:
        # A pipe that nobody writes to would keep an ordinary open waiting.
        with open(path, "rb", opener=_without_waiting) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _unusable(path, "it is no file")
            return _rows(path, stream, status.st_size, raw)
    except OSError as error:
        raise ResultFileError(f"{path} cannot be read: {error.strerror or error}.") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _unusable(path: Path, why: str) -> ResultFileError:
    return ResultFileError(f"{path} cannot be used: {why}.")


def _rows(path: Path, stream: BufferedReader, size: int, raw: RawFile) -> NDArray[Any]:
    """Return a file's rows, column after column in memory.

    They are hashed, checked and sorted into columns piece by piece while they are read, and not
    believed before the hash is right: each further pass over the whole would wait for memory.
    """
    import numpy

    if size > _LARGEST_FILE:
        raise _unusable(path, f"it is larger than {_LARGEST_FILE / 1e6:,.0f} MB")
    changed = RawFileChangedError(
        f"{path} is not the file that was measured: its content does not match sha256 and "
        "bytes in the result file."
    )
    if size != raw.bytes:
        raise changed
    header = stream.read(_MAGIC_BYTES)
    header += stream.read(int.from_bytes(header[-2:], "little"))
    digest = hashlib.sha256(header)
    columns = numpy.empty((_COLUMNS, max(0, size - len(header)) // _ROW_BYTES), numpy.int64)
    piece = numpy.empty((_PIECE_ROWS, _COLUMNS), numpy.int64)
    view = piece.data.cast("B")
    done, wrong = len(header), ""
    while read := stream.readinto(view[: size - done]):
        digest.update(view[:read])
        first = (done - len(header)) // _ROW_BYTES
        part = columns[:, first : first + read // _ROW_BYTES]
        part[:] = piece[: part.shape[1]].T
        wrong = wrong or _impossible(part, batches=path.name == BATCHES_FILE)
        done += read
    if done != size or digest.hexdigest() != raw.sha256:
        raise changed
    _check_header(path, header, size - len(header))
    if wrong or not columns.size:
        raise _unusable(path, wrong or "it holds no rows")
    return columns.T


def _check_header(path: Path, header: bytes, data_bytes: int) -> None:
    import numpy

    stream = BytesIO(header)
    try:
        version = numpy.lib.format.read_magic(stream)
        if version != (1, 0):
            raise _unusable(path, f"its format version is {version[0]}.{version[1]}, not 1.0")
        shape, in_columns, kind = numpy.lib.format.read_array_header_1_0(stream)
    except ResultFileError:
        raise
    except Exception as error:  # numpy evaluates the header, and what it raises has no bounds
        raise _unusable(path, "its header cannot be read") from error
    # Not with numpy.load: an array of objects would be unpickled, and a mapped file that another
    # process cuts short ends this one with a bus error.
    if kind != numpy.int64 or in_columns or len(shape) != 2 or shape[1] != _COLUMNS:
        raise _unusable(path, f"it holds {kind} of shape {shape}, not int64 rows of {_COLUMNS}")
    if data_bytes != shape[0] * _ROW_BYTES:
        raise _unusable(path, f"it does not hold the {shape[0]} rows that its header names")


def _impossible(columns: NDArray[Any], *, batches: bool) -> str:
    """Return what cannot be in rows that a benchmark wrote, or nothing."""
    if not columns.size:
        return ""
    if int(columns.min()) < -_LONGEST_NS or int(columns.max()) > _LONGEST_NS:
        return "it holds times of more than a year"
    started, ended, third = columns
    if batches and bool((ended < started).any()):
        return "it holds a batch that ended before it started"
    if batches and not 1 <= int(third.min()) <= int(third.max()) <= _LARGEST_BATCH:
        return "it holds a batch of no samples or of more than there can be"
    if not batches and int(third.min()) < 0:
        return "it holds a negative latency"
    return ""
