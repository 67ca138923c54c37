"""``study``: measure both legs in interleaved blocks until the verdict is sure."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

from benchmark.errors import ProblemError
from core.cli.compare import EXIT_CODES
from core.cli.flags import COMMON_FLAGS
from core.cli.following import Plain, Silent, Stopper, interrupts_to
from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.cli.study_conduct import Conductor
from core.cli.study_judge import StudyJudge
from core.cli.study_plan import layer_problem, study_plan, study_settings
from core.cli.study_runs import StudyRuns, settings_here
from core.cli.study_store import StudyStore
from core.cli.study_words import Outlook, StudyWords, end_lines, left_lines, plan_lines
from core.errors import ExitCode, InputError
from core.run.journal import Journal
from core.run.process import utc_now
from core.settings import Settings
from core.targets.expectation import expect
from core.text import harmless
from core.verdict.study import Block, End, StudyPlan


def execute(options: Options) -> int:
    """Conduct a study, or go on with one. Returns the exit code of its verdict.

    Raises:
        ProblemError: it cannot be begun, or something keeps it from going on; it can be resumed.
    """
    if options.resume is not None:
        return _resume(options.resume, options)
    legs = study_settings(options)
    settings = legs[0]
    with open_journal(settings) as journal:
        plan = study_plan(options, legs, journal, utc_now())
        if options.dry_run:
            _show(plan_lines(plan, Prospect(plan, journal, settings), is_draft=True))
            return ExitCode.DONE
        if problem := layer_problem(plan):
            raise InputError(
                f"The legs could never be compared: {problem}.",
                "Give each leg a machine of its own layer (--target kubernetes), measure there "
                "with `run` and compare; or --allow layer, which never yields within target.",
            )
        with StudyStore.create(settings.results_dir, plan) as store:
            return _conduct(store, journal, settings, options)


def _resume(name: str, options: Options) -> int:
    """Go on with a study; of one that has ended, tell its end again."""
    settings = settings_of(options)
    _refuse_changes(options)
    with (
        open_journal(settings) as journal,
        StudyStore.open(settings.results_dir, name) as store,
    ):
        state = store.state
        prospect = Prospect(state.plan, journal, settings)
        if options.dry_run:
            _show((*plan_lines(state.plan, prospect), *left_lines(state, prospect)))
            if state.ended is not None:
                _show(end_lines(store, state.ended))
            return ExitCode.DONE
        if state.ended is not None:
            _words(store, prospect, options, _display(options)).over(state.ended)
            return exit_code(state.ended)
        return _conduct(store, journal, settings, options)


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        print(harmless(line))


def _refuse_changes(options: Options) -> None:
    flags = {name: value for name, value in options.flags().items() if name not in COMMON_FLAGS}
    own = ("baseline", "xen", "blocks", "looks", "calibration", "allow", "target_overhead")
    given = {**flags, **{name: getattr(options, name) for name in own}}
    if changed := [name for name, value in given.items() if value is not None]:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in changed)
        raise InputError(
            f"A study goes on as it was planned, and {names} would change it.",
            "Leave it out, or begin a new study.",
        )


def _display(options: Options) -> Plain | Silent:
    return Silent() if options.quiet else Plain()


def _words(
    store: StudyStore, prospect: Prospect, options: Options, display: Plain | Silent
) -> StudyWords:
    emits = options.events or options.quiet or not sys.stdout.isatty()
    return StudyWords(
        store,
        prospect,
        lambda text: display.say(harmless(text)),
        _print if emits else None,
        utc_now,
    )


def _conduct(store: StudyStore, journal: Journal, settings: Settings, options: Options) -> int:
    display = _display(options)
    stopper = Stopper(journal, display.say)
    words = _words(store, Prospect(store.state.plan, journal, settings), options, display)
    conductor = Conductor(
        store,
        StudyRuns(journal, settings, options, stopper),
        StudyJudge(store, settings.results_dir, journal, utc_now),
        words,
        time.sleep,
    )
    with interrupts_to(stopper):
        words.planned()
        try:
            resumed = options.resume is not None
            end = conductor.resume(utc_now()) if resumed else conductor.conduct()
        except ProblemError:
            words.stopped()
            raise
    if end is None:
        words.stopped()
        return ExitCode.INTERRUPTED
    return exit_code(end)


def _print(line: str) -> None:
    print(line, flush=True)


def exit_code(end: End) -> ExitCode:
    """Return what a study's end is to a script, as ``compare`` has it."""
    return ExitCode.NO_VERDICT if end.verdict is None else EXIT_CODES[end.verdict]


class Prospect:
    """What blocks will take, by earlier runs like them, else by the plan's sizes."""

    def __init__(self, plan: StudyPlan, journal: Journal, settings: Settings) -> None:
        self._plan = plan
        self._journal = journal
        self._settings = settings

    def __call__(self, blocks: Sequence[Block]) -> Outlook:
        """Return time and cost of these blocks, one after the other."""
        seconds, usd = 0.0, 0.0
        known = True
        kinds = {(block.is_baseline, block.blocks) for block in blocks}
        for is_baseline, repeats in sorted(kinds):
            leg = self._plan.baseline if is_baseline else self._plan.xen
            plan = leg.plan.model_copy(update={"repeats": repeats})
            expectation = expect(settings_here(leg, self._settings), plan, self._journal)
            count = sum((b.is_baseline, b.blocks) == (is_baseline, repeats) for b in blocks)
            seconds += count * expectation.seconds
            known = known and expectation.usd is not None
            usd += count * (expectation.usd or 0.0)
        return Outlook(seconds, usd if known else None)
