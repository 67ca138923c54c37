"""Copying a log, or a part of it, out of its file, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmark.errors import OutputError, writing
from tui.log.index import LogIndex
from tui.log.slices import SLICE_S, give_way

_BLOCK = 262_144


async def save(
    index: LogIndex, ranges: Iterable[tuple[int, int]], path: Path, clock: Callable[[], float]
) -> int:
    """Write the ranges of bytes of the log's file into a new file; return how many bytes.

    Raises:
        OutputError, DiskFullError: it cannot be written, or is there already.
    """
    with writing(path):
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            raise OutputError(
                f"{path} is there already; nothing was written.", "Choose another name."
            ) from None
        try:
            written = await _copy(index, ranges, file, clock)
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(file)
    return written


async def _copy(
    index: LogIndex, ranges: Iterable[tuple[int, int]], file: int, clock: Callable[[], float]
) -> int:
    written = 0
    pending = bytearray()
    pause_at = clock() + SLICE_S
    generation = index.generation
    for start, end in ranges:
        while start < end:
            if clock() >= pause_at:
                await give_way(clock)
                pause_at = clock() + SLICE_S
            data = index.read(start, min(end, start + _BLOCK))
            if not data or generation != index.generation:
                raise OutputError("The log changed while it was saved; nothing was written.")
            start += len(data)
            pending += data
            if len(pending) >= _BLOCK:
                written += _write(file, pending)
                pending.clear()
    return written + _write(file, pending)


def _write(file: int, data: bytearray) -> int:
    done = 0
    with memoryview(data) as view:
        while done < len(data):
            done += os.write(file, view[done:])
    return done
