"""The kubernetes target, stage by stage, against the stand-in of the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import OutputError, ResultFileError
from benchmark.results import read_result
from core.errors import SettingsError, StageError, WorkError
from core.kube.cluster import JsonObject
from core.kube.objects import run_selector
from core.run.events import (
    LogStreamInterrupted,
    LogStreamResumed,
    ResourceCreated,
    ResourceDeleted,
    ResourceIntended,
    ResultsStored,
    RunState,
    Stage,
    StageChecked,
)
from core.run.journal import Journal
from core.run.process import utc_now
from core.run.view import ResourceView, RunView, StageState
from core.settings import Settings
from core.targets.kubernetes.collecting import Collecting
from core.targets.kubernetes.deployment import Deployment, placement_of, resolve
from core.targets.kubernetes.job import MANIFEST_FILE
from core.targets.kubernetes.manifest import manifest
from core.targets.kubernetes.spreading import one_for_each
from core.targets.kubernetes.stages import unwinding
from tests.core.kube.stand_in import StandIn
from tests.core.runs import small_plan
from tests.core.targets.kubernetes_world import DONE, RUN, World, kubelet

JOBS = "/apis/batch/v1/namespaces/default/jobs"
_CONTAINER = {"name": "main", "image": "somebody.test/else:1"}
SOMEBODYS_JOB: JsonObject = {
    **{"apiVersion": "batch/v1", "kind": "Job"},
    "metadata": {"name": "gpu-benchmark-baseline"},
    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [_CONTAINER]}}},
}


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with StandIn() as server:
        server.add_node(gpus=1)
        yield server


def settings_for(stand_in: StandIn, folder: Path, **values: Any) -> Settings:
    access = stand_in.access(folder)
    return Settings(
        target="kubernetes",
        kubeconfig=access.kubeconfig,
        context=access.context,
        namespace="default",
        image="registry.test/benchmark",
        **values,
    )


@pytest.fixture
def world(stand_in: StandIn, tmp_path: Path) -> World:
    settings = settings_for(stand_in, tmp_path)
    return World(stand_in, stand_in.access(tmp_path), tmp_path, settings)


@pytest.fixture
def on_cpu(stand_in: StandIn, tmp_path: Path) -> World:
    settings = settings_for(stand_in, tmp_path, gpus=0)
    return World(stand_in, stand_in.access(tmp_path), tmp_path, settings)


def job_resource(world: World) -> ResourceView:
    intended = next(each for each in world.records(ResourceIntended) if each.kind == "job")
    created = [each for each in world.records(ResourceCreated) if each.kind == "job"]
    return ResourceView(intended, created[0].identity if created else "")


async def test_a_run_goes_from_preflight_to_checked_results(world: World) -> None:
    async with kubelet(world):
        running = asyncio.create_task(world.run())
        pod = await world.benchmark_pod()
        await world.measured(pod)
        pod.log("a line of the benchmark", DONE.model_dump_json(), container="benchmark")
        pod.finish(container="benchmark")
        await running
    stored = world.records(ResultsStored)[0]
    assert len(read_result(Path(stored.result_file)).benchmarks) == stored.good + stored.void
    assert (world.folder / "results" / "baseline").resolve() == world.run_folder.resolve()
    smoke = next(e for e in world.records(StageChecked) if e.name == "nvidia-smi in a pod")
    assert smoke.detail == "STAND-IN GPU (test), driver 570.00.01, CUDA 12.8"
    said = [text for source, text, time in world.lines if source == "benchmark" and time]
    assert said == ["a line of the benchmark"]
    assert (world.pod_results / ".release").exists()
    assert await world.torn_down(job_resource(world)) != [None]
    assert world.stand_in.controllers.pods == {}


async def test_the_job_is_what_was_asked_for_and_restricted(world: World) -> None:
    async with kubelet(world):
        running = asyncio.create_task(world.run())
        pod = await world.benchmark_pod()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    spec: JsonObject = pod.document["spec"]
    job = next(each for each in world.stand_in.asked if each.path == JOBS and each.body).body
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] > 0
    assert job["spec"]["ttlSecondsAfterFinished"] == 1800
    assert job["metadata"]["labels"]["gpubench-tui/run"] == RUN
    assert int(job["metadata"]["labels"]["gpubench-tui/expires"]) > 1_700_000_000
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["allowPrivilegeEscalation"] is False
    benchmark, keeper = spec["containers"]
    assert benchmark["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert "nvidia.com/gpu" not in keeper["resources"]["limits"]
    assert (world.run_folder / MANIFEST_FILE).read_text().startswith("apiVersion: batch/v1")


async def test_why_the_pod_waits_is_told_and_then_that_it_runs(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    pod.unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    await on_cpu.said("pod", "waiting", "nvidia.com/gpu")
    await on_cpu.measured(pod)
    await on_cpu.said("pod", "working", "runs on node gpu-node-1")
    pod.log(DONE.model_dump_json(), container="benchmark")
    pod.finish(container="benchmark")
    await running


async def test_what_no_waiting_mends_ends_the_run_at_once(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    pod.schedule()
    pod.wait_for("InvalidImageName", "couldn't parse image reference", "benchmark")
    with pytest.raises(StageError, match="image"):
        await running
    assert len(await on_cpu.torn_down(job_resource(on_cpu))) == 1


async def test_out_of_memory_is_named_with_the_last_lines(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod, results=False)
    await on_cpu.said("pod", "working", "runs")
    pod.log("loading the model", "allocating", container="benchmark")
    pod.oom("benchmark")
    with pytest.raises(StageError, match="memory") as caught:
        await running
    assert "loading the model | allocating" in caught.value.sentence


async def test_an_evicted_pod_is_named(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod, results=False)
    await on_cpu.said("pod", "working", "runs")
    pod.evict()
    with pytest.raises(StageError, match="evicted"):
        await running


async def test_a_stopped_run_keeps_what_had_finished(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod)
    await on_cpu.said("pod", "working", "runs")
    # The keeper lives through the grace period.
    on_cpu.stand_in.controllers.hold_deletions = True
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert read_result(on_cpu.run_folder / "benchmark_results.json").benchmarks


async def test_every_line_comes_once_however_often_the_stream_breaks(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod)
    await on_cpu.said("pod", "working", "runs")
    wanted = []
    for number in range(200):
        wanted.append(f"line {number}")
        pod.log(wanted[-1], container="benchmark")
        if number % 50 == 25:
            await _until(lambda: any(text == wanted[-1] for _s, text, _t in on_cpu.lines))
            on_cpu.stand_in.streams.cut()
    pod.log(DONE.model_dump_json(), container="benchmark")
    pod.finish(container="benchmark")
    await running
    assert [text for source, text, _time in on_cpu.lines if source == "benchmark"] == wanted
    breaks = on_cpu.records(LogStreamInterrupted)
    assert len(breaks) == len(on_cpu.records(LogStreamResumed)) >= 1


async def _until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


async def test_results_that_cannot_be_fetched_stay_and_the_run_says_how_to_retry(
    on_cpu: World,
) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod)
    on_cpu.stand_in.fail(403, path="/exec", times=1000)
    pod.log(DONE.model_dump_json(), container="benchmark")
    pod.finish(container="benchmark")
    with pytest.raises(StageError, match="could not be collected") as caught:
        await running
    assert caught.value.remedy == f"gpubench-tui --no-ui collect {RUN} tries again."
    assert on_cpu.deployment.holding
    assert on_cpu.records(ResultsStored) == []


async def test_a_fault_of_this_machine_keeps_no_pod_once_the_results_are_here(
    on_cpu: World,
) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod)
    await on_cpu.said("pod", "working", "runs")
    (on_cpu.folder / "results" / "baseline").mkdir()
    pod.log(DONE.model_dump_json(), container="benchmark")
    pod.finish(container="benchmark")
    with pytest.raises(OutputError, match="is in the way"):
        await running
    assert not on_cpu.deployment.holding
    assert read_result(on_cpu.run_folder / "benchmark_results.json").benchmarks


async def test_a_folder_where_the_results_go_is_found_before_anything_is_created(
    on_cpu: World,
) -> None:
    (on_cpu.folder / "results" / "baseline").mkdir()
    with pytest.raises(StageError, match=r"results folder: .* is in the way"):
        await on_cpu.run()


def fresh(world: World) -> Deployment:
    """As another process would have it."""
    return Deployment(world.settings, world.access, world.connect)


async def test_what_the_pod_still_holds_is_fetched_later(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod)
    await on_cpu.said("pod", "working", "runs")
    on_cpu.stand_in.fail(403, path="/exec", times=1)
    pod.log(DONE.model_dump_json(), container="benchmark")
    pod.finish(container="benchmark")
    with pytest.raises(StageError, match="could not be collected"):
        await running
    with Journal(on_cpu.folder / "state") as journal:
        run = on_cpu.written_down(journal)
        later = Collecting(journal, run, fresh(on_cpu), utc_now, lambda _line, _event: None)
        await later.execute()
        view = RunView.of(journal.events(run.id))
    assert view.stages[Stage.RESULTS].state == StageState.DONE
    assert read_result(Path(view.result_file)).benchmarks


async def test_a_pod_that_is_gone_has_nothing_to_fetch(on_cpu: World) -> None:
    with Journal(on_cpu.folder / "state") as journal:
        run = on_cpu.written_down(journal)
        later = Collecting(journal, run, fresh(on_cpu), utc_now, lambda _line, _event: None)
        with pytest.raises(WorkError, match="no pod any more"):
            await later.execute()


async def test_a_name_that_is_taken_is_said_before_anything_is_created(on_cpu: World) -> None:
    async with on_cpu.connect(on_cpu.access) as cluster:
        await cluster.request("POST", JOBS, body=SOMEBODYS_JOB)
    with pytest.raises(StageError, match="is there already") as caught:
        await on_cpu.run()
    assert caught.value.exit_code == 2
    assert on_cpu.records(ResourceIntended) == []


async def test_teardown_never_takes_another_runs_job_of_the_same_name(on_cpu: World) -> None:
    async with on_cpu.connect(on_cpu.access) as cluster:
        await cluster.request("POST", JOBS, body=SOMEBODYS_JOB)
        ours = ResourceView(
            ResourceIntended(kind="job", name="gpu-benchmark-baseline", delete_command="")
        )
        proofs = await on_cpu.torn_down(ours)
        assert run_selector(RUN) in str(proofs[0])
        assert (await cluster.request("GET", f"{JOBS}/gpu-benchmark-baseline"))["metadata"]


async def test_a_killed_run_is_removed_although_its_creation_was_never_noted(
    on_cpu: World,
) -> None:
    running = asyncio.create_task(on_cpu.run())
    await on_cpu.benchmark_pod()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    unnoted = ResourceView(job_resource(on_cpu).intended)
    assert None not in await on_cpu.torn_down(unnoted)
    assert on_cpu.stand_in.controllers.pods == {}


async def test_a_smoke_pod_has_a_proof_of_its_end(world: World) -> None:
    async with kubelet(world):
        running = asyncio.create_task(world.run())
        await world.benchmark_pod()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    deleted = world.records(ResourceDeleted)
    assert [(each.kind, each.name) for each in deleted] == [
        ("pod", "gpu-benchmark-baseline-nvidia-smi")
    ]


async def test_each_value_of_a_label_gives_settings_of_its_own(
    stand_in: StandIn, tmp_path: Path
) -> None:
    for name, kind in (("a", "nvidia-tesla-t4"), ("b", "nvidia-l4"), ("c", "nvidia-l4")):
        node = stand_in.add_node(name, gpus=1)
        stand_in.change("nodes", node["metadata"]["name"], {"metadata": {"labels": {"gpu": kind}}})
    found = await one_for_each(settings_for(stand_in, tmp_path), "gpu")
    assert [(each.node_selector, each.name_suffix) for each in found] == [
        ("gpu=nvidia-l4", "nvidia-l4"),
        ("gpu=nvidia-tesla-t4", "nvidia-tesla-t4"),
    ]


async def test_a_label_that_no_node_has_is_refused(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no-such-label"):
        await one_for_each(settings_for(stand_in, tmp_path), "no-such-label")


async def test_a_dry_run_shows_the_job_and_asks_nobody(stand_in: StandIn, tmp_path: Path) -> None:
    text = manifest(settings_for(stand_in, tmp_path, runtime_class="xen"), small_plan())
    assert "runtimeClassName: xen" in text
    assert "name: gpu-benchmark-baseline" in text
    assert stand_in.asked == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("node_selector", "no-equals"), ("tolerations", "key:Sometimes"), ("tolerations", "=value")],
)
def test_a_selector_or_toleration_that_is_none_is_refused(field: str, value: str) -> None:
    settings = Settings.model_validate({"target": "kubernetes", field: value})
    with pytest.raises(SettingsError, match=field.replace("_", "-")):
        placement_of(settings)


def test_a_target_on_a_cluster_needs_an_image() -> None:
    with pytest.raises(SettingsError, match="image"):
        resolve(Settings(target="kubernetes"), {})


async def test_a_pod_of_an_earlier_job_of_the_same_name_is_not_taken_for_ours(
    on_cpu: World,
) -> None:
    stale: JsonObject = {
        **{"apiVersion": "v1", "kind": "Pod"},
        "metadata": {
            "name": "gpu-benchmark-baseline-stale",
            "labels": {"job-name": "gpu-benchmark-baseline", "gpubench-tui/run": "another"},
        },
        "spec": {"restartPolicy": "Never", "containers": [{"name": "benchmark", "image": "x"}]},
    }
    async with on_cpu.connect(on_cpu.access) as cluster:
        await cluster.request("POST", "/api/v1/namespaces/default/pods", body=stale)
    on_cpu.stand_in.pod("gpu-benchmark-baseline-stale").start()
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.pod(lambda name: "stale" not in name)
    await on_cpu.measured(pod)
    await on_cpu.said("pod", "working", "runs")
    assert on_cpu.deployment.pod == pod.name
    pod.log(DONE.model_dump_json(), container="benchmark")
    pod.finish(container="benchmark")
    await running


async def test_a_container_that_ended_before_it_was_seen_to_run_is_judged_at_once(
    on_cpu: World,
) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    pod.schedule()
    pod.start("keeper")
    pod.finish(128, reason="StartError", message="exec: not found", container="benchmark")
    async with asyncio.timeout(20):
        with pytest.raises(StageError):
            await running


async def test_results_of_another_run_are_refused(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod)
    file = on_cpu.pod_results / "run" / "benchmark_results.json"
    file.write_text(file.read_text().replace(RUN, "20260101-000000-local-baseline-0000"))
    pod.log(DONE.model_dump_json(), container="benchmark")
    pod.finish(container="benchmark")
    with pytest.raises(ResultFileError, match="was edited after it was written"):
        await running
    assert on_cpu.records(ResultsStored) == []


async def test_a_stop_while_results_are_fetched_waits_for_them(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod)
    await on_cpu.said("pod", "working", "runs")
    held = asyncio.Event()
    on_cpu.stand_in.fail(path="/exec", until=held)
    pod.log(DONE.model_dump_json(), container="benchmark")
    pod.finish(container="benchmark")
    await on_cpu.said("pod", "ready", "its results wait")
    await _until(lambda: any(each.path.endswith("/exec") for each in on_cpu.stand_in.asked))
    running.cancel()
    held.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert read_result(on_cpu.run_folder / "benchmark_results.json").benchmarks
    assert not on_cpu.deployment.holding


async def test_a_job_that_is_deleted_before_it_has_a_pod_ends_the_run(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    async with on_cpu.connect(on_cpu.access) as cluster:
        await cluster.request("DELETE", f"{JOBS}/gpu-benchmark-baseline")
    pod.gone()
    async with asyncio.timeout(20):
        with pytest.raises(StageError):
            await running


async def test_a_pod_that_vanishes_while_its_log_is_read_is_said_to_be_gone(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod)
    await on_cpu.said("pod", "working", "runs")
    pod.gone()
    async with asyncio.timeout(20):
        with pytest.raises(StageError, match="is gone") as caught:
            await running
    assert "rerun" in caught.value.remedy


async def test_a_failed_benchmark_that_is_kept_keeps_its_pod(
    stand_in: StandIn, tmp_path: Path
) -> None:
    settings = settings_for(stand_in, tmp_path, gpus=0, keep="failed")
    world = World(stand_in, stand_in.access(tmp_path), tmp_path, settings)
    running = asyncio.create_task(world.run())
    pod = await world.benchmark_pod()
    await world.measured(pod)
    pod.log("it goes wrong", container="benchmark")
    pod.finish(3, container="benchmark")
    with pytest.raises(StageError):
        await running
    assert "deletionTimestamp" not in pod.document["metadata"]
    assert unwinding(world.deployment, RUN)(RunState.FAILED) is None
    assert unwinding(world.deployment, RUN)(RunState.INTERRUPTED) is not None


async def test_a_pod_that_replaces_a_deleted_one_is_not_taken_for_it(on_cpu: World) -> None:
    running = asyncio.create_task(on_cpu.run())
    pod = await on_cpu.benchmark_pod()
    await on_cpu.measured(pod, results=False)
    await on_cpu.said("pod", "working", "runs")
    on_cpu.stand_in.controllers.hold_deletions = True
    # A real Job controller starts another one while the first still ends.
    replacing: JsonObject = {
        **{"apiVersion": "v1", "kind": "Pod"},
        "metadata": {"name": "replacing", "labels": pod.document["metadata"]["labels"]},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "benchmark", "image": "x"}]},
    }
    pods = "/api/v1/namespaces/default/pods"
    async with on_cpu.connect(on_cpu.access) as cluster:
        await cluster.request("POST", pods, body=replacing)
        await cluster.request("DELETE", f"{pods}/{pod.name}")
    on_cpu.stand_in.pod("replacing").start()
    on_cpu.stand_in.pod("replacing").finish()
    with pytest.raises(StageError, match="was deleted"):
        await running
