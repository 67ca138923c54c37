"""The kubelets, the scheduler and the other controllers of a stand-in cluster, doing their work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tests.core.kube.stand_in_pods import Pod
from tests.core.kube.stand_in_store import JOBS, PODS, RESOURCES, Object, Refused
from tests.google.autoscaler import Autoscaler
from tests.google.benchmark_pod import Volume, keeper_executor, order_of, spoken_lines
from tests.google.clock import Durations, GoogleClock
from tests.google.clusters import GkeCluster
from tests.google.kubernetes import GPU, ApiServer, ClusterKube
from tests.google.leftovers import Leftovers
from tests.google.machines import Fleet
from tests.google.scheduling import free_gpus, is_over, obstacle, unschedulable

_NODES = RESOURCES["", "nodes"]
_DAEMONSETS = RESOURCES["apps", "daemonsets"]
_GPU_NAMES = {
    "nvidia-tesla-t4": "Tesla T4",
    "nvidia-l4": "NVIDIA L4",
    "nvidia-tesla-v100": "Tesla V100-SXM2-16GB",
    "nvidia-tesla-a100": "NVIDIA A100-SXM4-40GB",
    "nvidia-a100-80gb": "NVIDIA A100-SXM4-80GB",
    "nvidia-h100-80gb": "NVIDIA H100 80GB HBM3",
}
_NVIDIA_SMI = """\
| NVIDIA-SMI 570.86.15              Driver Version: 570.86.15      CUDA Version: 12.8     |
|   0  {name:<24}  Off |   00000000:00:04.0 Off |                    0 |"""


class Kubelet:
    """Does the work of one cluster until it is cancelled."""

    def __init__(
        self,
        server: ApiServer,
        kube: ClusterKube,
        cluster: GkeCluster,
        clock: GoogleClock,
        durations: Durations,
        fleet: Fleet,
        *,
        folder: Path,
        exit_code: int = 0,
        pods_run: bool = True,
    ) -> None:
        """``exit_code``: of benchmarks; one that fails leaves no results. ``pods_run``: else the
        test moves the pods itself."""
        self._server = server
        self._kube = kube
        self._clock = clock
        self._durations = durations
        self._folder = folder
        self._exit_code = exit_code
        self._pods_run = pods_run
        server.controllers.hold_deletions = pods_run
        self._autoscaler = Autoscaler(server, cluster, clock, durations, fleet, self._choose)
        self._leftovers = Leftovers(server, cluster, fleet)
        self._lives: dict[str, asyncio.Task[None]] = {}
        """By the pod's uid."""
        self._ending: set[str] = set()
        self._released: dict[str, asyncio.Event] = {}
        """Keepers that may let go."""
        self._pulls: dict[tuple[str, str], asyncio.Task[None]] = {}
        """By node and image."""
        self._jobs: set[str] = set()
        self._drivers: set[str] = set()

    async def run(self) -> None:
        """Look after everything whenever anything changes."""
        try:
            while True:
                before = self._server.store.version
                self._look()
                if self._server.store.version == before:
                    await self._server.store.changed()
                else:
                    await asyncio.sleep(0)
        finally:
            for life in self._lives.values():
                life.cancel()
            ended = await asyncio.gather(*self._lives.values(), return_exceptions=True)
            for each in ended:
                if isinstance(each, Exception):
                    raise each

    def _look(self) -> None:
        if self._pods_run:
            for pod in list(self._server.controllers.pods.values()):
                self._look_at_pod(pod)
        for job in self._server.store.list(JOBS):
            self._look_at_job(job)
        for daemonset in self._server.store.list(_DAEMONSETS):
            self._look_at_daemonset(daemonset)
        busy = {
            each["spec"].get("nodeName")
            for each in self._server.store.list(PODS)
            if not is_over(each)
        }
        for name in self._kube.instances:
            node = self._server.store.get(_NODES, "", name)
            if GPU in node["status"]["allocatable"]:
                self._autoscaler.watch_idle(name, name in busy)
        self._leftovers.follow()

    def _look_at_pod(self, pod: Pod) -> None:
        document = pod.document
        uid = document["metadata"]["uid"]
        if "deletionTimestamp" in document["metadata"]:
            self._end(pod, uid)
            return
        if is_over(document) or uid in self._lives:
            return
        if not document["spec"].get("nodeName"):
            node = self._choose(document)
            if node is None:
                self._cannot_schedule(pod, document)
                return
            pod.schedule(node)
        if pod.document["spec"]["nodeName"] in self._kube.instances:
            self._begin(uid, self._live(pod))

    def _choose(self, document: Object) -> str | None:
        pods = self._server.store.list(PODS)
        for node in self._server.store.list(_NODES):
            if not obstacle(document, node, free_gpus(node, pods)):
                return str(node["metadata"]["name"])
        return None

    def _cannot_schedule(self, pod: Pod, document: Object) -> None:
        pods = self._server.store.list(PODS)
        nodes = self._server.store.list(_NODES)
        said = unschedulable([obstacle(document, node, free_gpus(node, pods)) for node in nodes])
        conditions = document["status"].get("conditions") or []
        if not any(each.get("message") == said for each in conditions):
            pod.unschedulable(said)
        self._autoscaler.waits(pod)

    def _begin(self, uid: str, life: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            # A pod that is deleted meanwhile has no more to do.
            with contextlib.suppress(Refused, KeyError):
                await life

        self._lives[uid] = asyncio.create_task(guarded())

    async def _live(self, pod: Pod) -> None:
        document = pod.document
        order = order_of(document)
        image = document["spec"]["containers"][0]["image"]
        await self._pull(pod, document["spec"]["nodeName"], image)
        if pod.name.endswith("nvidia-smi"):
            await self._smoke(pod, document["spec"]["nodeName"])
            return
        pod.start()
        if document["spec"]["containers"][0].get("command") == ["sh", "-c", "true"]:
            pod.finish()
        if order is None:
            return
        volume = Volume(self._folder / document["metadata"]["uid"])
        released = self._released[document["metadata"]["uid"]] = asyncio.Event()
        pod.executor = keeper_executor(volume.folder, released.set)
        volume.begin()
        try:
            began = self._clock.now()
            said = spoken_lines(order)
            for share, line in said[:-1] if self._exit_code else said:
                wait = began + share * self._durations.benchmark - self._clock.now()
                if wait > 0:
                    await self._clock.sleep(wait)
                pod.log(line, container="benchmark")
            if not self._exit_code:
                volume.leave_results(order)
        finally:
            volume.end()
        pod.finish(self._exit_code, container="benchmark")
        hold = self._server.store.get(PODS, pod.namespace, pod.name)["spec"]["containers"][-1]
        await self._held(released, _hold_s(hold))
        pod.finish(container="keeper")

    async def _smoke(self, pod: Pod, node: str) -> None:
        """Say what nvidia-smi says."""
        pod.start()
        name = _GPU_NAMES.get(self._kube.instances[node].shape.gpu, "")
        text = _NVIDIA_SMI.format(name=name) if name else "No devices were found"
        pod.log(*text.splitlines())
        await self._clock.sleep(self._durations.smoke)
        pod.finish(0 if name else 6)

    async def _pull(self, pod: Pod, node: str, image: str) -> None:
        """Once a node: pods that come meanwhile wait for the same pull."""
        known = (node, image)
        if known not in self._pulls:
            pod.event("Pulling", f'Pulling image "{image}"')
            self._pulls[known] = asyncio.create_task(self._clock.sleep(self._durations.pull))
        await asyncio.shield(self._pulls[known])
        pod.event("Pulled", f'Successfully pulled image "{image}"')

    async def _held(self, released: asyncio.Event, seconds: float) -> None:
        waits = [
            asyncio.ensure_future(released.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def _end(self, pod: Pod, uid: str) -> None:
        """End a pod that is being deleted: at once what measures, after its grace the rest."""
        if uid in self._ending:
            return
        self._ending.add(uid)
        life = self._lives.get(uid)
        if life is not None:
            life.cancel()
        grace = float(pod.document["metadata"].get("deletionGracePeriodSeconds") or 0)
        statuses = pod.document["status"].get("containerStatuses") or []
        running = [each["name"] for each in statuses if "running" in each["state"]]
        if "benchmark" in running:
            pod.finish(143, container="benchmark")
        self._begin(uid, self._linger(pod, grace if "keeper" in running else min(grace, 1.0), uid))

    async def _linger(self, pod: Pod, grace: float, uid: str) -> None:
        """Let the keeper, if there is one, wait for its release in the grace period."""
        await self._held(self._released.get(uid) or asyncio.Event(), grace)
        if pod.document["metadata"]["uid"] == uid:
            pod.gone()

    def _look_at_job(self, job: Object) -> None:
        metadata, spec = job["metadata"], job["spec"]
        uid = metadata["uid"]
        ended = bool((job.get("status") or {}).get("conditions"))
        if uid not in self._jobs and spec.get("activeDeadlineSeconds"):
            self._jobs.add(uid)
            self._clock.later(float(spec["activeDeadlineSeconds"]), lambda: self._overdue(job))
        after = spec.get("ttlSecondsAfterFinished")
        if ended and after is not None and f"{uid} ended" not in self._jobs:
            self._jobs.add(f"{uid} ended")
            self._clock.later(float(after), lambda: self._expired(job))

    def _same_job(self, job: Object) -> Object | None:
        metadata = job["metadata"]
        with contextlib.suppress(Refused):
            found = self._server.store.get(JOBS, metadata["namespace"], metadata["name"])
            if found["metadata"]["uid"] == metadata["uid"]:
                return found
        return None

    def _overdue(self, job: Object) -> None:
        found = self._same_job(job)
        if found is not None and not (found.get("status") or {}).get("conditions"):
            metadata = found["metadata"]
            self._server.controllers.exceed_deadline(metadata["namespace"], metadata["name"])

    def _expired(self, job: Object) -> None:
        found = self._same_job(job)
        if found is not None:
            self._server.controllers.delete_job(found, "Background")

    def _look_at_daemonset(self, daemonset: Object) -> None:
        """A driver installer brings the driver to every GPU node that lacks it."""
        name = daemonset["metadata"]["name"]
        if "nvidia-driver-installer" not in name:
            return
        nodes = [each for each in self._kube.instances.values() if each.shape.gpu]
        ready = 0
        for instance in nodes:
            node = self._server.store.get(_NODES, "", instance.name)
            if GPU in node["status"]["allocatable"]:
                ready += 1
            elif instance.name not in self._drivers:
                self._drivers.add(instance.name)
                if "cloud.google.com/gke-gpu-driver-version" not in node["metadata"]["labels"]:
                    self._kube.install_driver(instance)
        status = {
            "desiredNumberScheduled": len(nodes),
            "currentNumberScheduled": len(nodes),
            "numberReady": ready,
            "numberAvailable": ready,
            "updatedNumberScheduled": len(nodes),
            "observedGeneration": 1,
        }
        if daemonset.get("status") != status:
            namespace = daemonset["metadata"]["namespace"]
            self._server.store.update(_DAEMONSETS, namespace, name, {"status": status})


def _hold_s(container: Object) -> float:
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    return float(words[words.index("--hold-s") + 1]) if "--hold-s" in words else 600.0
