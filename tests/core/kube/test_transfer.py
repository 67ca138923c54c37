from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import keeper
from benchmark.errors import OutputError
from core.kube.cluster import Access, Cluster
from core.kube.errors import DeniedError
from core.kube.transfer import PodGoneError, TransferError, release
from tests.core.kube.clocks import Clock
from tests.core.kube.proxy import Proxy, kubeconfig_through, server_of
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_pods import Frames, answering, run_locally
from tests.core.kube.transfer_scene import Scene, found_in, keeper_here, put_results, set_up
from tests.core.runs import ROOT
from tests.pushed_image import python_image

FILES = {
    "benchmark_results.json": b'{"benchmarks": []}',
    "raw/offline/latencies.bin": random.Random(1).randbytes(300_000),
    "raw/server/mlperf_log_detail.txt": b"line\n" * 5000,
    "empty": b"",
    "name with spaces and \u00e9": b"1",
}


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


async def test_patience_begins_anew_with_every_byte(scene: Scene) -> None:
    put_results(scene.shared, {"large": random.Random(3).randbytes(1_000_000)})
    whole = keeper_here(scene.shared, chunk=50_000)

    async def execute(command: Sequence[str]) -> Frames:
        async for frame in whole(command):
            yield frame
            if "send" in command and not isinstance(frame, int):
                scene.stand_in.streams.cut()
                return

    scene.answer(execute)
    await scene.collect(patience_s=1.0)
    assert len(scene.sent_from()) >= 20
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


@pytest.mark.parametrize("action", ["bundle", "send"])
async def test_a_command_that_falls_silent_is_asked_again(scene: Scene, action: str) -> None:
    put_results(scene.shared, FILES)
    whole = keeper_here(scene.shared, chunk=50_000)
    silent = [action]

    async def execute(command: Sequence[str]) -> Frames:
        async for frame in whole(command):
            if silent and command[3] == silent[0] and isinstance(frame, int):
                silent.clear()
                await asyncio.Event().wait()
            yield frame
            if silent and command[3] == silent[0] == "send":
                silent.clear()
                await asyncio.Event().wait()

    scene.answer(execute)
    async with asyncio.timeout(20):
        await scene.collect(patience_s=0.4)
    assert found_in(scene.destination) == FILES
    if action == "send":
        assert scene.sent_from() == [0, 50_000]


async def test_silence_without_end_ends_the_patience(scene: Scene) -> None:
    put_results(scene.shared, FILES)

    async def execute(_command: Sequence[str]) -> Frames:
        await asyncio.Event().wait()
        yield 0

    scene.answer(execute)
    async with asyncio.timeout(20):
        with pytest.raises(TransferError, match="nothing came for") as caught:
            await scene.collect(patience_s=0.2)
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


MAKE_RESULTS = """
import os
os.makedirs("/results/run/raw")
for number in range(10):
    open(f"/results/run/raw/{number}", "wb").write(os.urandom(2_000_000))
"""


@pytest.mark.cluster
# The image may have to be made first.
@pytest.mark.timeout(1500)
async def test_20_mb_come_from_a_real_pod_over_cut_connections(
    real_cluster_access: Access, real_namespace: str, tmp_path: Path
) -> None:
    from tests.core.kube.keeper_pod import collected_over_cuts

    collected, contents = await collected_over_cuts(
        real_cluster_access, real_namespace, python_image(), MAKE_RESULTS, tmp_path
    )
    assert collected.bytes == 20_000_000
    assert {len(content) for content in contents.values()} == {2_000_000}
