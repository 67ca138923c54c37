"""``python -m benchmark.keeper``: keeps the results of a benchmark in a pod until they are fetched.

Two containers share a folder. The one with the GPU wraps its command in ``run``, which takes a lock
that the system gives back at the command's end, however it ends. The other one sleeps in ``hold``
until the results are fetched, through ``bundle`` and ``send``, and let go of with ``release``.

Exit codes: 0 done, 1 it could not be done, 2 wrong input, 75 the benchmark still runs, 76 it never
started; ``run`` has the command's own.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import gzip
import hashlib
import json
import os
import signal
import stat
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

from benchmark.errors import OutputError, ProblemError, WorkError, writing

STILL_RUNNING = 75
"""Exit code of ``bundle`` while the benchmark runs."""
NEVER_STARTED = 76
"""Exit code of ``bundle`` where no benchmark was started."""
RESULTS = "run"
"""Where below the shared folder the benchmark writes."""
_LOCK, _STARTED, _RELEASE, _BUNDLE = ".lock", ".started", ".release", ".bundle"
_POLL_S = 0.2
_CHUNK = 1 << 18


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    folder = Path(options.folder)
    try:
        match options.action:
            case "run":
                run(folder, options.command)
            case "hold":
                hold(folder, options.hold_s, options.start_s)
            case "bundle":
                print(bundle(folder), flush=True)
            case "send":
                send(folder, options.start)
            case "release":
                release(folder)
    except ProblemError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever fetched is gone; nothing more may be written at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return 0


def run(folder: Path, command: list[str]) -> None:
    """Become ``command``, holding the folder's lock until its end.

    Raises:
        OutputError: the folder cannot be written.
        WorkError: the command cannot be started.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A lock that is free means "ended" only after this.
        (folder / _STARTED).touch()
    os.set_inheritable(lock, True)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise WorkError(f"{command[0]} cannot be started: {error.strerror}.") from error


def hold(folder: Path, hold_s: float, start_s: float) -> None:
    """Return when the benchmark has ended and was released, or ``hold_s`` seconds later; or when
    none started within ``start_s`` seconds. SIGTERM ends only the waiting for a start: what is held
    may still be fetched in the pod's grace period.
    """
    asked_to_end = False

    def note(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked_to_end
        asked_to_end = True

    signal.signal(signal.SIGTERM, note)
    give_up_at = time.monotonic() + start_s
    while not (folder / _STARTED).exists():
        if asked_to_end or time.monotonic() >= give_up_at:
            return
        time.sleep(_POLL_S)
    while is_running(folder):
        time.sleep(_POLL_S)
    let_go_at = time.monotonic() + hold_s
    # Ready when it is asked for; what is wrong with it is said then.
    with suppress(ProblemError):
        bundle(folder)
    while not (folder / _RELEASE).exists() and time.monotonic() < let_go_at:
        time.sleep(_POLL_S)


def is_running(folder: Path) -> bool:
    """Return whether a command that was started by ``run`` has not ended yet."""
    with suppress(FileNotFoundError), (folder / _LOCK).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            return True
    return False


class BenchmarkRunningError(WorkError):
    """The results are not complete."""

    exit_code = STILL_RUNNING


class NeverStartedError(WorkError):
    """There are no results."""

    exit_code = NEVER_STARTED


def bundle(folder: Path) -> str:
    """Pack the regular files of the results into one archive, once, and return what is in it as one
    line of JSON: ``bytes``, ``sha256`` and ``files`` (``path``, ``bytes``, ``sha256`` each).

    Raises:
        BenchmarkRunningError: more files may come.
        NeverStartedError: no benchmark was started.
        WorkError, OutputError, DiskFullError: a file cannot be read or the archive not written.
    """
    if not (folder / _STARTED).exists():
        raise NeverStartedError(f"No benchmark was started with {folder}.")
    if is_running(folder):
        raise BenchmarkRunningError("The benchmark still runs.", "Ask again when it has ended.")
    archive = folder / _BUNDLE
    contents = folder / f"{_BUNDLE}.json"
    with writing(archive), (folder / f"{_BUNDLE}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not contents.exists():
            _pack(folder / RESULTS, archive, contents)
        return contents.read_text()


def send(folder: Path, start: int) -> None:
    """Write the bytes of the archive from ``start`` on to stdout.

    Raises:
        WorkError: it cannot be read.
    """
    archive, output = folder / _BUNDLE, sys.stdout.buffer
    try:
        with archive.open("rb", buffering=0) as file:
            file.seek(start)
            while chunk := file.read(_CHUNK):
                output.write(chunk)
            output.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise WorkError(f"{archive} cannot be sent: {error.strerror}.") from error


def release(folder: Path) -> None:
    """Let :func:`hold` return.

    Raises:
        OutputError, DiskFullError: the folder cannot be written.
    """
    with writing(folder / _RELEASE):
        (folder / _RELEASE).touch()


def _pack(folder: Path, into: Path, contents: Path) -> None:
    temporary = into.with_name(f"{into.name}.part")
    files: list[dict[str, str | int]] = []
    with temporary.open("wb") as stream:
        whole = _Hashed(stream)
        # Level 1: the network between pod and user is slower than it, and faster than level 6.
        with (
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=whole, mtime=0) as packed,
            tarfile.open(
                fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK
            ) as archive,
        ):
            for path in _regular_files(folder):
                name = path.relative_to(folder).as_posix()
                with _opened(path) as file:
                    size, hashed = _add(archive, name, file)
                files.append({"path": name, "bytes": size, "sha256": hashed})
    temporary.replace(into)
    line = json.dumps({"bytes": whole.bytes, "sha256": whole.sha256, "files": files})
    unfinished = contents.with_name(f"{contents.name}.part")
    unfinished.write_text(line)
    # From here on the bundle is never made again: bytes that were sent stay valid.
    unfinished.replace(contents)


def _regular_files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise WorkError(f"{path} cannot be read: {error.strerror}.") from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        yield file


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes]) -> tuple[int, str]:
    """Add an open file; return its length and SHA-256."""
    status = os.fstat(file.fileno())
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = status.st_size, int(status.st_mtime), 0o644
    source = _Hashed(file)
    try:
        archive.addfile(member, source)
    except OSError as error:
        if error.errno is None:
            raise OutputError(f"{name} became shorter while it was packed.") from error
        raise
    return member.size, source.sha256


class _Hashed:
    """A file that knows the length and the hash of what went through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._count(data)
        return data

    def write(self, data: bytes) -> int:
        self._count(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def _count(self, data: bytes) -> None:
        self._hash.update(data)
        self.bytes += len(data)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmark.keeper", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)

    def add(name: str, words: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=words)
        action.add_argument("--folder", default="/results", help="what the containers share")
        return action

    action = add("run", "become a command whose end is noticed")
    action.add_argument("command", nargs="+", metavar="COMMAND", help="after --")
    action = add("hold", "wait for the benchmark's end, then for release")
    action.add_argument("--hold-s", type=float, required=True, help="longest wait for release")
    action.add_argument("--start-s", type=float, default=600.0, help="longest wait for a start")
    add("bundle", "pack the results once, print what is in the archive")
    action = add("send", "write the archive to stdout")
    action.add_argument("--from", dest="start", type=int, default=0, help="first byte")
    add("release", "end hold")
    return parser


if __name__ == "__main__":
    sys.exit(main())
