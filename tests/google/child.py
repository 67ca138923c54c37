"""What a forked child does: the run's own process, a teardown or a sweep, on a clock that goes
faster, and killed by itself at the n-th thing it does where that was ordered.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from core.image.credentials import CredentialSource
from core.kube.cluster import Access, Cluster, JsonObject
from core.run.events import AnyRecord, Event, PartChanged, Stage
from core.run.journal import Journal
from core.run.pipeline import StageContext, StageWork
from core.run.process import Clock, RunProcess
from core.run.teardown import Teardown
from core.run.view import RunView
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.hands import hands_of
from core.targets.gke.stages import deployment_of, gke_target
from core.targets.registry import settings_of_run
from tests.google.sped_up import Anchor, SpedUpPolicy

IMAGE = "registry.test/benchmark@sha256:" + "0" * 64


class Counter:
    """Kills this process at the n-th point, before or after what is done there."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._at = order.get("kill_at")
        self._after = bool(order.get("kill_after"))
        self._what = order.get("kill_what", "")
        self.counts = {"journal": 0, "kube": 0}

    def before(self, what: str) -> None:
        self.counts[what] += 1
        if not self._after:
            self._perhaps(what)

    def after(self, what: str) -> None:
        if self._after:
            self._perhaps(what)

    def _perhaps(self, what: str) -> None:
        if what == self._what and self.counts[what] == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalJournal(Journal):
    """A journal whose writer may die at a write."""

    def __init__(self, state_dir: Path, counter: Counter) -> None:
        super().__init__(state_dir)
        self._counter = counter

    def append(
        self,
        run_id: str,
        record: AnyRecord,
        *,
        time: datetime,
        stage: Stage | None = None,
        log_position: int = 0,
    ) -> Event:
        # What costs and how far something is, is told dozens of times: one point like another.
        counts = record.event not in ("cost_metered", "measurement_progressed", "stage_progressed")
        if counts:
            self._counter.before("journal")
        event = super().append(run_id, record, time=time, stage=stage, log_position=log_position)
        if counts:
            self._counter.after("journal")
        return event


class MortalCluster(Cluster):
    """A connection whose owner may die at a request that changes something."""

    counter: Counter

    async def request(self, method: str, path: str, **more: Any) -> JsonObject:
        if method != "GET":
            self.counter.before("kube")
        answer = await super().request(method, path, **more)
        if method != "GET":
            self.counter.after("kube")
        return answer


class Built:
    """The image stage of an engine that takes a while and is not here."""

    stage = Stage.IMAGE
    needs = frozenset({Stage.PREFLIGHT})

    def __init__(self, deployment: GkeDeployment, seconds: float) -> None:
        self._deployment = deployment
        self._seconds = seconds

    async def run(self, context: StageContext) -> str:
        context.emit(PartChanged(kind="step", name="1/1", state="working", detail="stand-in"))
        await asyncio.sleep(self._seconds)
        self._deployment.kube.image = IMAGE
        self._deployment.kube.image_known.set()
        return IMAGE


def work(order: Mapping[str, Any]) -> int:
    """Do what was ordered and return the exit code."""
    os.environ.update(order["environment"])
    anchor = Anchor(**order["anchor"])
    asyncio.set_event_loop_policy(SpedUpPolicy(anchor.speed))
    counter = Counter(order)
    with MortalJournal(Path(order["state_dir"]), counter) as journal:
        code = _do(order, journal, anchor.clock(), counter)
    Path(order["output"]).with_suffix(".counts").write_text(
        " ".join(f"{name}={count}" for name, count in counter.counts.items())
    )
    return code


def _do(order: Mapping[str, Any], journal: MortalJournal, clock: Clock, counter: Counter) -> int:
    run = journal.run(order["run"])
    settings = settings_of_run(journal, run)
    before = journal.events(run.id)
    deployment = deployment_of(
        settings,
        run.id,
        clock,
        os.environ,
        created_at=run.created_at,
        view=RunView.of(before),
    )
    connect = deployment.kube.connect

    def mortal(access: Access) -> Cluster:
        cluster = connect(access)
        cluster.__class__ = MortalCluster
        cluster.counter = counter  # type: ignore[attr-defined]
        return cluster

    deployment.kube.connect = mortal
    if order["do"] == "teardown":
        teardown = Teardown(journal, run, clock, hands=hands_of(deployment))
        return 5 if asyncio.run(teardown.execute()).left else 0

    def shipping(
        deployment: GkeDeployment, _state_dir: Path, _credentials: CredentialSource
    ) -> StageWork:
        return Built(deployment, order["build_s"])

    target = gke_target(deployment, journal.stage_seconds(run), before, shipping=shipping)
    return RunProcess(
        journal,
        run,
        target.pipeline,
        run.folder.parent.parent,
        clock,
        unwind=target.unwind,
        watch=target.watch,
    ).execute()
