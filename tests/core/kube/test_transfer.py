from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import random
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import keeper
from benchmark.errors import OutputError
from core.kube.cluster import Access, Cluster
from core.kube.errors import DeniedError
from core.kube.transfer import Collected, PodGoneError, TransferError, collect, release
from tests.core.kube.clocks import Clock
from tests.core.kube.proxy import Proxy, kubeconfig_through, server_of
from tests.core.kube.sides import pod_body
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_pods import Frames, Pod, answering, run_locally
from tests.core.runs import ROOT

FILES = {
    "benchmark_results.json": b'{"benchmarks": []}',
    "raw/offline/latencies.bin": random.Random(1).randbytes(300_000),
    "raw/server/mlperf_log_detail.txt": b"line\n" * 5000,
    "empty": b"",
    "name with spaces and \u00e9": b"1",
}


def put_results(shared: Path, files: dict[str, bytes], *, started: bool = True) -> None:
    """Lay out what an ended benchmark leaves in the pod's shared folder."""
    for name, content in files.items():
        path = shared / keeper.RESULTS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shared.mkdir(exist_ok=True)
    if started:
        (shared / ".started").touch()


def found_in(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, hidden files too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def keeper_here(shared: Path, chunk: int = 32768) -> Callable[[Sequence[str]], Frames]:
    """The keeper's container without its processes."""

    async def execute(command: Sequence[str]) -> Frames:
        action = command[3]
        if action == "bundle":
            yield 1, keeper.bundle(shared).encode() + b"\n"
        elif action == "send":
            start = int(command[command.index("--from") + 1])
            data = (shared / ".bundle").read_bytes()[start:]
            for offset in range(0, len(data), chunk):
                yield 1, data[offset : offset + chunk]
        yield 0

    return execute


@dataclass
class Scene:
    """A pod with results, and somebody who wants them."""

    stand_in: StandIn
    cluster: Cluster
    clock: Clock
    pod: Pod
    shared: Path
    destination: Path
    reports: list[tuple[int, int]] = field(default_factory=list)

    async def collect(self, **options: Any) -> Collected:
        return await collect(
            self.cluster,
            "measured",
            self.destination,
            **{
                "container": "main",
                "folder": str(self.shared),
                "report": lambda done, total: self.reports.append((done, total)),
                "sleep": self.clock.sleep,
                "monotonic": self.clock.monotonic,
                **options,
            },
        )

    def sent_from(self) -> list[int]:
        """The offsets at which the archive was asked for."""
        return [
            int(command[command.index("--from") + 1])
            for command in self.commands
            if "--from" in command
        ]

    commands: list[Sequence[str]] = field(default_factory=list)

    def answer(self, executor: Callable[[Sequence[str]], Frames]) -> None:
        def noting(command: Sequence[str]) -> Frames:
            self.commands.append(command)
            return executor(command)

        self.pod.executor = noting


async def set_up(stand_in: StandIn, folder: Path, clock: Clock, cluster: Cluster) -> Scene:
    path = f"/api/v1/namespaces/{cluster.namespace}/pods"
    await cluster.request("POST", path, body=pod_body("measured"))
    pod = stand_in.pod("measured")
    pod.start()
    scene = Scene(stand_in, cluster, clock, pod, folder / "shared", folder / "here")
    scene.answer(keeper_here(scene.shared))
    return scene


@pytest.fixture
async def scene(stand_in: StandIn, tmp_path: Path) -> AsyncIterator[Scene]:
    clock = Clock()
    access = stand_in.access(tmp_path)
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        yield await set_up(stand_in, tmp_path, clock, cluster)


async def test_the_files_arrive_as_they_are_in_the_pod(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    collected = await scene.collect()
    assert found_in(scene.destination) == FILES
    assert collected.files == len(FILES)
    assert collected.bytes == sum(map(len, FILES.values()))


async def test_the_real_keeper_s_processes_answer(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    scene.answer(run_locally(environment={**os.environ, "PYTHONPATH": str(ROOT)}))
    await scene.collect()
    assert found_in(scene.destination) == FILES
    options = {"container": "main", "folder": str(scene.shared)}
    await release(scene.cluster, "measured", **options)
    assert (scene.shared / ".release").exists()


async def test_progress_is_told_from_nothing_to_all(scene: Scene) -> None:
    put_results(scene.shared, {"large": random.Random(2).randbytes(3_000_000)})
    await scene.collect()
    done = [each for each, _ in scene.reports]
    totals = {total for _, total in scene.reports}
    assert done == sorted(done)
    assert len(done) > 3
    assert (done[0], {done[-1]}) == (0, totals)


async def test_done_twice_it_is_the_same(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    first = await scene.collect()
    again = await scene.collect()
    assert (again.files, again.bytes) == (first.files, first.bytes)
    assert found_in(scene.destination) == FILES
    assert len(scene.sent_from()) == 1


async def test_what_was_changed_here_is_fetched_again(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    await scene.collect()
    (scene.destination / "benchmark_results.json").write_bytes(b'{"benchmarks": 17}')
    (scene.destination / "empty").unlink()
    await scene.collect()
    assert found_in(scene.destination) == FILES


async def test_what_lies_there_under_other_names_stays(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    scene.destination.mkdir()
    (scene.destination / "deployment.log").write_text("before")
    await scene.collect()
    assert found_in(scene.destination) == {**FILES, "deployment.log": b"before"}


async def test_after_a_break_only_the_rest_is_fetched(scene: Scene) -> None:
    put_results(scene.shared, {"large": random.Random(3).randbytes(1_000_000)})
    scene.commands.clear()
    breaking = keeper_here(scene.shared, chunk=10_000)
    times = iter([200_000, 150_000])

    async def execute(command: Sequence[str]) -> Frames:
        left = next(times, 10**9) if "send" in command else 10**9
        async for frame in breaking(command):
            if not isinstance(frame, int):
                left -= len(frame[1])
                if left < 0:
                    scene.stand_in.streams.cut()
                    return
            yield frame

    scene.answer(execute)
    await scene.collect()
    first, second, third = scene.sent_from()
    assert first == 0 < second < third
    assert third >= 200_000
    assert len(found_in(scene.destination)["large"]) == 1_000_000


async def test_what_a_killed_process_had_fetched_is_used(scene: Scene) -> None:
    put_results(scene.shared, {"large": random.Random(3).randbytes(3_000_000)})

    async def leave() -> None:
        await scene.collect(report=stop_half_way)

    def stop_half_way(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await leave()
    await scene.collect()
    assert scene.sent_from()[-1] > 1_000_000
    assert len(found_in(scene.destination)["large"]) == 3_000_000


async def test_a_damaged_part_is_fetched_anew(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    contents = json.loads(keeper.bundle(scene.shared))
    part = scene.destination / ".collecting" / f"{contents['sha256']}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 1000)
    await scene.collect()
    assert scene.sent_from() == [1000, 0]
    assert found_in(scene.destination) == FILES


async def test_a_command_that_succeeds_too_early_is_not_believed(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    whole = keeper_here(scene.shared, chunk=50_000)
    shortened = []

    async def execute(command: Sequence[str]) -> Frames:
        async for frame in whole(command):
            yield frame
            if "send" in command and not shortened and not isinstance(frame, int):
                shortened.append(True)
                yield 0
                return

    scene.answer(execute)
    await scene.collect()
    assert scene.sent_from() == [0, 50_000]
    assert found_in(scene.destination) == FILES


async def test_a_running_benchmark_is_waited_for(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    ended = keeper_here(scene.shared)
    running = answering(stderr=b"The benchmark still runs.\n", exit_code=keeper.STILL_RUNNING)

    def execute(command: Sequence[str]) -> Frames:
        return (running if len(scene.commands) < 4 else ended)(command)

    scene.answer(execute)
    await scene.collect()
    assert found_in(scene.destination) == FILES


async def test_a_benchmark_that_runs_on_and_on_is_told(scene: Scene) -> None:
    scene.answer(answering(exit_code=keeper.STILL_RUNNING))
    with pytest.raises(TransferError, match="measured still runs") as caught:
        await scene.collect(patience_s=5.0)
    assert "Collect again" in caught.value.remedy
    assert not isinstance(caught.value, PodGoneError)


async def test_a_benchmark_that_never_started_is_told_at_once(scene: Scene) -> None:
    scene.answer(answering(exit_code=keeper.NEVER_STARTED))
    with pytest.raises(TransferError, match="never started"):
        await scene.collect()
    assert len(scene.commands) == 1


async def test_the_keeper_s_complaint_is_passed_on_harmlessly(scene: Scene) -> None:
    scene.answer(answering(stderr=b"Traceback\n\x1b[31mThe disk is full.\n", exit_code=1))
    with pytest.raises(TransferError) as caught:
        await scene.collect()
    assert caught.value.sentence.endswith("failed: \\x1b[31mThe disk is full.")


@pytest.mark.parametrize("end", ["gone", "finish"])
async def test_a_pod_that_has_ended_is_its_own_kind(scene: Scene, end: str) -> None:
    put_results(scene.shared, FILES)
    getattr(scene.pod, end)()
    with pytest.raises(PodGoneError, match="measured has ended or was deleted"):
        await scene.collect()
    assert found_in(scene.destination) == {}
    await release(scene.cluster, "measured", container="main")


async def test_a_pod_that_ends_in_the_middle_leaves_no_half_file(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    whole = keeper_here(scene.shared, chunk=10_000)

    async def execute(command: Sequence[str]) -> Frames:
        async for frame in whole(command):
            yield frame
            if "send" in command:
                scene.pod.gone()
                scene.stand_in.streams.cut()
                return

    scene.answer(execute)
    with pytest.raises(PodGoneError):
        await scene.collect()
    assert {name.split("/")[0] for name in found_in(scene.destination)} <= {".collecting"}


async def test_a_server_that_comes_back_is_waited_for(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    scene.stand_in.fail(503, path="/exec", times=12)
    await scene.collect()
    assert found_in(scene.destination) == FILES


async def test_a_server_that_stays_away_ends_the_patience(scene: Scene) -> None:
    scene.stand_in.fail(503, path="/exec", times=10_000)
    began = scene.clock.now
    with pytest.raises(TransferError, match="could not be fetched") as caught:
        await scene.collect(patience_s=20.0)
    assert 10 < scene.clock.now - began < 40
    assert "Collect again" in caught.value.remedy


async def test_missing_rights_are_told_as_such(scene: Scene) -> None:
    scene.stand_in.fail(403, path="/exec")
    with pytest.raises(DeniedError):
        await scene.collect()


async def test_a_destination_that_cannot_be_written_is_told(scene: Scene) -> None:
    put_results(scene.shared, FILES)
    scene.destination.write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        await scene.collect()


def archive_of(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for member, data in members:
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def plain(name: str, data: bytes = b"x", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in fields.items():
        setattr(member, key, value)
    return member, data


def announcing(archive: bytes, files: list[dict[str, Any]]) -> Callable[[Sequence[str]], Frames]:
    """A keeper that may lie about what it sends."""
    line = json.dumps(
        {"bytes": len(archive), "sha256": hashlib.sha256(archive).hexdigest(), "files": files}
    )

    async def execute(command: Sequence[str]) -> Frames:
        yield 1, line.encode() if "bundle" in command else archive
        yield 0

    return execute


def announced(name: str, data: bytes = b"x") -> dict[str, Any]:
    return {"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}
DEVICE = {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3, "size": 0}


@pytest.mark.parametrize(
    ("members", "files"),
    [
        ([plain("../outside")], [announced("../outside")]),
        ([plain("/outside")], [announced("/outside")]),
        ([plain("a/../../outside")], [announced("a/../../outside")]),
        ([plain("./a")], [announced("./a")]),
        ([plain(".collecting/a")], [announced(".collecting/a")]),
        ([plain("")], [announced("")]),
        ([plain("a\0b")], [announced("a\0b")]),
        ([plain("a")], [announced("a"), announced("a")]),
        ([plain("a"), plain("a/b")], [announced("a"), announced("a/b")]),
        ([plain("a"), plain("a")], [announced("a")]),
        ([plain("not announced")], [announced("a")]),
        ([plain("a")], [announced("a"), announced("missing")]),
        ([plain("a", b"other")], [announced("a")]),
        ([plain("a", b"y")], [announced("a")]),
        ([plain("a", b"", **LINK)], [announced("a", b"")]),
        ([plain("a", b"", **{**LINK, "type": tarfile.LNKTYPE})], [announced("a", b"")]),
        ([plain("a", b"", **DEVICE)], [announced("a", b"")]),
        ([plain("a", b"", type=tarfile.FIFOTYPE)], [announced("a", b"")]),
        ([plain("a")], [{"path": "a", "bytes": -1, "sha256": "0" * 64}]),
        ([plain("a")], [{"path": "a", "bytes": 1 << 60, "sha256": "0" * 64}]),
        ([plain("a")], [{"path": 7, "bytes": 1, "sha256": "0" * 64}]),
        ([plain("a")], [{"path": "a", "bytes": True, "sha256": "0" * 64}]),
        ([plain("a")], [{"path": "a", "bytes": 1, "sha256": "no hash"}]),
        ([plain("a")], ["a"]),
    ],
)
async def test_an_archive_that_is_not_as_it_should_be_is_refused(
    scene: Scene, members: list[tuple[tarfile.TarInfo, bytes]], files: list[Any]
) -> None:
    scene.answer(announcing(archive_of(members), files))
    with pytest.raises(TransferError):
        await scene.collect()
    assert found_in(scene.destination) == {}
    assert {path.name for path in scene.destination.parent.iterdir()} <= {
        "kubeconfig",
        "shared",
        "here",
    }


@pytest.mark.parametrize("archive", [b"", b"no gzip", gzip.compress(b"no tar" * 200)])
async def test_a_damaged_archive_is_told(scene: Scene, archive: bytes) -> None:
    scene.answer(announcing(archive, [announced("a")]))
    with pytest.raises(TransferError):
        await scene.collect()


async def test_an_archive_that_unpacks_to_more_than_announced_is_refused(scene: Scene) -> None:
    headers = {"comment": "x" * 50_000_000}
    bomb = archive_of([plain("a", pax_headers=headers)])
    assert len(bomb) < 100_000
    scene.answer(announcing(bomb, [announced("a")]))
    with pytest.raises(TransferError, match="more than was announced"):
        await scene.collect()


async def test_more_bytes_than_announced_are_refused(scene: Scene) -> None:
    archive = archive_of([plain("a")])
    honest = announcing(archive, [announced("a")])

    async def execute(command: Sequence[str]) -> Frames:
        if "send" in command:
            yield 1, archive
            yield 1, b"more"
        async for frame in honest(command):
            yield frame

    scene.answer(execute)
    with pytest.raises(TransferError, match="more than it had announced"):
        await scene.collect()


@pytest.mark.parametrize("word", [b"", b"no json", b"[]", b'{"files": 3}', b"{}"])
async def test_a_list_that_cannot_be_read_is_told(scene: Scene, word: bytes) -> None:
    scene.answer(answering(stdout=word))
    with pytest.raises(TransferError, match="cannot be read"):
        await scene.collect()


@settings(max_examples=25, deadline=None)
@given(
    content=st.binary(max_size=20_000),
    names=st.lists(st.sampled_from(["a", "b/c", "b/d e", "\u00e9"]), unique=True),
    cuts=st.lists(st.integers(0, 25_000), max_size=8),
    chunk=st.integers(1, 9000),
)
def test_wherever_it_is_cut_the_whole_arrives(
    content: bytes, names: list[str], cuts: list[int], chunk: int
) -> None:
    # Incompressible, so that the cuts lie in the archive.
    files = {name: content + random.Random(name).randbytes(5000) for name in names}
    assert asyncio.run(_collected_over_cuts(files, cuts, max(chunk, 200))) == files


async def _collected_over_cuts(
    files: dict[str, bytes], cuts: Sequence[int], chunk: int
) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        async with (
            StandIn() as stand_in,
            Proxy(*server_of(stand_in.kubeconfig(Path(folder, "direct")))) as proxy,
        ):
            through = kubeconfig_through(Path(folder, "direct"), proxy, Path(folder, "through"))
            access = Access(str(through), "stand-in", "default")
            async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
                scene = await set_up(stand_in, Path(folder), clock, cluster)
                put_results(scene.shared, files)
                scene.answer(keeper_here(scene.shared, chunk))
                proxy.cut_after(cuts)
                # The connection that made the pod has no budget.
                proxy.cut()
                await scene.collect()
            return found_in(scene.destination)


IMAGE = os.environ.get("GPUBENCH_TEST_PYTHON_IMAGE", "")
"""With Python 3.11 or newer; any registry that the cluster pulls from."""
MAKE_RESULTS = """
import os
os.makedirs("/results/run/raw")
for number in range(10):
    open(f"/results/run/raw/{number}", "wb").write(os.urandom(2_000_000))
"""


@pytest.mark.cluster
@pytest.mark.skipif(not IMAGE, reason="GPUBENCH_TEST_PYTHON_IMAGE names no image with Python")
async def test_20_mb_come_from_a_real_pod_over_cut_connections(
    real_cluster_access: Access, real_namespace: str, tmp_path: Path
) -> None:
    from tests.core.kube.keeper_pod import collected_over_cuts

    collected, contents = await collected_over_cuts(
        real_cluster_access, real_namespace, IMAGE, MAKE_RESULTS, tmp_path
    )
    assert collected.bytes == 20_000_000
    assert {len(content) for content in contents.values()} == {2_000_000}
