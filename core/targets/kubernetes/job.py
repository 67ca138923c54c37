"""The job stage: the Job is created, waited for with reasons, heard to its end, and judged."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from core.errors import ProblemError, StageError
from core.kube.cluster import Cluster, JsonObject
from core.kube.ended import why_ended
from core.kube.errors import ClusterError, ConflictError
from core.kube.logs import LogLine, follow_log
from core.kube.objects import (
    BENCHMARK_CONTAINER,
    RUN_LABEL,
    job_object,
    label_value,
    to_json,
    to_yaml,
)
from core.kube.observing import Observation, observing
from core.kube.reason import Reason
from core.kube.transfer import collect, release
from core.kube.waiting import why_waiting
from core.run.events import (
    LogStreamInterrupted,
    LogStreamResumed,
    PartChanged,
    ResourceCreated,
    ResourceIntended,
    Stage,
)
from core.run.pipeline import StageContext
from core.run.process import Clock
from core.targets.kubernetes.deployment import Deployment
from core.targets.kubernetes.hands import JOB
from core.targets.words import SOURCE, BenchmarkWords

MANIFEST_FILE = "job.yaml"
_LAST_LINES = 3
_GONE = Reason("deleted", "The pod is gone.", "gpubench-tui --no-ui rerun measures again.", False)
# After the pod's end its log may still hold lines that were not read yet.
_DRAIN_S = 5.0
# Within the pod's grace period, and within what a person waits after Ctrl-C.
_SALVAGE_S = 20.0


@dataclass
class Job:
    """Runs the benchmark as a Job."""

    deployment: Deployment
    clock: Clock
    stage: Stage = Stage.JOB
    needs: frozenset[Stage] = frozenset({Stage.DRIVERS, Stage.IMAGE})

    async def run(self, context: StageContext) -> str:
        """Create the Job, wait for its pod, pass on what the benchmark says, and conclude.

        Raises:
            StageError: it could not start or failed, with the reason.
            ClusterError: the cluster could not be used.
        """
        async with self.deployment.connect(self.deployment.access) as cluster:
            await self._create(context, cluster)
            attempt = _Attempt(self.deployment, context, cluster)
            async with observing(cluster, self.deployment.job_name) as observations:
                try:
                    await attempt.wait_for_start(observations)
                    return await attempt.hear_to_the_end(observations)
                except BaseException:
                    await attempt.salvage()
                    raise

    async def _create(self, context: StageContext, cluster: Cluster) -> None:
        deployment = self.deployment
        order = deployment.order(
            context.run_id, context.leg, context.plan, deployment.image, self.clock()
        )
        document = to_json(job_object(order))
        with contextlib.suppress(OSError):
            (context.folder / MANIFEST_FILE).write_text(to_yaml(document), encoding="utf-8")
        context.emit(
            ResourceIntended(
                kind=JOB,
                name=order.name,
                location=deployment.location,
                delete_command=shlex.join(deployment.kubectl("delete", "job", order.name)),
            )
        )
        path = f"/apis/batch/v1/namespaces/{order.namespace}/jobs"
        try:
            made = await cluster.request("POST", path, body=document)
        except ConflictError:
            # Our own first try may have arrived although its answer did not.
            made = await cluster.request("GET", f"{path}/{order.name}")
            labels = (made.get("metadata") or {}).get("labels") or {}
            if labels.get(RUN_LABEL) != label_value(context.run_id):
                raise StageError(
                    f"Job {order.name} in namespace {order.namespace} was created by somebody "
                    "else meanwhile.",
                    "Use --name-suffix to stand beside it.",
                ) from None
        identity = str((made.get("metadata") or {}).get("uid") or "")
        context.emit(ResourceCreated(kind=JOB, name=order.name, identity=identity))


@dataclass
class _Attempt:
    """One Job from its creation to its end."""

    deployment: Deployment
    context: StageContext
    cluster: Cluster
    seen: Observation = field(default_factory=Observation)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    said: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    async def wait_for_start(self, observations: AsyncIterator[Observation]) -> None:
        """Return when the benchmark's container runs, or has run."""
        reason = None
        minutes = self.deployment.settings.start_minutes
        try:
            async with asyncio.timeout(minutes * 60):
                async for self.seen in observations:
                    if self.seen.started(BENCHMARK_CONTAINER):
                        break
                    self._raise_if_gone()
                    reason = why_waiting(self.seen.job, self.seen.pod, self.seen.events)
                    self._tell_waiting(reason.sentence if reason else "waits for its pod")
                    if reason is not None and reason.hopeless:
                        raise self._failure(reason)
        except TimeoutError:
            why = reason.sentence if reason else "Nobody said why."
            raise StageError(
                f"Job {self.deployment.job_name} did not start within {minutes} minutes. {why}",
                reason.remedy if reason else "D describes the Job; --start-minutes waits longer.",
            ) from None
        self.deployment.pod = self.seen.pod_name
        self._tell("job", self.deployment.job_name, "working", "its pod runs")
        self._tell("pod", self.seen.pod_name, "working", f"runs on node {self.seen.node}")

    async def hear_to_the_end(self, observations: AsyncIterator[Observation]) -> str:
        """Pass on the log until the benchmark's container has ended, and conclude."""
        words = BenchmarkWords(self.context)
        over = asyncio.Event()
        log = asyncio.ensure_future(self._hear(words, over))
        watching = asyncio.ensure_future(self._watch(observations))
        try:
            await asyncio.wait({log, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not watching.done():
                # The log is over: a container that has ended is seen to have within moments.
                log.result()
            await watching
            over.set()
            await self._rest_of(log)
        except (ProblemError, asyncio.CancelledError):
            over.set()
            if not log.done():
                await asyncio.wait({log}, timeout=_DRAIN_S)
            raise
        finally:
            for task in (log, watching):
                task.cancel()
            await asyncio.gather(log, watching, return_exceptions=True)
        return self._conclude(words)

    async def _rest_of(self, log: asyncio.Future[None]) -> None:
        """Wait for the log of a container that has ended. Its results do not depend on it."""
        try:
            await log
        except ClusterError as problem:
            self.context.log(SOURCE, f"[the log's end could not be read: {problem.sentence}]")

    async def salvage(self) -> None:
        """Fetch what had finished, although the Job as a whole has not: as on this machine, what
        there is stays. Whatever prevents it is only noted.
        """
        pod = self.deployment.pod
        if not pod or self.seen.pod is None:
            return
        try:
            async with asyncio.timeout(_SALVAGE_S):
                # Ends the benchmark if it still runs; the keeper stays for the grace period.
                await self.cluster.request(
                    "DELETE", f"/api/v1/namespaces/{self.cluster.namespace}/pods/{pod}"
                )
                found = await collect(
                    self.cluster, pod, self.context.folder, report=lambda _done, _total: None
                )
                await release(self.cluster, pod)
            self.context.log("job", f"fetched what had finished: {found.files} files")
        except (ProblemError, TimeoutError) as problem:
            self.context.log("job", f"what had finished could not be fetched: {problem}")

    async def _hear(self, words: BenchmarkWords, over: asyncio.Event) -> None:
        pod = self.deployment.pod
        source = f"pod {pod}"

        async def ended() -> bool:
            return over.is_set() or self.seen.terminated(BENCHMARK_CONTAINER) is not None

        batches = follow_log(
            self.cluster,
            pod,
            BENCHMARK_CONTAINER,
            ended=ended,
            on_break=lambda why: self.context.emit(LogStreamInterrupted(source=source, reason=why)),
            on_resume=lambda seconds: self.context.emit(
                LogStreamResumed(source=source, seconds=round(seconds, 3))
            ),
            on_gap=lambda why: self.context.log(SOURCE, f"[{why}]"),
        )
        async for batch in batches:
            for line in batch:
                self._take(words, line)

    def _take(self, words: BenchmarkWords, line: LogLine) -> None:
        words.hear(line.text, line.time)
        if line.text.strip() and not line.text.startswith("{"):
            self.last_lines.append(line.text.strip())

    async def _watch(self, observations: AsyncIterator[Observation]) -> None:
        """Return when the benchmark's container has ended. Raises when its pod is lost."""
        async for self.seen in observations:
            if self.seen.terminated(BENCHMARK_CONTAINER) is not None:
                return
            self._raise_if_gone()
            ending = why_ended(self.seen.pod, BENCHMARK_CONTAINER, self.seen.events, self.seen.job)
            if ending is not None and ending.kind in ("deleted", "node lost", "evicted"):
                self._tell("pod", self.deployment.pod, "failed", ending.sentence)
                # Not all nodes say how a container of a deleted pod ended before all have ended,
                # and the keeper waits for us.
                raise self._failure(ending)

    def _conclude(self, words: BenchmarkWords) -> str:
        terminated: JsonObject = self.seen.terminated(BENCHMARK_CONTAINER) or {}
        status = int(terminated.get("exitCode") or 0)
        pod = self.deployment.pod
        ending = why_ended(self.seen.pod, BENCHMARK_CONTAINER, self.seen.events, self.seen.job)
        if ending is not None and not (words.explained and ending.kind == "failed"):
            self._tell("pod", pod, "failed", ending.sentence)
            raise self._failure(ending)
        try:
            # Nodes lose the end of a log now and then; whether the results are whole is seen there.
            if status == 0 and not words.explained:
                summary = "the benchmark is done, its last words are lost"
            else:
                summary = words.conclude(status)
        except StageError:
            self._tell("pod", pod, "failed", f"the benchmark ended with status {status}")
            raise
        self._tell("pod", pod, "ready", "the benchmark is done; its results wait")
        self._tell("job", self.deployment.job_name, "ready", "its benchmark is done")
        return f"{summary}, on node {self.seen.node}"

    def _raise_if_gone(self) -> None:
        seen = self.seen
        if seen.was_there and seen.pod is None:
            ending = why_ended(None, BENCHMARK_CONTAINER, seen.events, seen.job)
            raise self._failure(ending or _GONE)
        if seen.pod is not None and (seen.pod.get("status") or {}).get("phase") == "Failed":
            ending = why_ended(seen.pod, BENCHMARK_CONTAINER, seen.events, seen.job)
            if ending is not None and seen.terminated(BENCHMARK_CONTAINER) is None:
                self._tell("pod", seen.pod_name, "failed", ending.sentence)
                raise self._failure(ending)

    def _failure(self, reason: Reason) -> StageError:
        """Return the error for a reason, with the benchmark's last lines and this run's name."""
        sentence = reason.sentence
        if self.last_lines:
            sentence += f" Its last lines: {' | '.join(self.last_lines)}"
        command = "gpubench-tui --no-ui rerun"
        return StageError(
            sentence, reason.remedy.replace(command, f"{command} {self.context.run_id}")
        )

    def _tell_waiting(self, why: str) -> None:
        pod = self.seen.pod_name
        self._tell(
            "job", self.deployment.job_name, "waiting", "waits for its pod to start" if pod else why
        )
        if pod:
            self._tell("pod", pod, "waiting", why)

    def _tell(self, kind: str, name: str, state: str, detail: str) -> None:
        # The sentences name the object too, and so does every place that shows a part.
        for prefix in (f"Pod {name} ", f"Job {name} "):
            detail = detail.removeprefix(prefix)
        if self.said.get((kind, name)) == (state, detail):
            return
        self.said[kind, name] = (state, detail)
        self.context.emit(
            PartChanged.model_validate(
                {"kind": kind, "name": name, "state": state, "detail": detail}
            )
        )
