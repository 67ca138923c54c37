"""A stand-in cluster with a kubelet of sorts, and the stages of a run against it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmark.progress import Finished
from core.kube.cluster import Access, Cluster
from core.run.events import AnyRecord, PartChanged, Stage
from core.run.journal import Journal, Run
from core.run.pipeline import Pipeline, StageContext
from core.run.process import utc_now
from core.run.view import ResourceView
from core.settings import Settings
from core.targets.kubernetes.deployment import Deployment
from core.targets.kubernetes.drivers import Drivers
from core.targets.kubernetes.hands import WorkloadHand
from core.targets.kubernetes.job import Job
from core.targets.kubernetes.preflight import Preflight
from core.targets.kubernetes.results import Results
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_pods import Frames, Pod, run_locally
from tests.core.runs import ROOT, named_run, small_plan
from tests.core.stages import StandIn as StandInStage
from tests.tui.recorded import RECORDED

RUN: str = json.loads((RECORDED / "baseline" / "run.json").read_text())["id"]
"""Whose results the pod will hold."""
IMAGE = "registry.test/benchmark@sha256:" + "0" * 64
NVIDIA_SMI = """
| NVIDIA-SMI 570.00.01              Driver Version: 570.00.01      CUDA Version: 12.8     |
|   0  STAND-IN GPU (test)        Off |   00000000:00:00.0 Off |                    0 |
"""
DONE = Finished(result_file="/results/run/benchmark_results.json", complete=True, good=1, void=0)


@dataclass
class World:
    """One run's stages, the cluster, and what both said."""

    stand_in: StandIn
    access: Access
    folder: Path
    settings: Settings
    events: list[tuple[Stage, AnyRecord]] = field(default_factory=list)
    lines: list[tuple[str, str, datetime | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deployment = Deployment(self.settings, self.access, self.connect)
        self.run_folder = self.folder / "results" / "runs" / RUN
        self.run_folder.mkdir(parents=True)
        self.pod_results = self.folder / "pod"

    def connect(self, access: Access) -> Cluster:
        """Connections that give up quickly."""
        return Cluster(access, patience_s=2.0)

    async def run(self) -> None:
        """Run all stages; only the image's is a stand-in."""

        async def image(_context: StageContext) -> str:
            self.deployment.image = IMAGE
            self.deployment.image_known.set()
            return IMAGE

        pipeline = Pipeline(
            [
                Preflight(self.deployment),
                StandInStage(Stage.IMAGE, image, frozenset({Stage.PREFLIGHT})),
                Drivers(self.deployment, utc_now),
                Job(self.deployment, utc_now),
                Results(self.deployment, utc_now),
            ]
        )
        await pipeline.run(self.context)

    def context(self, stage: Stage) -> StageContext:
        """What a stage may use."""
        return StageContext(
            run_id=RUN,
            leg="baseline",
            folder=self.run_folder,
            results_dir=self.folder / "results",
            plan=small_plan(),
            emit=lambda record: self.events.append((stage, record)),
            log=lambda source, text, time=None: self.lines.append((source, text, time)),
        )

    def written_down(self, journal: Journal) -> Run:
        """Put the run into a journal, as one that has ended."""
        return named_run(journal, RUN, target="kubernetes", folder=self.run_folder)

    async def pod(self, wanted: Callable[[str], bool] = lambda name: True) -> Pod:
        """Wait for a pod and return it."""
        async with asyncio.timeout(20):
            while True:
                for (_namespace, name), pod in list(self.stand_in.controllers.pods.items()):
                    if wanted(name):
                        return pod
                await asyncio.sleep(0.005)

    async def benchmark_pod(self) -> Pod:
        """Wait for the Job's pod."""
        return await self.pod(lambda name: not name.endswith("nvidia-smi"))

    async def said(self, kind: str, state: str, words: str) -> None:
        """Wait until a part of the run was told to be so."""
        async with asyncio.timeout(20):
            while not any(
                (part.kind, part.state) == (kind, state) and words in part.detail
                for part in self.parts()
            ):
                await asyncio.sleep(0.005)

    def parts(self) -> list[PartChanged]:
        """Every change of a part, in order."""
        return [record for _stage, record in self.events if isinstance(record, PartChanged)]

    def records(self, kind: type[Any]) -> list[Any]:
        """Every event of a kind, in order."""
        return [record for _stage, record in self.events if isinstance(record, kind)]

    async def measured(self, pod: Pod, *, results: bool = True) -> None:
        """Let the benchmark start, and leave its results in the pod's volume."""
        pod.executor = self.in_pod_folder()
        pod.start()
        if results:
            await asyncio.to_thread(self._leave_results)

    def in_pod_folder(self) -> Callable[[Sequence[str]], Frames]:
        """Run what is executed in the pod here, its volume being a folder."""
        local = run_locally(environment={**os.environ, "PYTHONPATH": str(ROOT)})

        async def execute(command: Sequence[str]) -> Frames:
            here = [each.replace("/results", str(self.pod_results)) for each in command]
            async for frame in local(here):
                yield frame

        return execute

    def _leave_results(self) -> None:
        recorded = RECORDED / "baseline" / "folder"
        # Its log was written by this side, not in the pod.
        copy = (
            f"mkdir -p '{self.pod_results}' && cp -r '{recorded}' '{self.pod_results}/run' "
            f"&& rm '{self.pod_results}/run/deployment.log'"
        )
        subprocess.run(
            [
                *(sys.executable, "-m", "benchmark.keeper", "run", "--folder"),
                *(str(self.pod_results), "--", "sh", "-c", copy),
            ],
            cwd=ROOT,
            check=True,
        )

    async def torn_down(self, *resources: ResourceView) -> list[str | None]:
        """Delete what was created, and return each one's proof."""
        hand = WorkloadHand(self.access, RUN, self.connect)
        proofs = []
        for resource in resources:
            await hand.delete(resource)
            proofs.append(await hand.gone(resource))
        return proofs


@asynccontextmanager
async def kubelet(world: World) -> AsyncIterator[None]:
    """Run the smoke pod as a node with a GPU would."""

    async def smoke() -> None:
        pod = await world.pod(lambda name: name.endswith("nvidia-smi"))
        pod.start()
        pod.log(*NVIDIA_SMI.strip().splitlines())
        pod.finish()

    task = asyncio.create_task(smoke())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
