"""What a later command knows of a run's settings, however far the run came."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import JournalError
from core.run.events import RunCreated
from core.run.journal import Journal
from core.run.process import utc_now
from core.settings import Settings
from core.targets.gke.deployment import GkeDeployment, cluster_name
from core.targets.registry import settings_of_run, workplace_of
from tests.core.runs import named_run


def created(**settings: Any) -> RunCreated:
    return RunCreated(
        target="local",
        leg="xen",
        profile="small",
        folder="/nowhere",
        stages=(),
        command="",
        settings=settings,
    )


def test_they_are_those_of_its_start(journal: Journal) -> None:
    run = named_run(journal, "run", leg="xen")
    journal.append(run.id, created(threads=3, of_a_newer_version=True), time=utc_now())
    assert settings_of_run(journal, run).threads == 3


def test_of_a_run_that_was_killed_before_its_first_event_the_rest_is_known(
    journal: Journal,
) -> None:
    run = named_run(journal, "run", leg="xen")
    settings = settings_of_run(journal, run)
    assert (settings.target, settings.leg) == ("local", "xen")


@pytest.mark.parametrize("wrong", [{"threads": "many"}, {"gpus": -1}])
def test_those_of_another_version_are_one_sentence(journal: Journal, wrong: dict[str, Any]) -> None:
    run = named_run(journal, "run")
    journal.append(run.id, created(**wrong), time=utc_now())
    with pytest.raises(
        JournalError, match=f"of run run are of another version: {next(iter(wrong))}"
    ):
        settings_of_run(journal, run)


def test_a_target_of_another_version_is_one_sentence(journal: Journal) -> None:
    with pytest.raises(JournalError, match="target"):
        settings_of_run(journal, named_run(journal, "run", target="moon"))


async def test_what_a_workplace_opened_is_closed_with_it(journal: Journal) -> None:
    run = named_run(journal, "run", target="gke")
    journal.append(run.id, created(target="gke", project="stand-in-project"), time=utc_now())
    workplace = workplace_of(journal, run)
    holder = workplace.holder
    assert isinstance(holder, GkeDeployment)
    async with workplace as place:
        assert place is holder.kube
        opened = holder.google()
        assert holder.google() is opened
    assert holder.google() is not opened


def test_clusters_whose_names_are_cut_stay_apart() -> None:
    suffixes = ("long-build-one-00000001", "long-build-two-00000001")
    names = {
        cluster_name(Settings(target="gke", project="stand-in-project", name_suffix=suffix))
        for suffix in suffixes
    }
    assert len(names) == len(suffixes)
    assert max(map(len, names)) <= 40
