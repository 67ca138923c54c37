"""``python -m benchmark.keeper`` as the two containers of a pod run it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.keeper import NEVER_STARTED, STILL_RUNNING
from tests.benchmark.loadgen_client import REPOSITORY

KEEPER = [sys.executable, "-m", "benchmark.keeper"]
WAIT_FOR_A_LINE = [sys.executable, "-c", "print('ready', flush=True); input()"]


class Processes:
    """Starts keeper commands on one folder, and leaves none behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, action: str, *arguments: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        words = [action, "--folder", str(self.folder), *arguments]
        process = subprocess.Popen(
            [*KEEPER, *words], cwd=REPOSITORY, stdin=pipe, stdout=pipe, stderr=pipe
        )
        self.started.append(process)
        return process

    def call(self, action: str, *arguments: str) -> tuple[int, bytes, bytes]:
        process = self.start(action, *arguments)
        output, complaint = process.communicate(timeout=60)
        return process.returncode, output, complaint

    def run(self, command: list[str] = WAIT_FOR_A_LINE) -> subprocess.Popen[bytes]:
        """Start a benchmark and wait until it says a line."""
        process = self.start("run", "--", *command)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    def contents(self) -> dict[str, Any]:
        code, output, complaint = self.call("bundle")
        assert code == 0, complaint
        contents: dict[str, Any] = json.loads(output)
        return contents


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    every = Processes(tmp_path / "results")
    yield every
    for process in every.started:
        process.kill()
        process.communicate()


def end(benchmark: subprocess.Popen[bytes]) -> None:
    benchmark.communicate(b"\n", timeout=60)


def write_results(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


FILES = {
    "benchmark_results.json": b"{}",
    "raw/latencies.bin": bytes(range(256)) * 2000,
    "raw/" + "long-name/" * 20 + "log.txt": b"deep",
    "empty": b"",
}


def test_the_archive_holds_every_file_as_its_contents_say(processes: Processes) -> None:
    write_results(processes.folder, FILES)
    end(processes.run())
    contents = processes.contents()
    code, archive, complaint = processes.call("send")
    assert (code, complaint) == (0, b"")
    assert contents["bytes"] == len(archive)
    assert contents["sha256"] == hashlib.sha256(archive).hexdigest()
    assert {each["path"]: (each["bytes"], each["sha256"]) for each in contents["files"]} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in FILES.items()
    }
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as members:
        found = {each.name: members.extractfile(each) for each in members}
        assert {name: file.read() for name, file in found.items() if file} == FILES


def test_sending_begins_where_it_is_told(processes: Processes) -> None:
    write_results(processes.folder, FILES)
    end(processes.run())
    total = processes.contents()["bytes"]
    whole = processes.call("send")[1]
    for start in (1, total // 2, total - 1, total):
        assert processes.call("send", "--from", str(start))[1] == whole[start:]


def test_the_archive_is_made_once(processes: Processes) -> None:
    write_results(processes.folder, FILES)
    end(processes.run())
    first = processes.contents()
    write_results(processes.folder, {"late": b"too late"})
    assert processes.contents() == first
    assert first["bytes"] == len(processes.call("send")[1])


def test_two_who_ask_at_once_are_told_the_same(processes: Processes) -> None:
    write_results(processes.folder, {"large": os.urandom(3_000_000)})
    end(processes.run())
    both = [processes.start("bundle") for _ in range(2)]
    first, second = (each.communicate(timeout=60)[0] for each in both)
    assert first == second
    assert json.loads(first)["sha256"] == hashlib.sha256(processes.call("send")[1]).hexdigest()


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        each = Processes(tmp_path / name)
        write_results(each.folder, FILES)
        for path in each.folder.rglob("*"):
            os.utime(path, (1e9, 1e9))
        end(each.run())
        archives.append(each.contents())
    assert archives[0] == archives[1]


def test_what_is_no_regular_file_stays_out(processes: Processes, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("outside")
    write_results(processes.folder, {"kept": b"1"})
    (processes.folder / "run" / "link").symlink_to(secret)
    (processes.folder / "run" / "linked_folder").symlink_to(tmp_path)
    os.mkfifo(processes.folder / "run" / "pipe")
    end(processes.run())
    assert [each["path"] for each in processes.contents()["files"]] == ["kept"]


def test_a_running_benchmark_s_results_are_refused(processes: Processes) -> None:
    benchmark = processes.run()
    code, output, complaint = processes.call("bundle")
    assert (code, output) == (STILL_RUNNING, b"")
    assert b"still runs" in complaint
    end(benchmark)
    assert processes.contents()["files"] == []


def test_a_benchmark_that_never_started_has_no_results(processes: Processes) -> None:
    processes.folder.mkdir()
    code, output, complaint = processes.call("bundle")
    assert (code, output) == (NEVER_STARTED, b"")
    assert b"No benchmark was started" in complaint


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_benchmark_has_ended(processes: Processes, how: signal.Signals) -> None:
    write_results(processes.folder, {"partial": b"half"})
    benchmark = processes.run()
    benchmark.send_signal(how)
    assert benchmark.wait(timeout=60) == -how
    assert [each["path"] for each in processes.contents()["files"]] == ["partial"]


def test_a_child_that_outlives_the_benchmark_does_not_keep_it_running(
    processes: Processes,
) -> None:
    leave = "import subprocess; subprocess.Popen(['sleep', '60']); print('ready', flush=True)"
    benchmark = processes.run([sys.executable, "-c", f"{leave}; input()"])
    children = Path(f"/proc/{benchmark.pid}/task/{benchmark.pid}/children").read_text().split()
    try:
        assert benchmark.stdin is not None
        benchmark.stdin.write(b"\n")
        benchmark.stdin.flush()
        assert benchmark.wait(timeout=60) == 0
        assert processes.contents()["files"] == []
    finally:
        for child in children:
            os.kill(int(child), signal.SIGKILL)


def test_the_command_s_exit_code_is_its_own(processes: Processes) -> None:
    code, _, _ = processes.call("run", "--", sys.executable, "-c", "raise SystemExit(7)")
    assert code == 7


def test_a_command_that_is_not_there_is_named(processes: Processes) -> None:
    code, _, complaint = processes.call("run", "--", "no-such-program")
    assert code == 1
    assert b"no-such-program cannot be started" in complaint


def test_an_archive_that_cannot_be_written_is_told(processes: Processes) -> None:
    end(processes.run())
    (processes.folder / ".bundle.part").mkdir()
    code, _, complaint = processes.call("bundle")
    assert code != 0
    assert b".bundle cannot be written" in complaint


def test_sending_what_was_never_packed_is_told(processes: Processes) -> None:
    processes.folder.mkdir()
    code, output, complaint = processes.call("send")
    assert (code, output) == (1, b"")
    assert b"cannot be sent" in complaint


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def has_packed(processes: Processes) -> bool:
    return (processes.folder / ".bundle.json").exists()


def test_holding_ends_with_release(processes: Processes) -> None:
    holder = processes.start("hold", "--hold-s", "600")
    write_results(processes.folder, FILES)
    end(processes.run())
    until(lambda: has_packed(processes))
    assert holder.poll() is None
    assert processes.call("release")[0] == 0
    assert holder.wait(timeout=60) == 0


def test_holding_ends_by_itself(processes: Processes) -> None:
    end(processes.run())
    assert processes.call("hold", "--hold-s", "0.1") == (0, b"", b"")


def test_holding_ends_where_nothing_starts(processes: Processes) -> None:
    processes.folder.mkdir()
    assert processes.call("hold", "--hold-s", "600", "--start-s", "0.1") == (0, b"", b"")


def test_nothing_is_packed_while_the_benchmark_runs(processes: Processes) -> None:
    benchmark = processes.run()
    holder = processes.start("hold", "--hold-s", "600")
    with pytest.raises(subprocess.TimeoutExpired):
        holder.wait(timeout=0.6)
    assert not has_packed(processes)
    end(benchmark)
    until(lambda: has_packed(processes))


def handles_sigterm(process: subprocess.Popen[bytes]) -> bool:
    """Whether the interpreter is far enough to have its handler."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) & 1 << signal.SIGTERM - 1)
    return False


def test_results_may_be_fetched_after_the_pod_was_told_to_end(processes: Processes) -> None:
    write_results(processes.folder, FILES)
    benchmark = processes.run()
    holder = processes.start("hold", "--hold-s", "600")
    until(lambda: handles_sigterm(holder))
    holder.terminate()
    benchmark.terminate()
    until(lambda: has_packed(processes))
    assert len(processes.contents()["files"]) == len(FILES)
    assert holder.poll() is None
    assert processes.call("release")[0] == 0
    assert holder.wait(timeout=60) == 0


def test_a_pod_that_is_told_to_end_before_its_benchmark_starts_does_so(
    processes: Processes,
) -> None:
    processes.folder.mkdir()
    holder = processes.start("hold", "--hold-s", "600")
    until(lambda: handles_sigterm(holder))
    holder.terminate()
    assert holder.wait(timeout=60) == 0


def test_holding_costs_next_to_nothing(processes: Processes) -> None:
    processes.run()
    holder = processes.start("hold", "--hold-s", "600")
    until(lambda: handles_sigterm(holder))
    before = os.times()
    clock_file = Path(f"/proc/{holder.pid}/stat")

    def ticks() -> int:
        fields = clock_file.read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    began = ticks()
    with pytest.raises(subprocess.TimeoutExpired):
        holder.wait(timeout=2)
    elapsed = os.times().elapsed - before.elapsed
    assert (ticks() - began) / os.sysconf("SC_CLK_TCK") < 0.05 * elapsed
