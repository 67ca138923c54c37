"""The runs of a study: each in its own process, as every run."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from benchmark.errors import ResultFileError, WorkError
from benchmark.plan import Plan, Scenario, make_plan
from benchmark.results import RESULT_FILE, Result, read_result
from core.cli.following import Stopper, display_for, follow_to_end
from core.cli.output import Output, outliving_the_terminal
from core.cli.parser import Options
from core.cli.starting import follow_started, start_execution, start_run
from core.cli.study_conduct import Ran
from core.errors import ExitCode
from core.run.events import RunCreated, RunState, Stage
from core.run.journal import Journal, Run
from core.run.process import utc_now
from core.run.processes import PROCESS
from core.run.resuming import end_teardown, only_ends
from core.run.view import RunView, StageState
from core.settings import Settings
from core.targets.registry import hands_of, resumable
from core.verdict.study import Block, LegPlan
from core.verdict.voids import void_evidence


class StudyRuns:
    """Starts runs with ``settings``' places and follows them on this terminal."""

    def __init__(
        self, journal: Journal, settings: Settings, options: Options, stopper: Stopper
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._options = options
        self._stopper = stopper
        self._processes: dict[str, tuple[Run, subprocess.Popen[bytes]]] = {}

    @property
    def asked_to_stop(self) -> bool:
        """Whether there was a Ctrl-C."""
        return self._stopper.asked

    def start(self, leg: LegPlan, block: Block, rates_from: str | None, note: str) -> str:
        """See :class:`core.cli.study_conduct.Runs`."""
        settings = settings_here(leg, self._settings)
        plan = leg.plan.model_copy(update={"repeats": block.blocks})
        if rates_from is not None and (rates := self._rates(rates_from, plan)):
            settings = settings.model_copy(update={"arrival_rates_from": rates_from})
            plan = with_rates(plan, rates)
        settings = settings.model_copy(update={"repeats": block.blocks})
        started = start_run(settings, self._journal, plan, note)
        self._stopper.take(started[0].id)
        self._processes[started[0].id] = started
        return started[0].id

    def find(self, note: str) -> str | None:
        """See :class:`core.cli.study_conduct.Runs`."""
        for run in self._journal.runs():
            first = next(
                (event.record for _line, event in self._journal.stream(run.id, most=1)), None
            )
            if isinstance(first, RunCreated) and first.note == note:
                return run.id
        return None

    def follow(self, run: str) -> None:
        """See :class:`core.cli.study_conduct.Runs`. Of one that was killed while it ended, the end
        is brought about here, as ``resume`` does.
        """
        started = self._processes.pop(run, None) or self._taken_up(self._journal.run(run))
        if started is None and self._lacks_its_end(run):
            self._end(self._journal.run(run))
        elif started is not None:
            follow_started([started], self._journal, self._options, self._stopper)
        else:
            self._stopper.take(run)
            follow_to_end(self._journal, run, display_for(self._options))

    def _taken_up(self, run: Run) -> tuple[Run, subprocess.Popen[bytes]] | None:
        """Return the new process of a run that died, where another can go on with it."""
        if self._journal.state_now(run, utc_now()) is not RunState.DIED or not resumable(run):
            return None
        if only_ends(run, self._view(run.id)):
            return None
        results_dir = run.folder.parent.parent
        process = start_execution(self._journal, run, results_dir, self._settings.state_dir)
        self._stopper.take(run.id)
        return run, process

    def _view(self, run: str) -> RunView:
        return RunView.of(self._journal.events(run))

    def _lacks_its_end(self, run: str) -> bool:
        """Return whether a run died that only had to end, where another process can end it."""
        found = self._journal.run(run)
        died = self._journal.state_now(found, utc_now()) is RunState.DIED
        view = self._view(run)
        return died and resumable(found) and only_ends(found, view) and view.torn_down is None

    def _end(self, run: Run) -> None:
        ending = end_teardown(
            self._journal,
            run,
            utc_now,
            hands=hands_of(self._journal, run),
            take=Output(self._options).take,
        )
        with outliving_the_terminal():
            asyncio.run(ending)

    def ending(self, run: str) -> Ran:
        """See :class:`core.cli.study_conduct.Runs`.

        Raises:
            WorkError: it died where another process can go on with it, or a pod still holds its
                results.
        """
        found = self._journal.run(run)
        view = self._view(run)
        state = self._journal.state_now(found, utc_now())
        left = (
            ""
            if view.torn_down is None
            else ", ".join(f"{each.kind} {each.name}" for each in view.torn_down.left)
        )
        if state is RunState.DIED and resumable(found) and view.torn_down is None:
            raise WorkError(
                f"Run {run} died: its process is gone, and what it created may still be there.",
                "study --resume goes on with it; "
                f"gpubench-tui --no-ui teardown {run} removes what it created.",
            )
        results = view.stages.get(Stage.RESULTS)
        fetched = None if results is None else results.state
        if resumable(found) and (state, fetched) == (RunState.FAILED, StageState.FAILED):
            _refuse_held(run, view)
        match state:
            case RunState.DONE:
                return _measured(found.folder, left)
            case RunState.FAILED if fetched is StageState.DONE:
                # Somebody has collected them since.
                return _measured(found.folder, left)
            case RunState.INTERRUPTED:
                return Ran("interrupted", view.sentence, left)
            case RunState.DIED:
                return Ran("died", "its process died.", left)
        is_lasting = view.exit_code == ExitCode.WRONG_INPUT
        return Ran("impossible" if is_lasting else "failed", view.sentence, left)

    def _rates(self, run: str, plan: Plan) -> dict[str, float]:
        return needed_rates(read_result(self._journal.run(run).folder / RESULT_FILE), plan)


def settings_here(leg: LegPlan, here: Settings) -> Settings:
    """Return a leg's settings; where things lie is this command's to say."""
    return Settings.model_validate(leg.settings).model_copy(
        update={"results_dir": here.results_dir, "state_dir": here.state_dir}
    )


def needed_rates(result: Result, plan: Plan) -> dict[str, float]:
    """Return the Server arrival rates that a plan leaves open and a result has, by measurement."""
    rates = result.arrival_rates()
    return {
        each.name: rates[each.name]
        for each in plan.measurements()
        if each.scenario is Scenario.SERVER
        and each.name not in plan.server.arrival_rates
        and each.name in rates
    }


def with_rates(plan: Plan, rates: dict[str, float]) -> Plan:
    """Return the plan with these arrival rates beside its own."""
    server = plan.server.model_dump()
    server["arrival_rates"] = {**server["arrival_rates"], **rates}
    return make_plan({**plan.model_dump(), "server": server}, f"profile {plan.profile}")


def _refuse_held(run: str, view: RunView) -> None:
    """Raise WorkError where a cluster still has what a run measured: it can be fetched yet."""
    held = (each.exists and each.intended.kind != PROCESS for each in view.resources.values())
    if any(held):
        raise WorkError(
            f"The results of run {run} are not here yet: {view.sentence.rstrip('.')}.",
            f"gpubench-tui --no-ui collect {run} fetches them, and teardown {run} gives them up; "
            "after that study --resume goes on.",
        )


def _measured(folder: Path, left: str) -> Ran:
    void = _void(folder)
    return Ran("void" if void else "good", void, left)


def _void(folder: Path) -> str:
    """Return why a run is of no use: a measurement of which it has no good block. A void block
    among several good ones is left to the comparison, which leaves it out.
    """
    try:
        result = read_result(folder / RESULT_FILE)
    except ResultFileError as error:
        return error.sentence
    why: dict[str, str] = {}
    good: set[str] = set()
    for measurement in result.benchmarks:
        if reasons := void_evidence(measurement, result.device):
            why.setdefault(measurement.name, reasons[0])
        else:
            good.add(measurement.name)
    return "; ".join(f"{name}: {reason}" for name, reason in why.items() if name not in good)
