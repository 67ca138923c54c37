"""``teardown``: remove everything that a run left, and prove it."""

from __future__ import annotations

import asyncio
import json
import sys

from core.cli.opening import open_journal, settings_of
from core.cli.output import Output, outliving_the_terminal
from core.cli.parser import Options
from core.errors import ExitCode, InputError
from core.run.process import utc_now
from core.run.teardown import Teardown, TeardownPlan
from core.targets.registry import hands_of
from core.text import columns, harmless


def execute(options: Options) -> int:
    """Tear down; with --dry-run tell what that would do. Returns 5 when something may be left."""
    with open_journal(settings_of(options)) as journal:
        run = journal.run(options.run)
        take = Output(options).take
        teardown = Teardown(journal, run, utc_now, hands=hands_of(journal, run), take=take)
        plan = teardown.plan()
        if options.dry_run:
            _print_plan(plan, options.format)
            return ExitCode.DONE
        _demand_confirmation(plan, options.yes)
        with outliving_the_terminal():
            finished = asyncio.run(teardown.execute())
    return ExitCode.CLEANUP_INCOMPLETE if finished.left else ExitCode.DONE


def _demand_confirmation(plan: TeardownPlan, given: str | None) -> None:
    if plan.confirmation and given != plan.confirmation:
        raise InputError(
            f"Teardown of run {plan.run} removes what costs ${plan.usd_per_hour:.2f} an hour and "
            "must be confirmed by name; nothing was changed.",
            f"Type: {plan.command}",
        )


def _print_plan(plan: TeardownPlan, form: str) -> None:
    if form == "json":
        print(json.dumps(_document(plan)))
        return
    if not plan.removals:
        print(f"Run {plan.run} left nothing to remove.", file=sys.stderr)
        return
    rows = [("ORDER", "KIND", "NAME", "WHERE", "$/H")]
    rows += [
        (
            str(order),
            harmless(removal.intended.kind),
            harmless(removal.intended.name),
            harmless(removal.intended.location),
            f"{removal.intended.usd_per_hour:.3f}",
        )
        for order, removal in enumerate(plan.removals, start=1)
    ]
    print("\n".join(columns(rows)))
    print(
        f"Together ${plan.usd_per_hour:.3f} an hour. To remove them: {plan.command}",
        file=sys.stderr,
    )


def _document(plan: TeardownPlan) -> dict[str, object]:
    return {
        "run": plan.run,
        "removals": [
            {
                "order": order,
                "kind": removal.intended.kind,
                "name": removal.intended.name,
                "location": removal.intended.location,
                "identity": removal.identity,
                "usd_per_hour": removal.intended.usd_per_hour,
                "delete_command": removal.intended.delete_command,
            }
            for order, removal in enumerate(plan.removals, start=1)
        ],
        "usd_per_hour": plan.usd_per_hour,
        "confirmation": plan.confirmation,
        "command": plan.command,
    }
