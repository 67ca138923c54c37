"""A run on a Kubernetes cluster as its journal tells it, up to moments worth looking at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmark.plan import Scenario
from benchmark.progress import MeasurementStarted, Prepared, Progressed, Started
from core.run import events
from core.run.events import AnyRecord, PartChanged, RunState, Stage
from core.run.journal import Journal, Run
from core.run.liveness import identify, this_host
from core.run.log import LOG_FILE
from tests.core.runs import small_plan

RUN = "20261122-224500-kubernetes-xen-4b1d"
JOB = "gpu-benchmark-xen"
POD = "gpu-benchmark-xen-7k2pq"
BEGUN = datetime.fromisoformat("2026-11-22T22:45:00+00:00")
PENDING = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
SETTINGS = {
    "target": "kubernetes",
    "leg": "xen",
    "context": "gpu-cluster",
    "kubeconfig": "/home/me/.kube/config",
    "namespace": "benchmarks",
}
STAGES = (
    *(Stage.PREFLIGHT, Stage.DRIVERS, Stage.IMAGE),
    *(Stage.JOB, Stage.RESULTS, Stage.TEARDOWN),
)
_IMAGE = "registry.example:5000/gpubench:1f0c"
_PLACE = "context gpu-cluster, namespace benchmarks"
_MB = 1_000_000.0

Moment = tuple[float, Stage | None, AnyRecord]
"""Seconds from the run's beginning, the stage, and what happened."""


def part(kind: str, name: str, state: Any, detail: str, *megabytes: float) -> PartChanged:
    """A part; with done and total it counts bytes."""
    done, total = (value * _MB for value in megabytes) if megabytes else (None, None)
    unit = "bytes" if megabytes else ""
    return PartChanged(
        kind=kind, name=name, state=state, detail=detail, done=done, total=total, unit=unit
    )


def _begun() -> list[Moment]:
    command = "gpubench-tui --no-ui run --target kubernetes --leg xen --context gpu-cluster"
    created = events.RunCreated(
        target="kubernetes",
        leg="xen",
        profile="quick",
        folder="@FOLDER@",
        stages=STAGES,
        command=command,
        settings=SETTINGS,
    )
    return [
        (0, None, created),
        (1, None, events.RunStarted(pid=1, version="0.1.0")),
        (1, Stage.PREFLIGHT, events.StageStarted()),
        (2, Stage.PREFLIGHT, events.StageFinished(seconds=1.2, summary="9 checks passed")),
    ]


def _drivers_there() -> list[Moment]:
    ready = "driver 580.82.07, CUDA 13.0"
    return [
        (2, Stage.DRIVERS, events.StageStarted()),
        (3, Stage.DRIVERS, part("node", "gpu-node-1", "ready", ready)),
        (4, Stage.DRIVERS, events.StageFinished(seconds=2, summary=f"1 GPU: {ready}")),
    ]


def _image_there() -> list[Moment]:
    return [
        (4, Stage.IMAGE, events.StageStarted()),
        (9, Stage.IMAGE, events.StageFinished(seconds=5, summary="it is in the registry already")),
    ]


def _job_created() -> list[Moment]:
    delete = f"kubectl delete job {JOB} --namespace benchmarks --context gpu-cluster"
    job = events.ResourceIntended(kind="job", name=JOB, location=_PLACE, delete_command=delete)
    return [
        (9, Stage.JOB, events.StageStarted()),
        (9, Stage.JOB, job),
        (10, Stage.JOB, events.ResourceCreated(kind="job", name=JOB, identity="uid-1")),
        (10, Stage.JOB, part("job", JOB, "working", "created")),
    ]


def image_pushing() -> list[Moment]:
    """Five layers on their way, each at another point."""
    return [
        *_begun(),
        *_drivers_there(),
        (4, Stage.IMAGE, events.StageStarted()),
        (5, Stage.IMAGE, part("layer", "0a1b2c3d4e5f", "ready", "there already")),
        (6, Stage.IMAGE, part("layer", "1b2c3d4e5f60", "ready", "pushed", 31, 31)),
        (7, Stage.IMAGE, part("layer", "2c3d4e5f6071", "working", "pushing", 412.3, 2810)),
        (8, Stage.IMAGE, part("layer", "3d4e5f607182", "working", "pushing", 3.2, 9.1)),
        (8, Stage.IMAGE, part("layer", "4e5f60718293", "waiting", "for its turn")),
        (
            9,
            Stage.IMAGE,
            events.StageProgressed(
                done=446.5 * _MB, total=2850.1 * _MB, unit="bytes", detail=f"pushing {_IMAGE}"
            ),
        ),
    ]


def many_layers(count: int) -> list[Moment]:
    """More layers than any screen has lines for, only the last of them on its way."""
    ready = [
        (5.0, Stage.IMAGE, part("layer", f"layer-{number}", "ready", "pushed", 8, 8))
        for number in range(1, count)
    ]
    last = part("layer", f"layer-{count}", "working", "pushing", 2, 8)
    return [
        *_begun(),
        *_drivers_there(),
        (4, Stage.IMAGE, events.StageStarted()),
        *ready,
        (6, Stage.IMAGE, last),
    ]


def drivers_rolling_out() -> list[Moment]:
    """Three nodes: one is ready, one at work, and one is refused the driver."""
    refused = (
        "the installer cannot fetch the driver: storage.googleapis.com answered 403 Forbidden "
        "for nvidia-drivers-us-public"
    )
    return [
        *_begun(),
        (2, Stage.DRIVERS, events.StageStarted()),
        (3, Stage.DRIVERS, part("daemonset", "nvidia-driver-installer", "working", "1 of 3 ready")),
        (4, Stage.DRIVERS, part("node", "gpu-node-1", "ready", "driver 580.82.07, CUDA 13.0")),
        (5, Stage.DRIVERS, part("node", "gpu-node-2", "working", "the installer runs")),
        (6, Stage.DRIVERS, part("node", "gpu-node-3", "failed", refused)),
        (
            7,
            Stage.DRIVERS,
            events.StageProgressed(done=1, total=3, unit="nodes", detail="have a GPU"),
        ),
    ]


def pod_pending() -> list[Moment]:
    """The Job is there, and no node has the GPU that its pod asks for."""
    return [
        *_begun(),
        *_drivers_there(),
        *_image_there(),
        *_job_created(),
        (11, Stage.JOB, part("pod", POD, "waiting", PENDING)),
    ]


def job_running() -> list[Moment]:
    """The pod measures."""
    prepared = Prepared(
        device="cuda:0",
        device_name="Tesla T4",
        configuration="fp16, channels_last, graph",
        weights="random",
        hypervisor="xen-hvm",
        hypervisor_reason="/sys/hypervisor/type says xen.",
    )
    progressed = Progressed(
        name="offline-b8",
        block=1,
        phase="measuring",
        elapsed_s=12,
        samples_done=800,
        samples_total=2000,
        samples_per_s=650.5,
        latest_batch_ms=12.2,
        remaining_s=95,
    )
    measured = MeasurementStarted(
        name="offline-b8", scenario=Scenario.OFFLINE, batch_size=8, block=1, position=2, total=4
    )
    return [
        *pod_pending(),
        (20, Stage.JOB, part("pod", POD, "working", "running on gpu-node-1")),
        (20, Stage.JOB, part("job", JOB, "working", "1 pod is active")),
        (21, Stage.JOB, Started(plan=small_plan(), measurements=4)),
        (22, Stage.JOB, prepared),
        (23, Stage.JOB, measured),
        (35, Stage.JOB, progressed),
    ]


def pod_killed() -> list[Moment]:
    """The kernel killed the container for its memory."""
    sentence = f"Pod {POD} was OOMKilled: it used more than its limit of 2Gi."
    remedy = "Give it more with --memory."
    return [
        *job_running(),
        (40, Stage.JOB, part("pod", POD, "failed", "OOMKilled, exit code 137")),
        (40, Stage.JOB, part("job", JOB, "failed", "BackoffLimitExceeded")),
        (41, Stage.JOB, events.StageFailed(seconds=31, sentence=sentence, remedy=remedy)),
        (41, None, _failed(sentence, remedy)),
    ]


def _measured() -> list[Moment]:
    return [
        *job_running(),
        (90, Stage.JOB, part("job", JOB, "ready", "complete")),
        (90, Stage.JOB, events.StageFinished(seconds=81, summary="4 measurements, 4 good")),
        (90, Stage.RESULTS, events.StageStarted()),
    ]


def results_collecting() -> list[Moment]:
    """The pod holds the results, and half of them are here."""
    return [
        *_measured(),
        (
            91,
            Stage.RESULTS,
            events.StageProgressed(
                done=11.2 * _MB, total=20.4 * _MB, unit="bytes", detail=f"from pod {POD}"
            ),
        ),
    ]


def collection_failed() -> list[Moment]:
    """They cannot be had now; the pod keeps them for a while."""
    sentence = f"The results of pod {POD} could not be collected: the connection broke 5 times."
    remedy = f"The pod keeps them for 30 min: gpubench-tui --no-ui collect {RUN}"
    return [
        *results_collecting(),
        (95, Stage.RESULTS, events.StageFailed(seconds=5, sentence=sentence, remedy=remedy)),
        (95, None, _failed(sentence, remedy)),
    ]


def torn_down() -> list[Moment]:
    """Done, and everything that it had created is proved gone."""
    proof = "the API server lists no job with the label gpubench/run"
    stored = events.ResultsStored(
        result_file="@FOLDER@/benchmark_results.json", latest="results/xen", good=4, void=0
    )
    done = events.RunFinished(
        state=RunState.DONE, exit_code=0, seconds=99, sentence="4 measurements, all good."
    )
    return [
        *results_collecting(),
        (92, Stage.RESULTS, stored),
        (92, Stage.RESULTS, events.StageFinished(seconds=2, summary="20.4 MB, hash as sent")),
        (93, Stage.TEARDOWN, events.StageStarted()),
        (93, Stage.TEARDOWN, events.TeardownStarted(resources=(f"job {JOB}",))),
        (98, Stage.TEARDOWN, events.ResourceDeleted(kind="job", name=JOB, proof=proof)),
        (98, Stage.TEARDOWN, events.TeardownFinished(left=(), seconds=5)),
        (98, Stage.TEARDOWN, events.StageFinished(seconds=5, summary="nothing is left")),
        (99, None, done),
    ]


def _failed(sentence: str, remedy: str) -> events.RunFinished:
    return events.RunFinished(
        state=RunState.FAILED, exit_code=1, seconds=90, sentence=sentence, remedy=remedy
    )


def write_down(
    state: Path,
    results: Path,
    moment: Callable[[], list[Moment]],
    *,
    run_id: str = RUN,
    alive: bool = True,
) -> Run:
    """Write a run down up to a moment, with its log. One that goes on lives in this process, unless
    it is not ``alive``.
    """
    folder = results / "runs" / run_id
    folder.mkdir(parents=True)
    _day, _time, target, leg, _random = run_id.split("-")
    run = Run(
        id=run_id,
        target=target,
        leg=leg,
        profile="quick",
        folder=folder,
        state=RunState.CREATED,
        created_at=BEGUN,
        finished_at=None,
        exit_code=None,
        host=this_host(),
        process=None,
    )
    told = moment()
    with (folder / LOG_FILE).open("w") as log:
        log.writelines(_log_line(*entry) for entry in told if entry[1] is not None)
    with Journal(state) as journal:
        journal.create_run(run, small_plan())
        append(journal, told, str(folder), run_id)
        if not any(isinstance(record, events.RunFinished) for *_, record in told):
            identity = identify()
            assert identity is not None
            gone = replace(identity, started=identity.started + 1)
            journal.set_process(run.id, identity if alive else gone)
    return run


def append(journal: Journal, told: list[Moment], folder: str = "", run_id: str = RUN) -> None:
    """Write more of the run down."""
    for seconds, stage, record in told:
        if isinstance(record, events.RunCreated):
            record = record.model_copy(update={"folder": folder})
        journal.append(run_id, record, time=BEGUN + timedelta(seconds=seconds), stage=stage)


def _log_line(seconds: float, stage: Stage | None, record: AnyRecord) -> str:
    source = f"pod {POD}" if stage is Stage.JOB else stage
    time = (BEGUN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    return f"{time} [{source}] {record.event.replace('_', ' ')}\n"
