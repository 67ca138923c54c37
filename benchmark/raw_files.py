"""The raw files of a measurement, read with suspicion.

They come from anybody: bounded in size, never unpickled, never from outside the result's folder,
and only as long as they are what the result file says was written.
"""

from __future__ import annotations

import hashlib
import os
import stat
from io import BytesIO, RawIOBase
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
# Small enough that what was just read is still in the processor's cache when it is hashed.
_CHUNK = 2**20
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
    such file. ``folder`` is the result file's.

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
        with open(path, "rb", buffering=0, opener=_without_waiting) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _unusable(path, "it is no file")
            content = _content(path, stream, status.st_size, raw)
    except OSError as error:
        raise ResultFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    rows = _rows(path, content)
    wrong = _impossible(rows, batches=name == BATCHES_FILE)
    if wrong:
        raise _unusable(path, wrong)
    return rows


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _unusable(path: Path, why: str) -> ResultFileError:
    return ResultFileError(f"{path} cannot be used: {why}.")


def _content(path: Path, stream: RawIOBase, size: int, raw: RawFile) -> NDArray[Any]:
    """Return a file's bytes, hashed while they are read: a second pass would cost as much again."""
    import numpy

    if size > _LARGEST_FILE:
        raise _unusable(path, f"it is larger than {_LARGEST_FILE / 1e6:,.0f} MB")
    content = numpy.empty(size if size == raw.bytes else 0, numpy.uint8)
    view = content.data
    digest = hashlib.sha256()
    done = 0
    while done < len(content) and (read := stream.readinto(view[done : done + _CHUNK])):
        digest.update(view[done : done + read])
        done += read
    if done != raw.bytes or digest.hexdigest() != raw.sha256:
        raise RawFileChangedError(
            f"{path} is not the file that was measured: its content does not match sha256 and "
            "bytes in the result file."
        )
    return content


def _rows(path: Path, content: NDArray[Any]) -> NDArray[Any]:
    import numpy

    stream = BytesIO(content[:_LONGEST_HEADER].tobytes())
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
    data = content[stream.tell() :]
    if len(data) != shape[0] * _ROW_BYTES:
        raise _unusable(path, f"it does not hold the {shape[0]} rows that its header names")
    return numpy.frombuffer(data, numpy.int64).reshape(-1, _COLUMNS)


def _impossible(rows: NDArray[Any], *, batches: bool) -> str:
    """Return what cannot be in rows that a benchmark wrote, or nothing."""
    if len(rows) == 0:
        return "it holds no rows"
    # Seen as one line of numbers: many times faster than as a table.
    numbers = rows.reshape(-1)
    if int(numbers.min()) < -_LONGEST_NS or int(numbers.max()) > _LONGEST_NS:
        return "it holds times of more than a year"
    third = rows[:, 2]
    if batches and bool((rows[:, 1] < rows[:, 0]).any()):
        return "it holds a batch that ended before it started"
    if batches and not 1 <= int(third.min()) <= int(third.max()) <= _LARGEST_BATCH:
        return "it holds a batch of no samples or of more than there can be"
    if not batches and int(third.min()) < 0:
        return "it holds a negative latency"
    return ""
