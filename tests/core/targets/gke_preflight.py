"""Preflight on GKE, run by a test: what it said, by the names of its checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.errors import StageError
from core.run.cost_events import RunPlanned
from core.run.events import StageChecked
from core.targets.gke.preflight import Preflight
from tests.core.targets.gke_run import GkeRun
from tests.google.world import PROJECT, GoogleWorld

NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
PINNED = {"image": f"us-central1-docker.pkg.dev/{PROJECT}/gpubench-tui/benchmark:tag"}


async def check(run: GkeRun, **options: Any) -> dict[str, StageChecked]:
    """Return every check by its name; the last of a name counts."""
    environment = options.pop("environment", NO_ENGINE)
    async with run.deployment:
        await Preflight(run.prospect, environment).run(run.context(**options))
    return {each.name: each for each in run.records(StageChecked)}


async def refused(run: GkeRun, **options: Any) -> list[StageChecked]:
    """Return the required checks that failed; the run is refused as wrong input by them."""
    with pytest.raises(StageError) as caught:
        await check(run, **options)
    assert caught.value.exit_code == 2
    failed = [each for each in run.records(StageChecked) if each.required and not each.passed]
    for each in failed:
        assert f"{each.name}: {each.detail}" in caught.value.sentence
        assert each.remedy
        assert each.remedy in caught.value.remedy
    assert run.records(RunPlanned) == []
    return failed


def limit(metric: str, value: float, region: str = "us-central1") -> Callable[[GoogleWorld], None]:
    return lambda world: world.capacity.quotas.update({(region, metric): value})
