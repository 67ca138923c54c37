"""``run``: write a run down, start its process, and follow it unless it is to be left alone."""

from __future__ import annotations

import os

from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.cli.starting import start_all
from core.errors import ExitCode, SettingsError
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
                print(_manifest(each, plan), end="")
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


def _manifest(settings: Settings, plan: object) -> str:
    from benchmark.plan import Plan
    from core.targets.kubernetes.manifest import manifest

    assert isinstance(plan, Plan)
    if settings.target != "kubernetes":
        raise SettingsError(
            "--dry-run shows what a run puts on a cluster; target local puts nothing anywhere.",
            "Add --target kubernetes, or leave it out.",
        )
    return manifest(resolved(settings, os.environ), plan)
