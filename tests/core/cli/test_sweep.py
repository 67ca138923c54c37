"""``sweep`` as it is typed: what it prints, what it removes, and with which exit code it ends."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.cli import sweep
from core.cli.parser import Options
from core.errors import InputError
from core.run.events import ResourceIntended, RunState
from core.run.journal import Journal
from core.run.liveness import identify, this_host
from core.run.process import utc_now
from core.run.view import RunView
from tests.core.conftest import CommandLine
from tests.core.runs import named_run
from tests.core.targets.gke_scene import (
    CLUSTER,
    HOUR,
    OTHER,
    RUN,
    SPEED,
    ZONE,
    labels_of,
    quick_world,
    stand_up,
    standing,
)
from tests.core.teardowns import OBEDIENT, starting
from tests.google.sped_up import SpedUpPolicy
from tests.google.world import PROJECT, GoogleWorld

OVERDUE = labels_of(RUN, -HOUR)
NEEDED = labels_of(OTHER, HOUR)


class Beside:
    """The world in a thread of its own: a command has a loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def ask(self, question: Any, *arguments: Any) -> Any:
        async def answer() -> Any:
            return question(*arguments)

        return self.do(answer())

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def beside() -> Iterator[Beside]:
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(SpedUpPolicy(SPEED))
    thread = Beside()
    try:
        yield thread
    finally:
        thread.end()
        asyncio.set_event_loop_policy(before)


@pytest.fixture
def world(beside: Beside) -> Iterator[GoogleWorld]:
    async def made() -> GoogleWorld:
        return await quick_world().__aenter__()

    stand_in: GoogleWorld = beside.do(made())
    try:
        yield stand_in
    finally:
        beside.do(stand_in.__aexit__(None, None, None))


@pytest.fixture
def call(world: GoogleWorld, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The verb, with what the command line gives it."""
    for name, value in {**command_line.environment(), **world.environment()}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    monkeypatch.chdir(command_line.home)

    def execute(**given: Any) -> int:
        taken: dict[str, Any] = {"of_run": None, "every": False, "images": False, "dry_run": False}
        return sweep.execute(Options(**{"project": PROJECT, **taken, **given}))

    return execute


def orphan(world: GoogleWorld, name: str, labels: dict[str, str]) -> None:
    world.fleet.add_disk(name, ZONE, "pd-balanced", 10, labels)


def test_without_yes_it_lists_and_says_the_command(
    call: Any, world: GoogleWorld, beside: Beside, capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    beside.do(stand_up(world, labels_of(RUN, -1.5 * HOUR)))
    orphan(world, "needed", labels_of(OTHER, 1.5 * HOUR))
    before = beside.ask(standing, world)
    assert call() == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split() == ["KIND", "NAME", "WHERE", "RUN", "OWNER", "$/H", "GOES", "BECAUSE"]
    cluster = next(line for line in lines if line.startswith("cluster"))
    assert f"{CLUSTER}  {ZONE}  {RUN}  ann-laptop" in cluster
    assert "yes   overdue for 1 h 30 min" in cluster
    needed = next(line for line in lines if "needed" in line)
    assert re.search(r"no    needed for 1 h (29|30) min still$", needed)
    assert said.err == (
        "To remove what goes: gpubench-tui --no-ui sweep --project stand-in-project --yes\n"
    )
    assert beside.ask(standing, world) == before
    assert not state.exists()


def test_with_yes_it_removes_what_is_overdue_with_proof(
    call: Any, world: GoogleWorld, beside: Beside, capsys: pytest.CaptureFixture[str]
) -> None:
    beside.do(stand_up(world, OVERDUE))
    orphan(world, "needed", NEEDED)
    assert call(yes="yes") == 0
    said = capsys.readouterr()
    assert f"cluster {CLUSTER} in {ZONE} gone: container.googleapis.com has no cluster" in said.err
    assert beside.ask(standing, world) == ["disk needed"]


def test_a_dry_run_changes_nothing(call: Any, world: GoogleWorld, beside: Beside) -> None:
    orphan(world, "orphan", OVERDUE)
    assert call(yes="yes", dry_run=True) == 0
    assert beside.ask(standing, world) == ["disk orphan"]


def test_all_takes_also_what_is_needed(call: Any, world: GoogleWorld, beside: Beside) -> None:
    orphan(world, "needed", NEEDED)
    assert call(every=True, yes="yes") == 0
    assert beside.ask(standing, world) == []


def test_what_is_left_is_named_with_its_command_and_ends_with_5(
    call: Any, world: GoogleWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan(world, "orphan", OVERDUE)
    world.faults.add("compute.disks.delete", "permission", times=-1)
    assert call(yes="yes") == 5
    said = capsys.readouterr().err
    assert "Not proved gone: disk orphan: Google still has: disk orphan in us-central1-a" in said
    assert f"gcloud compute disks delete orphan --project {PROJECT} --zone {ZONE} --quiet" in said


def test_what_could_not_be_asked_is_told_and_ends_with_5(
    call: Any, world: GoogleWorld, beside: Beside, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan(world, "orphan", OVERDUE)
    world.gke.unlisted.add("us-central1-b")
    assert call(yes="yes") == 5
    said = capsys.readouterr().err
    assert "Not known, and not looked at: Google's list of clusters leaves out us-c" in said
    assert beside.ask(standing, world) == []
    assert call(format="json") == 5
    assert json.loads(capsys.readouterr().out)["unasked"]
    assert call() == 5
    assert "has nothing" not in capsys.readouterr().err


def test_json_is_one_object_with_everything(
    call: Any, world: GoogleWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan(world, "orphan", OVERDUE)
    orphan(world, "needed", NEEDED)
    assert call(format="json", yes="yes") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["project"] == PROJECT
    assert document["left"] == []
    gone, stays = document["found"]
    assert (gone["name"], gone["goes"], gone["run"]) == ("orphan", True, RUN)
    assert gone["proof"].startswith("compute.googleapis.com lists no disk orphan")
    assert (stays["name"], stays["goes"], stays["proof"]) == ("needed", False, "")


def test_a_project_with_nothing_says_so(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(yes="yes") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"Project {PROJECT} has nothing of any run.\n")


def test_a_run_with_nothing_is_said_to_have_nothing(
    call: Any, world: GoogleWorld, beside: Beside, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan(world, "orphan", OVERDUE)
    assert call(of_run=OTHER, yes="yes") == 0
    assert capsys.readouterr().err == f"Project {PROJECT} has nothing of run {OTHER}.\n"
    assert beside.ask(standing, world) == ["disk orphan"]


def test_no_project_is_wrong_input(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere")
    with pytest.raises(InputError, match="needs a Google Cloud project"):
        call(project=None)


def test_a_beginning_that_several_runs_have_is_refused(call: Any, world: GoogleWorld) -> None:
    orphan(world, "one", OVERDUE)
    orphan(world, "two", NEEDED)
    with pytest.raises(InputError, match="2 runs begin with '20261123'"):
        call(of_run="20261123", yes="yes")


def test_what_hostile_labels_say_steers_no_terminal(
    call: Any, world: GoogleWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan(world, "orphan", {**OVERDUE, "gpubench-owner": "\x1b[31mred"})
    assert call() == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_journal_of_this_machine_learns_of_it(
    call: Any, world: GoogleWorld, journal: Journal
) -> None:
    orphan(world, "orphan", OVERDUE)
    run = named_run(journal, RUN, target="gke", state=RunState.FAILED)
    intended = ResourceIntended(
        kind="disk", name="orphan", location=f"{PROJECT}/{ZONE}", delete_command="x"
    )
    journal.append(run.id, intended, time=utc_now())
    assert call(yes="yes") == 0
    (resource,) = RunView.of(journal.events(run.id)).resources.values()
    assert "lists no disk orphan" in resource.proof


def test_a_run_at_work_here_is_left_alone_until_it_is_named_and_is_ended_first(
    call: Any, world: GoogleWorld, beside: Beside, journal: Journal
) -> None:
    orphan(world, "orphan", OVERDUE)
    with starting() as begin:
        process = begin(OBEDIENT)
        named_run(
            *(journal, RUN),
            target="gke",
            host=this_host(),
            process=process,
            state=RunState.RUNNING,
        )
        journal.set_process(RUN, process)
        assert identify(process.pid) == process
        assert call(every=True, yes="yes") == 0
        assert beside.ask(standing, world) == ["disk orphan"]
        assert process.alive()
        assert call(of_run=RUN, yes="yes") == 0
        assert beside.ask(standing, world) == []
        assert not process.alive()
