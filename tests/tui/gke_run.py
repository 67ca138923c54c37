"""A run on a cluster that it creates, as its journal tells it, up to moments worth looking at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from benchmark.plan import Scenario
from benchmark.progress import MeasurementStarted, Prepared, Progressed, Started
from core.run import events
from core.run.cost_events import (
    BilledItem,
    BillingEnded,
    BillingStarted,
    CostMetered,
    CostWarned,
    ForecastStep,
    RunPlanned,
)
from core.run.events import PartChanged, RunState, Stage
from tests.core.runs import small_plan
from tests.tui.kubernetes_run import BEGUN, Moment, part

RUN = "20261122-224500-gke-baseline-9c2e"
PROJECT = "example-project"
CLUSTER = "gpu-benchmark-cluster"
POOL = "gpu-us-central1-a"
OTHER_POOL = "gpu-us-central1-c"
OTHER_NODE = "gke-gpu-benchmark-cluster-gpu-us-central1-c-51b08e7a-m2vd"
SYSTEM_NODE = "gke-gpu-benchmark-cluster-system-8a1b2c3d-k2lp"
POD = "gpu-benchmark-baseline-q8xw2"
STOCKOUT = (
    "us-central1-a has no hardware for 1 x nvidia-tesla-t4 now (GCE_STOCKOUT); Google names "
    "us-central1-c, us-central1-f."
)
PRICES = "Cloud Billing Catalog, 2026-11-22"
SHIPPED = "shipped prices as of 2026-09-27; the Cloud Billing Catalog cannot be read"
BUDGET = 5.0
SETTINGS = {
    "target": "gke",
    "leg": "baseline",
    "project": PROJECT,
    "zone": "us-central1-a",
    "budget": BUDGET,
    "deadline_minutes": 120,
}
STAGES = (
    *(Stage.PREFLIGHT, Stage.CLUSTER, Stage.IMAGE, Stage.DRIVERS),
    *(Stage.JOB, Stage.RESULTS, Stage.TEARDOWN),
)
_TYPICAL = "typical (reference session)"
_STEPS = (
    ("preflight", 0, 10, 0.0, _TYPICAL),
    ("cluster", 10, 360, 0.009, "median of 4 runs"),
    ("image", 10, 240, 0.0045, "median of 4 runs"),
    ("drivers", 370, 180, 0.0342, _TYPICAL),
    ("job", 550, 344, 0.0653, "the plan's sizes"),
    ("results", 894, 15, 0.0028, _TYPICAL),
    ("teardown", 909, 240, 0.0113, _TYPICAL),
    ("GPU nodes to zero", 909, 40, 0.0038, "typical"),
)


def plan(source: str = PRICES, budget: float = BUDGET) -> RunPlanned:
    """What preflight expects."""
    return RunPlanned(
        steps=tuple(
            ForecastStep(name=name, starts_s=start, seconds=seconds, usd=usd, basis=basis)
            for name, start, seconds, usd, basis in _STEPS
        ),
        seconds=1149,
        usd=0.1309,
        budget_usd=budget,
        deadline_s=7200,
        source=source,
    )


def billed(
    kind: str, name: str, seconds: float, parent: str, *items: tuple[str, float]
) -> BillingStarted:
    """A thing that is billed since so many seconds after the run's start."""
    return BillingStarted(
        kind=kind,
        name=name,
        usd_per_hour=sum(usd for _what, usd in items),
        items=tuple(
            BilledItem(what=what, usd_per_hour=usd, source=f"{PRICES}: SKU") for what, usd in items
        ),
        since=BEGUN + timedelta(seconds=seconds),
        parent=parent,
        minimum_s=60 if kind == "node" else 0,
    )


def metered(rate: float, spent: float, projected: float | None, **values: Any) -> CostMetered:
    """What the run says of its cost."""
    fields = {"budget_usd": BUDGET, "source": PRICES} | values
    return CostMetered(usd_per_hour=rate, spent_usd=spent, projected_usd=projected, **fields)


def _begun(source: str = PRICES, budget: float = BUDGET) -> list[Moment]:
    created = events.RunCreated(
        target="gke",
        leg="baseline",
        profile="reference",
        folder="@FOLDER@",
        stages=STAGES,
        command=f"gpubench-tui --no-ui run --target gke --project {PROJECT}",
        settings=SETTINGS | {"budget": budget},
    )
    return [
        (0, None, created),
        (1, None, events.RunStarted(pid=1, version="0.1.0")),
        (1, Stage.PREFLIGHT, events.StageStarted()),
        (7, Stage.PREFLIGHT, plan(source, budget)),
        (7, Stage.PREFLIGHT, events.StageFinished(seconds=6.1, summary="21 checks passed")),
    ]


def _intended(kind: str, name: str, usd: float, command: str) -> events.ResourceIntended:
    return events.ResourceIntended(
        kind=kind,
        name=name,
        location=f"{PROJECT}/us-central1-a",
        usd_per_hour=usd,
        delete_command=f"gcloud container {command} --project {PROJECT} --zone us-central1-a",
    )


def _cluster_asked_for() -> list[Moment]:
    cluster = _intended("cluster", CLUSTER, 0.1, f"clusters delete {CLUSTER}")
    return [
        (7, Stage.CLUSTER, events.StageStarted()),
        (7, Stage.CLUSTER, cluster),
        (8, Stage.CLUSTER, _pool(POOL)),
        (7, Stage.IMAGE, events.StageStarted()),
        (12, None, billed("cluster", CLUSTER, 9, f"cluster {CLUSTER}", ("zonal cluster fee", 0.1))),
        (12, None, metered(0.1, 0.0001, 0.1309)),
    ]


def _pool(name: str) -> events.ResourceIntended:
    command = f"node-pools delete {name} --cluster {CLUSTER}"
    return _intended("node pool", f"{CLUSTER}/{name}", 0.548, command)


def cluster_creating(source: str = PRICES) -> list[Moment]:
    """Google works on the cluster while the image is built."""
    fee = metered(0.135, 0.0049, 0.1316, source=source)
    system = (("1 vCPU (E2)", 0.0218), ("4 GiB memory (E2)", 0.0117))
    return [
        *_begun(source),
        *_cluster_asked_for(),
        (90, None, billed("node", SYSTEM_NODE, 84, f"cluster {CLUSTER}", *system)),
        (
            95,
            Stage.CLUSTER,
            PartChanged(
                kind="cluster",
                name=CLUSTER,
                state="working",
                detail="DEPLOYING, HEALTH_CHECKING",
                done=23,
                total=41,
                unit="steps",
            ),
        ),
        (
            95,
            Stage.CLUSTER,
            events.StageProgressed(
                done=23, total=41, unit="steps", detail="DEPLOYING, HEALTH_CHECKING"
            ),
        ),
        (98, Stage.IMAGE, events.StageProgressed(done=11, total=16, unit="steps", detail="COPY")),
        (99, None, fee),
    ]


def shipped_prices() -> list[Moment]:
    """The same where the catalog cannot be read."""
    return cluster_creating(SHIPPED)


def _cluster_there(budget: float = BUDGET) -> list[Moment]:
    return [
        *_begun(budget=budget),
        *_cluster_asked_for(),
        (90, None, billed("node", SYSTEM_NODE, 84, f"cluster {CLUSTER}", ("E2", 0.0335))),
        (252, Stage.IMAGE, events.StageFinished(seconds=245, summary="880 MB, pushed")),
        (340, Stage.CLUSTER, events.ResourceCreated(kind="cluster", name=CLUSTER, identity="c")),
        (
            340,
            Stage.CLUSTER,
            events.ResourceCreated(kind="node pool", name=f"{CLUSTER}/{POOL}", identity="p"),
        ),
        (
            341,
            Stage.CLUSTER,
            events.StageFinished(seconds=334, summary=f"{CLUSTER} in us-central1-a"),
        ),
    ]


def failing_over() -> list[Moment]:
    """One zone had no GPU, and another has."""
    gone = "the cluster lists no such pool, and compute lists no instance of it"
    return [
        *_cluster_there(),
        (341, Stage.DRIVERS, events.StageStarted()),
        (341, Stage.DRIVERS, _attempt("us-central1-a", "working", "asks for a node with 1 x T4")),
        (418, Stage.DRIVERS, _attempt("us-central1-a", "failed", STOCKOUT)),
        (
            440,
            Stage.DRIVERS,
            events.ResourceDeleted(kind="node pool", name=f"{CLUSTER}/{POOL}", proof=gone),
        ),
        (441, Stage.DRIVERS, _attempt("us-central1-c", "working", "asks for a node with 1 x T4")),
        (442, Stage.DRIVERS, _pool(OTHER_POOL)),
        (500, None, _gpu_node(490)),
        (505, Stage.DRIVERS, part("node", OTHER_NODE, "working", "the installer runs")),
        (
            505,
            Stage.DRIVERS,
            events.StageProgressed(done=0, total=1, unit="nodes", detail="have a GPU"),
        ),
        (510, None, metered(0.682, 0.0203, 0.1492)),
    ]


def _attempt(zone: str, state: Any, detail: str) -> PartChanged:
    return PartChanged(kind="attempt", name=zone, state=state, detail=detail)


def _gpu_node(seconds: float) -> BillingStarted:
    parent = f"node pool {CLUSTER}/{OTHER_POOL}"
    items = (("4 vCPU (N1)", 0.1264), ("15 GiB memory (N1)", 0.0636), ("1 x T4", 0.35))
    return billed("node", OTHER_NODE, seconds, parent, *items)


def measuring() -> list[Moment]:
    """The benchmark runs, and most of a small budget is spent."""
    budget = 0.12
    prepared = Prepared(
        device="cuda:0",
        device_name="Tesla T4",
        configuration="fp16, channels_last, graph",
        weights="pretrained",
        hypervisor="kvm",
        hypervisor_reason="DMI says Google Compute Engine.",
    )
    progressed = Progressed(
        name="offline-b8",
        block=1,
        phase="measuring",
        elapsed_s=12,
        samples_done=8000,
        samples_total=20000,
        samples_per_s=1650.5,
        latest_batch_ms=4.8,
        remaining_s=185,
    )
    measured = MeasurementStarted(
        name="offline-b8", scenario=Scenario.OFFLINE, batch_size=8, block=1, position=2, total=4
    )
    delete = "kubectl delete job gpu-benchmark-baseline --namespace default"
    job = events.ResourceIntended(
        kind="job", name="gpu-benchmark-baseline", location=CLUSTER, delete_command=delete
    )
    return [
        *_cluster_there(budget),
        (341, Stage.DRIVERS, events.StageStarted()),
        (341, Stage.DRIVERS, _attempt("us-central1-a", "failed", STOCKOUT)),
        (342, Stage.DRIVERS, _pool(OTHER_POOL)),
        (350, None, _gpu_node(348)),
        (480, Stage.DRIVERS, _attempt("us-central1-c", "ready", "1 Tesla T4, driver 580.82.07")),
        (
            480,
            Stage.DRIVERS,
            events.StageFinished(seconds=139, summary="1 Tesla T4, driver 580.82.07"),
        ),
        (480, Stage.JOB, events.StageStarted()),
        (480, Stage.JOB, job),
        (500, Stage.JOB, part("pod", POD, "working", f"running on {OTHER_NODE}")),
        (505, Stage.JOB, Started(plan=small_plan(), measurements=4)),
        (520, Stage.JOB, prepared),
        (600, None, CostWarned(share=0.5, spent_usd=0.06, budget_usd=budget)),
        (640, Stage.JOB, measured),
        (700, None, CostWarned(share=0.8, spent_usd=0.081, budget_usd=budget)),
        (705, Stage.JOB, progressed),
        (706, None, metered(0.6735, 0.089, 0.1166, budget_usd=budget)),
    ]


def _ended() -> list[Moment]:
    stored = events.ResultsStored(
        result_file="@FOLDER@/benchmark_results.json", latest="results/baseline", good=4, void=0
    )
    return [
        *measuring(),
        (900, Stage.JOB, events.StageFinished(seconds=420, summary="4 measurements, 4 good")),
        (900, Stage.RESULTS, events.StageStarted()),
        (912, Stage.RESULTS, stored),
        (912, Stage.RESULTS, events.StageFinished(seconds=12, summary="20.4 MB, hash as sent")),
        (913, Stage.TEARDOWN, events.StageStarted()),
        (913, Stage.TEARDOWN, events.TeardownStarted(resources=_REMOVED)),
        (930, Stage.TEARDOWN, _gone("job", "gpu-benchmark-baseline", "the API server lists none")),
        (
            955,
            None,
            BillingEnded(kind="node", name=OTHER_NODE, until=BEGUN + timedelta(seconds=948)),
        ),
        (
            960,
            Stage.TEARDOWN,
            _gone(
                "node pool",
                f"{CLUSTER}/{OTHER_POOL}",
                f"container.googleapis.com lists no node pool {OTHER_POOL} in {CLUSTER}, and "
                "compute lists no instance with its label",
            ),
        ),
        (
            961,
            Stage.TEARDOWN,
            _gone("node pool", f"{CLUSTER}/{POOL}", "container.googleapis.com lists none"),
        ),
    ]


_REMOVED = (
    "job gpu-benchmark-baseline",
    f"node pool {CLUSTER}/{OTHER_POOL}",
    f"node pool {CLUSTER}/{POOL}",
    f"cluster {CLUSTER}",
)


def _gone(kind: str, name: str, proof: str) -> events.ResourceDeleted:
    return events.ResourceDeleted(kind=kind, name=name, proof=proof)


def tearing_down() -> list[Moment]:
    """The GPU is gone, and the cluster on its way."""
    return [*_ended(), (965, None, metered(0.1335, 0.146, 0.151, budget_usd=0.12))]


def torn_down() -> list[Moment]:
    """All is proved gone."""
    proof = (
        f"container.googleapis.com lists no cluster {CLUSTER} in us-central1-a; compute lists no "
        "instance, disk, forwarding rule or address with gpubench-run=20261122-224500-9c2e"
    )
    done = events.RunFinished(
        state=RunState.DONE, exit_code=0, seconds=1141, sentence="The run is done."
    )
    return [
        *tearing_down(),
        (1130, Stage.TEARDOWN, _gone("cluster", CLUSTER, proof)),
        (1139, Stage.TEARDOWN, events.TeardownFinished(left=(), seconds=226)),
        (1139, Stage.TEARDOWN, events.StageFinished(seconds=226, summary="nothing is left")),
        (1140, None, metered(0, 0.1521, None, budget_usd=0.12)),
        (1141, None, done),
    ]
