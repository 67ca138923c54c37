"""The thread that samples while a measurement runs in another process."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Literal, NamedTuple, Protocol, TypeVar

from benchmark.telemetry.lines import Start, line
from benchmark.telemetry.model import (
    GpuIdentity,
    GpuSample,
    HostSample,
    SourceFailure,
    Telemetry,
)

# One hour at 5 Hz.
DEFAULT_CAPACITY = 18_000

# A question to a GPU that is falling off the bus may never return; the run goes on without the
# thread.
_JOIN_TIMEOUT_S = 5.0

_Kept = TypeVar("_Kept", GpuSample, HostSample)
_Part = Literal["gpu", "host", "file", "sampler"]


class GpuReader(Protocol):
    """What the sampler needs of a GPU: ``NvmlSource``, or a stand-in."""

    def identity(self) -> GpuIdentity: ...

    def sample(self, own_pids: Iterable[int], time_s: float) -> GpuSample: ...


class HostReader(Protocol):
    """What the sampler needs of a host: ``HostSource``, or a stand-in."""

    def sample(self, time_s: float) -> HostSample: ...


class Latest(NamedTuple):
    """The newest samples, for a progress display."""

    gpu: GpuSample | None
    host: HostSample | None


def _this_process() -> tuple[int, ...]:
    return (os.getpid(),)


class Sampler:
    """Samples a GPU and the host on a thread of its own until it is stopped.

    None of its methods raises for anything that goes wrong while sampling: a source that fails is
    noted in ``Telemetry.failures`` and asked again at the next beat. The sources stay the caller's
    to close.
    """

    def __init__(
        self,
        gpu: GpuReader | None,
        host: HostReader,
        interval_s: float = 0.2,
        *,
        own_pids: Callable[[], Iterable[int]] = _this_process,
        path: Path | None = None,
        capacity: int = DEFAULT_CAPACITY,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """``own_pids`` names our processes, with all their descendants; by default this one.

        ``path`` is a file that does not exist yet; every sample is written to it as it is taken.
        ``capacity`` bounds the samples of each source held in memory; beyond it every second one is
        let go, those with an Xid error last. ``clock`` and ``wait`` (seconds -> whether to stop)
        stand in for time.
        """
        if not interval_s > 0 or capacity < 4:
            raise ValueError("the interval must be above 0 and the capacity at least 4")
        self._gpu_source = gpu
        self._host_source = host
        self._interval_s = interval_s
        self._own_pids = own_pids
        self._path = path
        self._capacity = capacity
        self._clock = clock
        self._stopping = threading.Event()
        self._wait = self._stopping.wait if wait is None else wait
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._started_s = clock()
        self._identity: GpuIdentity | None = None
        self._gpu: list[GpuSample] = []
        self._host: list[HostSample] = []
        self._latest = Latest(None, None)
        self._failures: dict[_Part, SourceFailure] = {}
        self._dropped = 0

    def start(self) -> "Sampler":
        """Begin. A second start does nothing."""
        if self._thread is not None:
            return self
        self._started_s = self._clock()
        self._open_file()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._note("sampler", error)
        return self

    def stop(self) -> Telemetry:
        """Take a last sample, end the thread and return the recording. May be called again."""
        self._stopping.set()
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(_JOIN_TIMEOUT_S)
            if thread.is_alive():
                self._note("sampler", TimeoutError("a question to the driver does not return"))
        return self.recording()

    def recording(self) -> Telemetry:
        """The recording so far; sampling goes on."""
        with self._lock:
            return Telemetry(
                started_monotonic_s=self._started_s,
                interval_s=self._interval_s,
                gpu_watched=self._gpu_source is not None,
                identity=self._identity,
                gpu=tuple(self._gpu),
                host=tuple(self._host),
                failures=tuple(self._failures.values()),
                dropped_samples=self._dropped,
            )

    def latest(self) -> Latest:
        """The newest sample of each source, ``None`` before the first."""
        return self._latest

    def __enter__(self) -> "Sampler":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self._ask_identity()
            due = self._clock()
            while True:
                self._beat()
                now = self._clock()
                # Beats that were missed are skipped: made up for in a burst they would cost the
                # measurement just when the machine is short of time.
                due += self._interval_s * max(1, -(-(now - due) // self._interval_s))
                if self._wait(max(0.0, due - now)) or self._stopping.is_set():
                    break
            # Counters must enclose the end of the last measurement.
            self._beat()
        except Exception as error:
            # A thread that dies silently would look like a GPU that went quiet.
            self._note("sampler", error)
        finally:
            self._close_file()

    def _beat(self) -> None:
        time_s = self._clock() - self._started_s
        gpu, host = self._read_gpu(time_s), self._read_host(time_s)
        lines = []
        with self._lock:
            if gpu is not None:
                self._gpu.append(gpu)
                self._gpu = self._bounded(self._gpu)
                lines.append(line("gpu", gpu))
            if host is not None:
                self._host.append(host)
                self._host = self._bounded(self._host)
                lines.append(line("host", host))
            self._latest = Latest(gpu or self._latest.gpu, host or self._latest.host)
        self._write(b"".join(lines))

    def _read_gpu(self, time_s: float) -> GpuSample | None:
        if self._gpu_source is None:
            return None
        try:
            return self._gpu_source.sample(self._own_pids(), time_s)
        except Exception as error:
            # Whatever it is, the measurement in the other process is worth more than this sample.
            self._note("gpu", error)
            return None

    def _read_host(self, time_s: float) -> HostSample | None:
        try:
            return self._host_source.sample(time_s)
        except Exception as error:
            self._note("host", error)
            return None

    def _ask_identity(self) -> None:
        if self._gpu_source is None:
            return
        try:
            identity = self._gpu_source.identity()
        except Exception as error:
            self._note("gpu", error)
            return
        with self._lock:
            self._identity = identity
        self._write(line("identity", identity))

    def _bounded(self, samples: list[_Kept]) -> list[_Kept]:
        if len(samples) <= self._capacity:
            return samples
        kept = [
            sample
            for number, sample in enumerate(samples)
            if number % 2 == 0 or (isinstance(sample, GpuSample) and sample.xid_errors)
        ]
        if len(kept) > self._capacity * 3 // 4:
            kept = samples[::2]
        self._dropped += len(samples) - len(kept)
        return kept

    def _open_file(self) -> None:
        if self._path is None:
            return
        try:
            self._file = open(self._path, "xb", buffering=0)  # noqa: SIM115
        except OSError as error:
            self._note("file", error)
            return
        start = Start(
            started_monotonic_s=self._started_s,
            interval_s=self._interval_s,
            gpu_watched=self._gpu_source is not None,
        )
        self._write(line("start", start))

    def _write(self, content: bytes) -> None:
        if self._file is None or not content:
            return
        try:
            if self._file.write(content) != len(content):
                raise OSError("the disk took only a part of a line")
        except OSError as error:
            # A line cut short must stay the last one, or what follows could not be read.
            self._note("file", error)
            self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except OSError as error:
            self._note("file", error)

    def _note(self, part: _Part, error: Exception) -> None:
        time_s = self._clock() - self._started_s
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        with self._lock:
            before = self._failures.get(part)
            self._failures[part] = SourceFailure(
                source=part,
                first_time_s=time_s if before is None else before.first_time_s,
                count=1 if before is None else before.count + 1,
                message=text,
            )
