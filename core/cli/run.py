"""``run``: write a run down, start its process, and follow it unless it is to be left alone."""

from __future__ import annotations

import os

from benchmark.plan import Plan
from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.cli.starting import start_all
from core.errors import ExitCode, SettingsError
from core.run.journal import Journal
from core.settings import Settings
from core.targets.planning import plan_of
from core.targets.registry import resolved


def execute(options: Options) -> int:
    """Start a run, or one for each value of a node label. Returns the runs' exit code, or 0 at
    once with --detach; with --dry-run print what would be put on the cluster.
    """
    settings = settings_of(options)
    with open_journal(settings) as journal:
        wanted = _each(settings, options.each) if options.each is not None else [settings]
        if options.dry_run:
            for each in wanted:
                plan, _note = plan_of(each, journal)
                print(_shown(resolved(each, os.environ), plan, journal), end="")
            return ExitCode.DONE
        return start_all(wanted, journal, options)


def _each(settings: Settings, label: str) -> list[Settings]:
    import asyncio

    if settings.target != "kubernetes":
        raise SettingsError(
            "--each makes a run for each kind of node, and only a cluster has several.",
            "Add --target kubernetes, or leave it out.",
        )
    from core.targets.kubernetes.spreading import one_for_each

    return asyncio.run(one_for_each(resolved(settings, os.environ), label))


def _shown(settings: Settings, plan: Plan, journal: Journal) -> str:
    if settings.target == "kubernetes":
        from core.targets.kubernetes.manifest import manifest

        return manifest(settings, plan)
    if settings.target == "gke":
        return _shown_on_gke(settings, plan, journal)
    raise SettingsError(
        "--dry-run shows what a run puts on a cluster; target local puts nothing anywhere.",
        "Add --target kubernetes or gke, or leave it out.",
    )


def _shown_on_gke(settings: Settings, plan: Plan, journal: Journal) -> str:
    """Return the plan and its commands as comments before the Job: the whole stays YAML."""
    from core.report.plans import plan_lines
    from core.targets.expectation import expect
    from core.targets.gke.showing import commands, manifest

    planned = expect(settings, plan, journal).planned
    lines = plan_lines(planned) if planned is not None else []
    lines += ["", "The same by hand; the run itself needs neither gcloud nor kubectl:"]
    for what, command in commands(settings):
        lines += ([f"{what}:"] if what else []) + [f"  {command}"]
    comments = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    return f"---\n{comments}{manifest(settings, plan)}"
