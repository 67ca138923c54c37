"""``sweep``: what runs have left in a Google Cloud project, found by its labels; remove it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from core.cli.opening import settings_of
from core.cli.output import outliving_the_terminal
from core.cli.parser import Options
from core.errors import ExitCode, InputError, JournalError, WorkError
from core.gcp.specs import label_value
from core.run.journal import Journal, Run
from core.run.process import utc_now
from core.run.stopping import ask_to_end, ended_at_work, process_of
from core.settings import Settings
from core.targets.gke.deployment import access_of, parse_place, resolve
from core.targets.gke.sweeping import (
    Choice,
    Outcome,
    Sweep,
    Verdict,
    alive_here,
    judge,
    run_label,
)
from core.text import columns, harmless

_IDLE_S = 180.0


def execute(options: Options) -> int:
    """List what is there; with --yes remove what goes. Returns 5 when something may be left."""
    settings = settings_of(options)
    known = resolve(_of_google(settings), os.environ)
    sweep = Sweep(access_of(known, os.environ), utc_now)
    choice = Choice(options.of_run, options.every, options.images)
    alive = _alive(settings)
    missed: list[str] = []
    found = asyncio.run(sweep.look(lambda problem: missed.append(problem.sentence)))
    verdicts = judge(found, choice, list(alive), utc_now())
    _demand_one_run(choice, verdicts)
    going = [verdict for verdict in verdicts if verdict.goes]
    outcomes: tuple[Outcome, ...] = ()
    if options.yes is not None and not options.dry_run and going:
        with outliving_the_terminal():
            outcomes = asyncio.run(_remove(sweep, going, alive, settings))
    if options.format == "json":
        print(json.dumps(_document(sweep, choice, verdicts, outcomes, missed)))
    else:
        _print(sweep, choice, verdicts, outcomes, missed)
    left = bool(missed) or any(not outcome.proof for outcome in outcomes)
    return ExitCode.CLEANUP_INCOMPLETE if left else ExitCode.DONE


def _of_google(settings: Settings) -> Settings:
    """Return the settings that say which project and as whom, the others as they are by default:
    a sweep needs no machine that fits.
    """
    return Settings(
        target="gke",
        project=settings.project,
        credentials=settings.credentials,
        impersonate=settings.impersonate,
    )


def _alive(settings: Settings) -> Mapping[str, Run]:
    """Return the runs that are at work here by their label; none where there is no journal."""
    journal = Journal.to_read(settings.state_dir)
    if journal is None:
        return {}
    with journal:
        return alive_here(journal, utc_now())


def _demand_one_run(choice: Choice, verdicts: Sequence[Verdict]) -> None:
    """Raises InputError when the beginning of an id is that of several runs."""
    runs = sorted({verdict.found.run for verdict in verdicts if verdict.goes and verdict.found.run})
    if choice.run is not None and len(runs) > 1 and label_value(choice.run) not in runs:
        raise InputError(
            f"{len(runs)} runs begin with {choice.run!r}: {', '.join(map(harmless, runs))}.",
            "Type more of the id.",
        )


async def _remove(
    sweep: Sweep, going: Sequence[Verdict], alive: Mapping[str, Run], settings: Settings
) -> tuple[Outcome, ...]:
    runs = {verdict.found.run for verdict in going}
    for label in sorted(runs & alive.keys()):
        await _end(alive[label], settings.state_dir)
    outcomes = await sweep.remove([verdict.found for verdict in going], _tell)
    # What was removed is removed, whether it can be written down or not.
    with suppress(JournalError):
        await _note(sweep, runs, settings)
    return outcomes


async def _end(run: Run, state_dir: Path) -> None:
    """Have a run's process ended, which would create anew what is removed. Raises WorkError."""
    process = process_of(run)
    if await ask_to_end(process):
        return
    with Journal(state_dir) as journal:
        has_ended = await ended_at_work(journal, run, process, _IDLE_S)
    if not has_ended:
        raise WorkError(
            f"Run {run.id} is at work and does not end.",
            f"gpubench-tui --no-ui teardown {run.id} ends it by force.",
        )


async def _note(sweep: Sweep, runs: set[str], settings: Settings) -> None:
    known = Journal.to_read(settings.state_dir)
    if known is None:
        return
    known.close()
    with Journal(settings.state_dir) as journal:
        for run in journal.runs():
            if run_label(run) in runs:
                await sweep.note(journal, run)


def _tell(outcome: Outcome) -> None:
    found = outcome.found
    place = parse_place(found.location)[1]
    words = f"gone: {outcome.proof}" if outcome.proof else f"still there: {outcome.reason}"
    # A reader that goes away stops no removal.
    with suppress(OSError):
        print(f"{found.kind} {harmless(found.name)} in {place} {words}", file=sys.stderr)


def _print(
    sweep: Sweep,
    choice: Choice,
    verdicts: Sequence[Verdict],
    outcomes: Sequence[Outcome],
    missed: Sequence[str],
) -> None:
    project = sweep.access.project
    for sentence in missed:
        print(f"Not known, and not looked at: {sentence}", file=sys.stderr)
    if not verdicts:
        if missed:
            return
        whose = "any run" if choice.run is None else f"run {harmless(choice.run)}"
        print(f"Project {project} has nothing of {whose}.", file=sys.stderr)
        return
    rows: list[tuple[str, ...]] = [
        ("KIND", "NAME", "WHERE", "RUN", "OWNER", "$/H", "GOES", "BECAUSE")
    ]
    rows += [_row(verdict) for verdict in verdicts]
    print("\n".join(columns(rows)))
    for outcome in outcomes:
        if not outcome.proof:
            found = outcome.found
            print(
                f"Not proved gone: {found.kind} {harmless(found.name)}: {outcome.reason}. "
                f"{found.delete_command}",
                file=sys.stderr,
            )
    if outcomes:
        return
    if any(verdict.goes for verdict in verdicts):
        print(f"To remove what goes: {_command(project, choice)}", file=sys.stderr)
    else:
        print("Nothing is overdue; --all takes also what is not.", file=sys.stderr)


def _row(verdict: Verdict) -> tuple[str, ...]:
    found = verdict.found
    usd = found.usd_per_hour
    return (
        found.kind,
        harmless(found.name),
        harmless(parse_place(found.location)[1]),
        harmless(found.run) or "-",
        harmless(found.owner) or "-",
        "unknown" if usd is None else f"{usd:.3f}",
        "yes" if verdict.goes else "no",
        harmless(verdict.why),
    )


def _command(project: str, choice: Choice) -> str:
    words = ["gpubench-tui", "--no-ui", "sweep", "--project", project]
    words += ["--all"] if choice.every else []
    words += ["--images"] if choice.images else []
    words += ["--run", choice.run] if choice.run is not None else []
    return shlex.join([*words, "--yes"])


def _document(
    sweep: Sweep,
    choice: Choice,
    verdicts: Sequence[Verdict],
    outcomes: Sequence[Outcome],
    missed: Sequence[str],
) -> dict[str, object]:
    done = {outcome.found: outcome for outcome in outcomes}
    things: list[dict[str, object]] = []
    for verdict in verdicts:
        found = verdict.found
        outcome = done.get(found)
        things.append(
            {
                "kind": found.kind,
                "name": found.name,
                "location": found.location,
                "run": found.run,
                "owner": found.owner,
                "expires": found.expires.isoformat() if found.expires is not None else None,
                "kept": found.is_kept,
                "usd_per_hour": found.usd_per_hour,
                "goes": verdict.goes,
                "because": verdict.why,
                "proof": outcome.proof if outcome is not None else "",
                "reason": outcome.reason if outcome is not None else "",
                "delete_command": found.delete_command,
            }
        )
    return {
        "project": sweep.access.project,
        "found": things,
        "left": [
            f"{outcome.found.kind} {outcome.found.name}"
            for outcome in outcomes
            if not outcome.proof
        ],
        "unasked": list(missed),
        "command": _command(sweep.access.project, choice),
    }
