"""What a forked child does: the run's own process, a teardown or a sweep, on a clock that goes
faster, and killed by itself at the n-th thing it does where that was ordered.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from core.image.credentials import CredentialSource
from core.image.errors import EngineError
from core.kube.cluster import Access, Cluster, JsonObject
from core.run.events import AnyRecord, Event, PartChanged, Stage
from core.run.journal import Journal
from core.run.pipeline import StageContext, StageWork
from core.run.process import Clock, RunProcess
from core.run.resuming import end_teardown
from core.run.teardown import Teardown
from core.run.view import RunView
from core.settings import Settings
from core.targets.gke.deployment import GkeDeployment, access_of
from core.targets.gke.hands import hands_of
from core.targets.gke.stages import deployment_of, gke_target
from core.targets.gke.sweeping import Choice, Sweep, judge
from core.targets.registry import settings_of_run
from tests.google.sped_up import Anchor, SpedUpPolicy

DIGEST = "sha256:" + "0" * 64
IMAGE = f"registry.test/benchmark@{DIGEST}"


class Counter:
    """Kills this process at the n-th point, before or after what is done there."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._what, self._name = order.get("kill_what", ""), order.get("kill_name", "")
        self._left = order.get("kill_at", 0)
        self._after = bool(order.get("kill_after"))
        self._note = Path(order["output"]).with_suffix(".killed")
        self.counts = {"journal": 0, "kube": 0}

    @contextmanager
    def at(self, what: str, name: str) -> Iterator[None]:
        """Around something of the name that is done."""
        self.counts[what] += 1
        if what == self._what and self._name in ("", name):
            left = self._left = self._left - 1
            if not left and not self._after:
                self._die(name)
            yield
            if not left:
                self._die(name)
        else:
            yield

    def _die(self, name: str) -> None:
        self._note.write_text(name)
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
        # What it costs and how far something is, is told dozens of times: one point like another.
        counts = record.event not in ("cost_metered", "measurement_progressed", "stage_progressed")
        if not counts:
            return super().append(run_id, record, time=time, stage=stage, log_position=log_position)
        with self._counter.at("journal", f"{stage or 'run'} {record.event}"):
            return super().append(run_id, record, time=time, stage=stage, log_position=log_position)


class MortalCluster(Cluster):
    """A connection whose owner may die at a request that changes something."""

    counter: Counter

    async def request(self, method: str, path: str, **more: Any) -> JsonObject:
        if method == "GET":
            return await super().request(method, path, **more)
        with self.counter.at("kube", f"{method} {path.rpartition('/')[2]}"):
            return await super().request(method, path, **more)


class Built:
    """The image stage of an engine that takes a while and is not here. One that takes less than no
    time is not there either, and the registry has the image when it is asked for once more.
    """

    stage = Stage.IMAGE
    needs = frozenset({Stage.PREFLIGHT})

    def __init__(self, deployment: GkeDeployment, seconds: float) -> None:
        self._deployment = deployment
        self._seconds = seconds
        self._was_asked = False

    async def run(self, context: StageContext) -> str:
        image = IMAGE
        if self._seconds < 0:
            image = f"{self._deployment.image_repository}@{DIGEST}"
            if not self._was_asked:
                self._was_asked = True
                raise EngineError("No container engine answers.", "Start one.")
        context.emit(PartChanged(kind="step", name="1/1", state="working", detail="stand-in"))
        await asyncio.sleep(self._seconds)
        self._deployment.kube.image = image
        self._deployment.kube.image_known.set()
        return image


def work(order: Mapping[str, Any]) -> int:
    """Do what was ordered and return the exit code."""
    os.environ.update(order["environment"])
    anchor = Anchor(**order["anchor"])
    asyncio.set_event_loop_policy(SpedUpPolicy(anchor.speed))
    counter = Counter(order)
    if order["do"] == "sweep":
        return asyncio.run(_sweep(anchor.clock()))
    with MortalJournal(Path(order["state_dir"]), counter) as journal:
        code = _do(order, journal, anchor.clock(), counter)
    Path(order["output"]).with_suffix(".counts").write_text(
        " ".join(f"{name}={count}" for name, count in counter.counts.items())
    )
    return code


async def _sweep(clock: Clock) -> int:
    """Remove everything of any run, as ``sweep --all --yes`` does where there is no journal."""
    settings = Settings(
        target="gke",
        project=os.environ["GOOGLE_CLOUD_PROJECT"],
        credentials=os.environ["GOOGLE_APPLICATION_CREDENTIALS"],
    )
    sweep = Sweep(access_of(settings, os.environ), clock)
    verdicts = judge(await sweep.look(), Choice(every=True), (), clock())
    going = [verdict.found for verdict in verdicts if verdict.goes]
    outcomes = await sweep.remove(going, lambda outcome: print(outcome, flush=True))
    return 0 if all(outcome.proof for outcome in outcomes) else 5


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
    hands = hands_of(deployment)
    if order["do"] == "end teardown":
        ending = end_teardown(journal, run, clock, hands=hands, take=lambda _line, _event: None)
        return 5 if asyncio.run(ending).left else 0
    if order["do"] == "teardown":
        return 5 if asyncio.run(Teardown(journal, run, clock, hands=hands).execute()).left else 0

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
