"""One Job from its creation to its end: why it waits, what it says, how it ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from core.errors import ProblemError, StageError
from core.kube.cluster import Cluster
from core.kube.ended import why_ended
from core.kube.errors import ClusterError, NotFoundError
from core.kube.logs import LogLine, follow_log
from core.kube.objects import BENCHMARK_CONTAINER
from core.kube.observing import Observation
from core.kube.reading import moment, whole, words
from core.kube.reason import Reason
from core.kube.transfer import PodGoneError, collect, release
from core.kube.waiting import why_waiting
from core.run.events import LogStreamInterrupted, LogStreamResumed, PartChanged
from core.run.pipeline import StageContext
from core.targets.kubernetes.deployment import Deployment
from core.targets.repetition import heard_before
from core.targets.words import SOURCE, BenchmarkWords

_LAST_LINES = 3
_RERUN = "gpubench-tui --no-ui rerun"
_POD_GONE = Reason("deleted", "The pod is gone.", f"{_RERUN} measures again.", False)
_JOB_GONE = Reason(
    "deleted", "The Job was deleted before it had a pod.", f"{_RERUN} measures again.", False
)
# Ends of a pod that its node may be slow, or not there, to say of the container.
_ENDS_OF_PODS = ("deleted", "node lost", "evicted", "preempted", "deadline")
# The Job controller deletes a pod first and says why afterwards.
_JOBS_WORD_S = 2.0
# After the pod's end its log may still hold lines that were not read yet.
_DRAIN_S = 5.0
# Within the pod's grace period, and within what a person waits after Ctrl-C.
_SALVAGE_S = 20.0


@dataclass
class Attempt:
    """What one Job does, as it is seen and told."""

    deployment: Deployment
    context: StageContext
    cluster: Cluster
    observations: AsyncIterator[Observation]
    seen: Observation = field(default_factory=Observation)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    said: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    async def wait_for_start(self) -> None:
        """Return when the benchmark's container runs, or has run.

        Raises:
            StageError: it will not, or did not within the time that it was given.
        """
        reason = None
        minutes = self.deployment.settings.start_minutes
        try:
            async with asyncio.timeout(minutes * 60):
                async for seen in self.observations:
                    self.seen = seen
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

    async def hear_to_the_end(self) -> str:
        """Pass on the log until the benchmark's container has ended; return what it measured.

        Raises:
            StageError: it failed, its pod was lost, or its time is over.
            ClusterError: log or pod cannot be followed.
        """
        limit_s = self.deployment.work_s(self.context.plan)
        heard = heard_before(self.context, self.deployment.pod, SOURCE)
        words_heard = BenchmarkWords(self.context, heard)
        over = asyncio.Event()
        log = asyncio.create_task(self._hear(words_heard, over))
        watching = asyncio.create_task(self._watch())
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.wait({log, watching}, return_when=asyncio.FIRST_COMPLETED)
                if not watching.done() and isinstance(log.exception(), NotFoundError):
                    # Gone with its pod: why that is gone is seen within moments.
                    await asyncio.wait({watching}, timeout=_DRAIN_S)
                if not watching.done():
                    # The log is over: a container that has ended is seen to have within moments.
                    log.result()
                await watching
            over.set()
            await self._rest_of(log)
        except TimeoutError:
            raise StageError(
                f"The benchmark did not end within {limit_s // 60} minutes.",
                "Give it longer with --job-minutes, or measure less.",
            ) from None
        except (ProblemError, asyncio.CancelledError):
            over.set()
            if not log.done():
                await asyncio.wait({log}, timeout=_DRAIN_S)
            raise
        finally:
            for task in (log, watching):
                task.cancel()
            await asyncio.gather(log, watching, return_exceptions=True)
        return self._conclude(words_heard)

    async def salvage(self, *, stopped: bool) -> None:
        """Fetch what had finished, although the Job as a whole has not: as on this machine, what
        there is stays. Whatever prevents it is only noted, and then the pod keeps it.

        ``stopped``: nobody wants the rest of it.
        """
        pod = self.deployment.pod
        if not pod or self.seen.pod is None:
            return
        runs_on = self.seen.terminated(BENCHMARK_CONTAINER) is None
        # A pod that is deleted while its Job stays is replaced, and would measure anew.
        may_delete = stopped or self.deployment.settings.keep == "nothing"
        try:
            async with asyncio.timeout(_SALVAGE_S):
                if runs_on and may_delete:
                    # Ends the benchmark; the keeper stays for the grace period.
                    await self.cluster.request(
                        "DELETE", f"/api/v1/namespaces/{self.cluster.namespace}/pods/{pod}"
                    )
                found = await collect(
                    self.cluster, pod, self.context.folder, report=lambda _done, _total: None
                )
                await release(self.cluster, pod)
            self.context.log("job", f"fetched what had finished: {found.files} files")
        except PodGoneError as problem:
            self.context.log("job", f"what had finished is lost: {problem.sentence}")
        except (ProblemError, TimeoutError) as problem:
            self.deployment.holding = not runs_on
            self.context.log("job", f"what had finished could not be fetched: {problem}")

    async def _rest_of(self, log: asyncio.Task[None]) -> None:
        """Wait for the log of a container that has ended. Its results do not depend on it."""
        try:
            await log
        except ClusterError as problem:
            self.context.log(SOURCE, f"[the log's end could not be read: {problem.sentence}]")

    async def _hear(self, words_heard: BenchmarkWords, over: asyncio.Event) -> None:
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
                self._take(words_heard, line)

    def _take(self, words_heard: BenchmarkWords, line: LogLine) -> None:
        words_heard.hear(line.text, line.time)
        if line.text.strip() and not line.text.startswith("{"):
            self.last_lines.append(line.text.strip())

    async def _watch(self) -> None:
        """Return when the benchmark's container has ended. Raises when its pod is lost."""
        # What was seen last may be all that there is to see.
        while not self._is_over():
            self.seen = await anext(self.observations)
            ending = self._ending()
            if ending is not None and ending.kind == "deleted":
                await self._wait_for_the_jobs_word()

    def _is_over(self) -> bool:
        if self.seen.terminated(BENCHMARK_CONTAINER) is not None:
            return True
        self._raise_if_gone()
        ending = self._ending()
        pod = self.deployment.pod
        if ending is None or ending.kind not in _ENDS_OF_PODS:
            if self.seen.node:
                self._tell("pod", pod, "working", f"runs on node {self.seen.node}")
            return False
        if ending.kind == "node lost" and not words(self.seen.pod, "metadata", "deletionTimestamp"):
            # It may come back; the cluster itself gives it up after some minutes.
            self._tell("pod", pod, "waiting", ending.sentence)
            return False
        # Not all nodes say how a container of a lost pod ended, and the keeper waits for us.
        self._tell("pod", pod, "failed", ending.sentence)
        raise self._failure(ending)

    async def _wait_for_the_jobs_word(self) -> None:
        try:
            async with asyncio.timeout(_JOBS_WORD_S):
                while (ending := self._ending()) is not None and ending.kind == "deleted":
                    self.seen = await anext(self.observations)
        except TimeoutError:
            return

    def _ending(self) -> Reason | None:
        seen = self.seen
        return why_ended(
            seen.pod, BENCHMARK_CONTAINER, seen.events, seen.job, node=seen.node_object
        )

    def _conclude(self, words_heard: BenchmarkWords) -> str:
        terminated = self.seen.terminated(BENCHMARK_CONTAINER) or {}
        self.deployment.ended_at = moment(terminated, "finishedAt")
        status = whole(terminated, "exitCode") or 0
        pod = self.deployment.pod
        ending = self._ending()
        if ending is not None and not (words_heard.explained and ending.kind == "failed"):
            self._tell("pod", pod, "failed", ending.sentence)
            raise self._failure(ending)
        try:
            # Nodes lose the end of a log now and then; whether the results are whole is seen there.
            if status == 0 and not words_heard.explained:
                summary = "the benchmark is done, its last words are lost"
            else:
                summary = words_heard.conclude(status)
        except StageError:
            self._tell("pod", pod, "failed", f"the benchmark ended with status {status}")
            raise
        self._tell("pod", pod, "ready", "the benchmark is done; its results wait")
        self._tell("job", self.deployment.job_name, "ready", "its benchmark is done")
        return f"{summary}, on node {self.seen.node}"

    def _raise_if_gone(self) -> None:
        seen = self.seen
        if seen.had_job and seen.job is None and not seen.had_pod:
            raise self._failure(_JOB_GONE)
        if seen.had_pod and seen.pod is None:
            raise self._failure(self._ending() or _POD_GONE)
        if words(seen.pod, "status", "phase") == "Failed":
            ending = self._ending()
            if ending is not None and seen.terminated(BENCHMARK_CONTAINER) is None:
                self._tell("pod", seen.pod_name, "failed", ending.sentence)
                raise self._failure(ending)

    def _failure(self, reason: Reason) -> StageError:
        """Return the error for a reason, with the benchmark's last lines and this run's name."""
        sentence = reason.sentence
        if self.last_lines:
            sentence += f" Its last lines: {' | '.join(self.last_lines)}"
        return StageError(
            sentence, reason.remedy.replace(_RERUN, f"{_RERUN} {self.context.run_id}")
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
