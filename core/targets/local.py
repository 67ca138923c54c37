"""The ``local`` target: preflight -> job -> results on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import OutputError, ResultFileError, writing
from benchmark.files import write_atomically
from benchmark.process import ASKED_BY, environment_of_child
from benchmark.results import RESULT_FILE, read_result
from core.errors import StageError, WorkError
from core.run.events import (
    ResourceCreated,
    ResourceDeleted,
    ResultsStored,
    Stage,
    StageChecked,
)
from core.run.journal import Journal
from core.run.liveness import identify
from core.run.pipeline import StageContext, StageWork
from core.run.processes import (
    PROCESS,
    RUN_VARIABLE,
    ProcessHand,
    identity_text,
    process_intended,
)
from core.run.view import ResourceView
from core.targets.words import BenchmarkWords

PLAN_FILE = "plan.json"
_BENCHMARK = "benchmark"
_DISK_SPACE = "disk space"
_NEEDED_BYTES = 512 * 2**20
NEEDED_MODULES = ("torch", "torchvision", "mlperf_loadgen", "numpy")
# The benchmark answers SIGTERM within 2 s; what has not ended by then is killed.
_GRACE_S = 5.0
_LONGEST_LINE = 2**20


def local_stages(journal: Journal) -> tuple[StageWork, ...]:
    """Return the stages of the local target."""
    return (Preflight(journal), Job(), Results())


@dataclass(frozen=True)
class Preflight:
    """Looks at what the job needs before anything is started."""

    journal: Journal
    stage: Stage = Stage.PREFLIGHT
    needs: frozenset[Stage] = frozenset()

    async def run(self, context: StageContext) -> str:
        """Emit one check a condition. Raises StageError when a required one is not met."""
        checks = [
            _check_modules(),
            check_disk(context.folder),
            _check_files(context),
            self._check_other_runs(context),
        ]
        for check in checks:
            context.emit(check)
        failed = [check for check in checks if check.required and not check.passed]
        if failed:
            sentence = "; ".join(f"{check.name}: {check.detail}" for check in failed)
            remedy = " ".join(check.remedy for check in failed)
            # A full disk is nobody's wrong input.
            code = 1 if all(check.name == _DISK_SPACE for check in failed) else 2
            raise StageError(f"This machine is not ready: {sentence}.", remedy, exit_code=code)
        warned = [check for check in checks if not check.passed]
        if warned:
            return "; ".join(check.detail for check in warned)
        return f"{len(checks)} checks passed"

    def _check_other_runs(self, context: StageContext) -> StageChecked:
        from core.run.process import utc_now

        now = utc_now()
        others = [
            run.id
            for run in self.journal.runs()
            if run.id != context.run_id
            and run.target == "local"
            and not self.journal.state_now(run, now).ended
        ]
        return StageChecked(
            name="machine is free",
            passed=not others,
            detail=f"{len(others)} other run(s) measure on this machine and disturb each other"
            if others
            else "no other run is under way",
            remedy="Run one after the other for numbers that mean something.",
            required=False,
        )


def _check_modules() -> StageChecked:
    missing = [name for name in NEEDED_MODULES if importlib.util.find_spec(name) is None]
    return StageChecked(
        name="benchmark installed",
        passed=not missing,
        detail=f"missing: {', '.join(missing)}" if missing else "torch, torchvision, LoadGen",
        remedy="Install them, in a clone with: pip install -e '.[local]'." if missing else "",
    )


def check_disk(folder: Path) -> StageChecked:
    """Return whether a run's folder has room for what a run writes."""
    free = shutil.disk_usage(folder).free
    return StageChecked(
        name=_DISK_SPACE,
        passed=free >= _NEEDED_BYTES,
        detail=f"{free / 2**30:.1f} GiB free in {folder}",
        remedy=f"{_NEEDED_BYTES >> 20} MiB are needed: free some or set --results-dir.",
    )


def check_latest(latest: Path) -> StageChecked:
    """Return whether ``publish`` will be able to make the leg's folder lead to a run's."""
    is_free = os.path.islink(latest) or not os.path.lexists(latest)
    return StageChecked(
        name="results folder",
        passed=is_free,
        detail=f"{latest} is in the way: it is not a link that this program made"
        if not is_free
        else f"{latest} will lead to the results",
        remedy="" if is_free else "Move it away, or choose another leg or --name-suffix.",
    )


def _check_files(context: StageContext) -> StageChecked:
    plan = context.plan
    missing = []
    if plan.weights not in ("auto", "pretrained", "random") and not os.access(
        plan.weights, os.R_OK
    ):
        missing.append(f"weights {plan.weights}")
    if plan.dataset != "synthetic" and not os.access(plan.dataset, os.R_OK | os.X_OK):
        missing.append(f"image folder {plan.dataset}")
    return StageChecked(
        name="inputs readable",
        passed=not missing,
        detail=f"cannot read {', '.join(missing)}" if missing else "weights and samples",
        remedy="Name files that exist and that you may read." if missing else "",
    )


@dataclass(frozen=True)
class Job:
    """Runs ``python -m benchmark`` and passes on what it says."""

    stage: Stage = Stage.JOB
    needs: frozenset[Stage] = frozenset({Stage.PREFLIGHT})

    async def run(self, context: StageContext) -> str:
        """Run the benchmark to its end.

        Raises:
            StageError: it failed, in its own words.
        """
        plan_file = context.folder / PLAN_FILE
        write_atomically(plan_file, context.plan.model_dump_json(indent=1))
        resource = ResourceView(process_intended(context.run_id, _BENCHMARK))
        context.emit(resource.intended)
        try:
            return await _benchmark(context, plan_file, resource)
        finally:
            await _note_gone(context, resource)


async def _benchmark(context: StageContext, plan_file: Path, resource: ResourceView) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "benchmark", "--plan", str(plan_file)),
        *("--output", str(context.folder), "--run-id", context.run_id, "--leg", context.leg),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        env=environment_of_child(**{ASKED_BY: "1", RUN_VARIABLE: context.run_id}),
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said = BenchmarkWords(context)
    try:
        if (identity := identify(process.pid)) is not None:
            resource.identity = identity_text(identity)
            context.emit(ResourceCreated(kind=PROCESS, name=_BENCHMARK, identity=resource.identity))
        await asyncio.gather(
            _each_line(process.stdout, said.hear),
            _each_line(process.stderr, lambda line: context.log("benchmark", line)),
        )
        status = await process.wait()
    except BaseException:
        await _end(process)
        raise
    return said.conclude(status)


async def _note_gone(context: StageContext, resource: ResourceView) -> None:
    """End what the benchmark may have left and note the proof; without one, teardown looks."""
    hand = ProcessHand(context.run_id)
    proof = None
    with contextlib.suppress(WorkError):
        await hand.delete(resource)
        proof = await hand.gone(resource)
    if proof:
        context.emit(ResourceDeleted(kind=PROCESS, name=_BENCHMARK, proof=proof))


async def _each_line(stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            # Longer than the limit: the reader has dropped it and goes on with what follows.
            take("[a line of more than 1 MiB was left out]")
            continue
        if not line:
            return
        take(line.decode("utf-8", "backslashreplace").rstrip("\r\n"))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop the benchmark gently, then for good, with everything that it has started."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _GRACE_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@dataclass(frozen=True)
class Results:
    """Checks the result file and makes it the leg's latest."""

    published_as: str = ""
    """The folder beside ``runs`` that leads to the run; by default the leg."""
    stage: Stage = Stage.RESULTS
    needs: frozenset[Stage] = frozenset({Stage.JOB})

    async def run(self, context: StageContext) -> str:
        """Read the file back as any reader would, then publish it.

        Raises:
            ResultFileError: the file is not what it should be.
            OutputError: the leg's folder is in the way.
        """
        path = context.folder / RESULT_FILE
        result = await asyncio.to_thread(read_result, path)
        if result.run_id != context.run_id:
            raise ResultFileError(f"{path} holds the results of another run, {result.run_id}.")
        latest = publish(context.folder, context.results_dir / (self.published_as or context.leg))
        void = sum(measurement.void for measurement in result.benchmarks)
        context.emit(
            ResultsStored(
                result_file=str(path),
                latest=str(latest),
                good=len(result.benchmarks) - void,
                void=void,
            )
        )
        return f"{latest / RESULT_FILE}"


def publish(folder: Path, latest: Path) -> Path:
    """Make ``latest`` lead to ``folder`` in one step, by a relative link.

    Raises:
        OutputError: something that is not such a link stands there already.
    """
    if latest.exists() and not latest.is_symlink():
        raise OutputError(
            f"{latest} is in the way: it is not a link that this program made.",
            "Move it away; the results are in the run's folder.",
        )
    link = latest.with_name(f".{latest.name}.{os.getpid()}.tmp")
    with writing(latest):
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(folder, latest.parent))
        link.replace(latest)
    return latest
