"""The points of the fault matrix: each call of Google's that a session makes, with each fault that
it can meet, once or for good; and the sessions that make those calls.
"""

from __future__ import annotations

import asyncio
import os
import signal
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from core.gcp.specs import RUN_LABEL
from tests.core.kube.stand_in_store import PODS
from tests.google.builds_api import Build
from tests.google.child import DIGEST, IMAGE
from tests.google.clusters import ClusterStatus
from tests.google.faults import FaultKind
from tests.google.killing import Session, Zygote, session
from tests.google.kubernetes import ClusterKube

ZONE, GPU = "us-central1-a", "nvidia-tesla-t4"
Times = Literal["once", "always", "later", "at last"]
"""``later``: from the creation of the cluster on; ``at last``: from the end of the Job on."""
ALWAYS = 10**6
SPEED = 30.0
_DEADLINE_S = 5.0
"""Of our clock: longer than any request is waited for."""
_BEGINS: Mapping[Times, str] = MappingProxyType(
    {"later": "container.CreateCluster", "at last": "container.SetNodePoolSize"}
)
_COMMON: tuple[FaultKind, ...] = (
    *("unavailable", "deadline", "permission", "not found", "resource exhausted", "internal"),
    "cut after",
)
_OF_OPERATIONS: tuple[FaultKind, ...] = ("operation fails", "operation never ends")
_CREATING = ("container.Create", "repositories.create", "buckets.insert", "builds.create")
_WITH_OPERATION = (
    *("container.Create", "container.Delete", "container.Set", "builds.create", "versions.delete"),
    *("repositories.create", "compute.disks.delete", "compute.forwardingRules.delete"),
    "compute.addresses.delete",
)


@dataclass(frozen=True)
class Point:
    """One fault of one call in one kind of session."""

    scene: str
    call: str
    kind: FaultKind
    times: Times

    def __str__(self) -> str:
        return f"{self.scene}/{self.call}/{self.kind}/{self.times}"

    @classmethod
    def of(cls, text: str) -> Point:
        """Read one that was printed."""
        scene, call, kind, times = text.split("/")
        assert kind in typing.get_args(FaultKind)
        assert times in typing.get_args(Times)
        return cls(scene, call, kind, times)  # type: ignore[arg-type]


Prepare = Callable[[Session], Awaitable[None]]


async def _nothing(_one: Session) -> None:
    return


@dataclass(frozen=True)
class Scene:
    """A kind of session: what is set, what there is, and what happens meanwhile."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    prepare: Prepare = _nothing
    meanwhile: Prepare = _nothing
    build_s: float = 12.0
    codes: tuple[int, ...] = (0,)
    """How it may end with no fault."""


async def _no_engine(one: Session) -> None:
    """Only Cloud Build can build."""

    async def digest(_build: Build) -> str:
        return DIGEST

    one.world.builds.hook = digest
    environment = one.world.environment()
    environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    one.world.environment = lambda: environment  # type: ignore[method-assign]


async def sold_out(one: Session) -> None:
    one.world.capacity.sold_out(ZONE, GPU, ("us-central1-b",))


async def _leave_things(one: Session) -> None:
    """Have the cluster make things that do not go with it."""
    fleet = one.world.fleet
    while True:
        for cluster in one.world.gke.clusters.values():
            if cluster.message.status == ClusterStatus.RUNNING:
                marks = {RUN_LABEL: cluster.labels[RUN_LABEL]}
                fleet.add_disk("left-disk", ZONE, "pd-balanced", 10, marks)
                fleet.add_load_balancer("left-rule", "us-central1", marks)
                fleet.add_address("left-address", "us-central1", marks)
                return
        await one.world.clock.sleep(1.0)


async def _stop_while_creating(one: Session) -> None:
    """Ask the run to end while its cluster is being created."""
    while not any(call.name == "container.GetOperation" for call in one.world.calls):
        await one.world.clock.sleep(1.0)
    os.kill(one._pid, signal.SIGTERM)


async def taken_back(one: Session) -> None:
    """Have Google take the GPU node back in the middle of the Job. Its kubelet, told some seconds
    before, ends the pods and says why (kubernetes.io/docs/concepts/cluster-administration/
    node-shutdown).
    """
    while not one.said:
        await one.world.clock.sleep(0.5)
    fleet = one.world.fleet
    taken = [each.name for each in fleet.instances.values() if each.shape.gpu]
    for name in taken:
        fleet.preempt(name)
    for cluster in one.world.gke.clusters.values():
        assert isinstance(cluster.kube, ClusterKube)
        for pod in list(cluster.kube.server.controllers.pods.values()):
            if pod.document["spec"].get("nodeName") in taken:
                status = {
                    "phase": "Failed",
                    "reason": "Terminated",
                    "message": "Pod was terminated in response to imminent node shutdown.",
                }
                cluster.kube.server.store.update(PODS, pod.namespace, pod.name, {"status": status})


SCENES: Mapping[str, Scene] = MappingProxyType(
    {
        "plain": Scene(),
        "registry": Scene(
            {
                **{"image": None, "remove_image": True, "prices": "live"},
                "node_account": "runner@stand-in-project.iam.gserviceaccount.com",
                "impersonate": "runner@stand-in-project.iam.gserviceaccount.com",
            },
            prepare=_no_engine,
            build_s=-1.0,
        ),
        "leaving": Scene(meanwhile=_leave_things),
        "moving": Scene(prepare=sold_out),
        "stopped": Scene(meanwhile=_stop_while_creating, codes=(130,)),
    }
)
"""In the order in which a call belongs to the first that makes it."""


def points_of(calls: Mapping[str, list[str]]) -> list[Point]:
    """Return all points, given the names of the calls that each scene makes in order."""
    found: list[Point] = []
    known: set[str] = set()
    for scene, names in calls.items():
        for call in dict.fromkeys(names):
            if call not in known:
                found += [
                    Point(scene, call, kind, times)
                    for kind in _kinds(call)
                    for times in _times(call, names)
                ]
        known |= set(names)
    return found


def _times(call: str, names: list[str]) -> list[Times]:
    """Return from when on it may go wrong: also where a call is made early, and later too."""
    times: list[Times] = ["once", "always"]
    since = 0
    for begins in _BEGINS:
        at = names.index(_BEGINS[begins]) if _BEGINS[begins] in names else len(names)
        if call in names[since:at] and call in names[at + 1 :]:
            times.append(begins)
        since = at
    return times


def _kinds(call: str) -> list[FaultKind]:
    kinds = [kind for kind in _COMMON if (call, kind) != ("token", "not found")]
    if any(word in call for word in _CREATING):
        kinds.append("already exists")
    if any(word in call for word in _WITH_OPERATION):
        kinds += _OF_OPERATIONS
    return kinds


async def order_fault(one: Session, point: Point) -> None:
    """Have a session's stand-in do what the point says, when its time has come."""
    if (begins := _BEGINS.get(point.times)) is not None:
        while not any(call.name == begins for call in one.world.calls):
            await asyncio.sleep(0.01)
    times = 1 if point.times == "once" else ALWAYS
    one.world.faults.add(point.call, point.kind, times, seconds=_DEADLINE_S)


def lift_faults(one: Session) -> None:
    """Have everything at Google's work again; what never ended ends as failed."""
    one.world.faults.clear()
    gke = one.world.gke
    for work in gke.operations.values():
        if work.fate != "never ends" or work.ended is not None:
            continue
        work.fate = ""
        for cluster in gke.clusters.values():
            if cluster.work is work:
                cluster.message.status = ClusterStatus.ERROR
                gke.end(cluster, work, (13, "Internal error."))


async def calls_of(zygote: Zygote, folder: Path, name: str) -> list[str]:
    """Return the names of the calls that a scene makes when nothing goes wrong."""
    scene = SCENES[name]
    async with session(zygote, folder, speed=SPEED, build_s=scene.build_s) as one:
        status = await play(one, scene)
        words = one.last_words(folder / "run.out")
        assert status in scene.codes, f"{name}: exit code {status}: {words}"
        assert one.world.ledger.is_empty(), f"{name}: {one.world.ledger.standing()}"
        return [call.name for call in one.world.calls]


async def play(
    one: Session, scene: Scene, point: Point | None = None, limit_s: float = 400.0
) -> int:
    """Run a scene's session to its end, with a point's fault, and return the exit code."""
    await scene.prepare(one)
    one.create(**{"image": IMAGE, **scene.settings})
    beside = [asyncio.create_task(scene.meanwhile(one))]
    if point is not None:
        beside.append(asyncio.create_task(order_fault(one, point)))
    # Before the run is there.
    await asyncio.sleep(0)
    try:
        return await one.do("run", limit_s=limit_s)
    finally:
        for each in beside:
            each.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
