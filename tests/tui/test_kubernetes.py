"""A run on a Kubernetes cluster in the console: what it waits for, and the keys about it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot

from core.run import events
from core.run.events import Stage
from core.run.journal import Journal
from tests.tui import kubernetes_run as told
from tests.tui.conftest import SetClock, screen_text, until, until_shown
from tests.tui.kubernetes_run import JOB, POD, RUN, Moment, append, part, write_down
from tests.tui.recorded import replay
from tests.tui.stand_ins import Answers, console_with
from tui.background import Answer
from tui.page import Page
from tui.widgets.title import Banner

SIZES = [(80, 24), (200, 60)]
both_sizes = pytest.mark.parametrize("size", SIZES, ids=["80x24", "200x60"])

Open = Callable[..., AbstractAsyncContextManager[Pilot[int]]]


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def open_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: Answers) -> Open:
    """Open the console over a run that came to a moment."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("GPUBENCH_", "XDG_", "KUBECONFIG")):
            monkeypatch.delenv(name)

    def opened(
        moment: Callable[[], list[Moment]], size: tuple[int, int] = (120, 40)
    ) -> AbstractAsyncContextManager[Pilot[int]]:
        write_down(tmp_path / "state", tmp_path / "results", moment)
        clock = SetClock(told.BEGUN + timedelta(seconds=100))
        return console_with(tmp_path, answers, size, clock=clock)

    return opened


async def dashboard(pilot: Pilot[int], *texts: str) -> None:
    await until_shown(pilot, RUN)
    await pilot.press("enter")
    await until_shown(pilot, *texts)


class TestStages:
    @both_sizes
    async def test_an_image_on_its_way_shows_a_bar_a_layer(
        self, open_run: Open, size: tuple[int, int]
    ) -> None:
        async with open_run(told.image_pushing, size) as pilot:
            await dashboard(pilot, "0.45/2.85 GB", "○ layer 4e5f60718293: for its turn")
            lines = screen_text(pilot).splitlines()
            layers = [line for line in lines if "2c3d4e5f6071" in line or "3d4e5f607182" in line]
            assert len(layers) == 2
            assert all("▶" in line and "━" in line and "─" in line for line in layers)
            assert "0.41/2.81 GB" in layers[0]

    async def test_of_more_layers_than_fit_those_on_their_way_are_seen_and_the_rest_counted(
        self, open_run: Open
    ) -> None:
        async with open_run(lambda: told.many_layers(40), (80, 24)) as pilot:
            await dashboard(pilot, "▶ layer-40", "more: ", "ready")
            assert "results" in screen_text(pilot)

    @both_sizes
    async def test_a_rollout_shows_each_node_and_why_one_failed(
        self, open_run: Open, size: tuple[int, int]
    ) -> None:
        async with open_run(told.drivers_rolling_out, size) as pilot:
            await dashboard(
                pilot,
                *("1/3 nodes", "✓ node gpu-node-1: driver 580", "▶ node gpu-node-2: the installer"),
                *("✗ node gpu-node-3", "403 Forbidden"),
            )

    @both_sizes
    async def test_why_a_pod_waits_is_seen_at_once_and_as_it_changes(
        self, open_run: Open, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        async with open_run(told.pod_pending, size) as pilot:
            await dashboard(pilot, f"○ pod {POD}: 0/1 nodes", "Insufficient", "nvidia.com/gpu")
            pulling = part("pod", POD, "waiting", "pulls its image")
            with Journal(tmp_path / "state") as journal:
                append(journal, [(12, Stage.JOB, pulling)])
                await until_shown(pilot, "pulls its image")
                assert "Insufficient" not in screen_text(pilot)

    async def test_a_stage_that_is_done_says_its_summary_alone(
        self, open_run: Open, tmp_path: Path
    ) -> None:
        async with open_run(told.image_pushing) as pilot:
            await dashboard(pilot, "2c3d4e5f6071")
            done = events.StageFinished(seconds=60, summary="2.85 GB in the registry")
            with Journal(tmp_path / "state") as journal:
                append(journal, [(60, Stage.IMAGE, done)])
            await until_shown(pilot, "2.85 GB in the registry")
            await until(pilot, lambda: "2c3d4e5f6071" not in screen_text(pilot))

    async def test_a_failed_stage_keeps_what_explains_it_and_drops_what_was_under_way(
        self, open_run: Open, tmp_path: Path
    ) -> None:
        async with open_run(told.drivers_rolling_out) as pilot:
            await dashboard(pilot, "▶ node gpu-node-2")
            failed = events.StageFailed(seconds=9, sentence="No driver.", remedy="Ask again.")
            with Journal(tmp_path / "state") as journal:
                append(journal, [(60, Stage.DRIVERS, failed)])
            await until_shown(pilot, "No driver.", "✗ node gpu-node-3", "R runs it again")
            assert "gpu-node-2" not in screen_text(pilot)

    @both_sizes
    async def test_a_killed_pod_is_named_with_the_remedy(
        self, open_run: Open, size: tuple[int, int]
    ) -> None:
        async with open_run(told.pod_killed, size) as pilot:
            await dashboard(pilot, "OOMKilled, exit code 137", "--memory")

    async def test_a_job_that_measures_shows_the_benchmarks_own_progress(
        self, open_run: Open
    ) -> None:
        async with open_run(told.job_running) as pilot:
            await dashboard(
                pilot, "0/4 measurements", f"▶ pod {POD}: running", "2/4  Offline", "Tesla T4"
            )

    async def test_results_are_counted_in_megabytes(self, open_run: Open) -> None:
        async with open_run(told.results_collecting) as pilot:
            await dashboard(pilot, "11.2/20.4 MB", f"from pod {POD}")

    async def test_the_place_is_in_the_title_where_there_is_room(self, open_run: Open) -> None:
        async with open_run(told.pod_pending) as pilot:
            await dashboard(pilot, "context gpu-cluster, namespace benchmarks")

    async def test_resizing_keeps_the_reason_on_screen(self, open_run: Open) -> None:
        async with open_run(told.pod_pending, (200, 60)) as pilot:
            await dashboard(pilot, "Insufficient")
            await pilot.resize_terminal(80, 24)
            await pilot.press("1")
            await until_shown(pilot, "Insufficient", "nvidia.com/gpu")
            await pilot.resize_terminal(120, 40)
            await until_shown(pilot, "Insufficient", "nvidia.com/gpu", "telemetry")


async def test_a_page_that_loses_its_widgets_shows_nothing_more(open_run: Open) -> None:
    async with open_run(told.pod_pending) as pilot:
        await dashboard(pilot, "Insufficient")
        page = pilot.app.screen
        assert isinstance(page, Page)
        assert page.is_whole
        await page.query_one(Banner).remove()
        # As while the console closes: it is still asked to show what is new.
        page.state_changed()
        assert not page.is_whole


class CountingPage(Page):
    """Counts how often it is asked to show what is new."""

    shown = 0

    def compose(self) -> Iterator[Page]:
        yield from ()

    @property
    def is_whole(self) -> bool:
        return self.is_attached

    def state_changed(self) -> None:
        self.shown += 1


async def test_however_many_layers_change_the_screen_is_drawn_five_times_a_second(
    open_run: Open, tmp_path: Path
) -> None:
    async with open_run(told.image_pushing) as pilot:
        await dashboard(pilot, "2c3d4e5f6071")
        page = CountingPage()
        await pilot.app.push_screen(page)
        loop_time = pilot.app._loop.time if pilot.app._loop else None
        assert loop_time is not None
        began, before = loop_time(), page.shown
        with Journal(tmp_path / "state") as journal:
            for number in range(60):
                layer = part("layer", "2c3d4e5f6071", "working", "pushing", 500 + number, 2810)
                append(journal, [(10 + number, Stage.IMAGE, layer)])
                await pilot.pause(0.02)
        drawn, took = page.shown - before, loop_time() - began
        assert 1 <= drawn <= took / 0.2 + 2
        pilot.app.pop_screen()
        await until_shown(pilot, "0.56/2.81 GB")


class TestLog:
    async def test_a_pods_broken_stream_is_named_until_it_goes_on(
        self, open_run: Open, tmp_path: Path
    ) -> None:
        source = f"pod {POD}"
        async with open_run(told.job_running, (200, 60)) as pilot:
            await dashboard(pilot, f"{source} benchmark prepared")
            broken = events.LogStreamInterrupted(source=source, reason="the API server restarted")
            with Journal(tmp_path / "state") as journal:
                append(journal, [(36, Stage.JOB, broken)])
                await until_shown(pilot, f"stream of {source} broke off: the API server restarted")
                back = events.LogStreamResumed(source=source, seconds=2)
                append(journal, [(38, Stage.JOB, back)])
                await until_shown(pilot, f"stream of {source} resumed")


class TestRerun:
    async def test_it_asks_then_runs_the_headless_command_and_follows_the_new_run(
        self, open_run: Open, answers: Answers, tmp_path: Path
    ) -> None:
        async with open_run(told.pod_killed) as pilot:
            await dashboard(pilot, "OOMKilled")
            new = replay(tmp_path / "state", tmp_path / "results", "baseline")
            answers.answer = Answer(0, f"{new.id}\n", "")
            await pilot.press("R")
            await until_shown(pilot, "Run it again?", f"rerun {RUN}")
            assert not answers.commands
            await pilot.press("y")
            await until_shown(pilot, "singlestream-b1 #1", new.id)
            assert RUN not in screen_text(pilot)
        (command,) = answers.commands
        words = command[command.index("--no-ui") + 1 :]
        assert words[:3] == ["rerun", RUN, "--detach"]
        assert str(tmp_path / "state") in words

    async def test_no_changes_nothing(self, open_run: Open, answers: Answers) -> None:
        async with open_run(told.pod_killed) as pilot:
            await dashboard(pilot, "OOMKilled")
            await pilot.press("R")
            await until_shown(pilot, "Run it again?")
            await pilot.press("enter")
            await until(pilot, lambda: "Run it again?" not in screen_text(pilot))
        assert not answers.commands

    async def test_why_it_could_not_is_said_and_it_can_be_tried_again(
        self, open_run: Open, answers: Answers
    ) -> None:
        answers.answer = Answer(1, "", "gpubench-tui: The cluster does not answer.\n")
        async with open_run(told.pod_killed) as pilot:
            await dashboard(pilot, "OOMKilled")
            await pilot.press("R", "y")
            await until_shown(pilot, "The cluster does not answer.")
            assert pilot.app.screen.active_bindings["R"].enabled

    async def test_a_run_under_way_cannot_be_run_again(self, open_run: Open) -> None:
        async with open_run(told.pod_pending) as pilot:
            await dashboard(pilot, "Insufficient")
            await until(pilot, lambda: pilot.app.screen.active_bindings["x"].enabled)
            assert not pilot.app.screen.active_bindings["R"].enabled


class TestCollect:
    async def test_results_that_the_pod_still_has_are_fetched_with_a_key(
        self, open_run: Open, answers: Answers
    ) -> None:
        async with open_run(told.collection_failed) as pilot:
            await dashboard(pilot, "could not be collected", "C collects them")
            await pilot.press("C")
            await until_shown(pilot, "The results are collected.")
        (command,) = answers.commands
        assert command[command.index("--no-ui") + 1 :][:2] == ["collect", RUN]

    async def test_why_they_could_not_be_had_is_said(
        self, open_run: Open, answers: Answers
    ) -> None:
        answers.answer = Answer(1, "", "gpubench-tui: The pod is gone.\n")
        async with open_run(told.collection_failed) as pilot:
            await dashboard(pilot, "C collects them")
            await pilot.press("C")
            await until_shown(pilot, "The pod is gone.")

    async def test_good_results_with_something_left_are_no_failure(
        self, open_run: Open, answers: Answers
    ) -> None:
        answers.answer = Answer(5, "", "")
        async with open_run(told.collection_failed) as pilot:
            await dashboard(pilot, "C collects them")
            await pilot.press("C")
            await until_shown(pilot, "The results are collected; T removes")

    @pytest.mark.parametrize(
        ("moment", "text"),
        [(told.pod_pending, "Insufficient"), (told.torn_down, "20.4 MB, hash as sent")],
        ids=["it still runs", "they are here"],
    )
    async def test_there_is_nothing_to_collect_otherwise(
        self, open_run: Open, moment: Callable[[], list[Moment]], text: str
    ) -> None:
        async with open_run(moment) as pilot:
            await dashboard(pilot, text)
            assert not pilot.app.screen.active_bindings["C"].enabled

    async def test_what_is_torn_down_cannot_be_collected(
        self, open_run: Open, tmp_path: Path
    ) -> None:
        async with open_run(told.collection_failed) as pilot:
            await dashboard(pilot, "C collects them")
            gone = events.ResourceDeleted(kind="job", name=JOB, proof="not listed")
            with Journal(tmp_path / "state") as journal:
                append(journal, [(99, Stage.TEARDOWN, gone)])
            await until(pilot, lambda: not pilot.app.screen.active_bindings["C"].enabled)
            await until(pilot, lambda: "C collects them" not in screen_text(pilot))


class TestDescribe:
    async def test_our_own_command_is_asked_about_this_journal(
        self, open_run: Open, answers: Answers, tmp_path: Path
    ) -> None:
        answers.answer = Answer(0, f"Job {JOB}: active\n\x1b[31mEvents\n", "")
        async with open_run(told.pod_pending) as pilot:
            await dashboard(pilot, "Insufficient")
            await pilot.press("D")
            await until_shown(pilot, f"Job {JOB}: active", "\\x1b[31mEvents")
            await pilot.press("c")
            assert pilot.app.clipboard.startswith(f"gpubench-tui --no-ui describe {RUN}")
        (command,) = answers.commands
        words = command[command.index("--no-ui") + 1 :]
        assert words[:2] == ["describe", RUN]
        assert str(tmp_path / "state") in words

    async def test_the_nvidia_pods_are_asked_of_the_runs_own_cluster(
        self, open_run: Open, answers: Answers
    ) -> None:
        answers.answer = Answer(0, "nvidia-gpu-device-plugin-x\n", "")
        async with open_run(told.pod_pending) as pilot:
            await dashboard(pilot, "Insufficient")
            await pilot.press("K")
            await until_shown(pilot, "nvidia-gpu-device-plugin-x")
        (command,) = answers.commands
        assert command[0] == "kubectl"
        place = ["--kubeconfig", "/home/me/.kube/config", "--context", "gpu-cluster"]
        assert command[-4:] == place


class TestTeardown:
    async def test_jobs_pods_and_daemonsets_are_listed_and_proved_gone(
        self, open_run: Open, tmp_path: Path
    ) -> None:
        async with open_run(told.collection_failed, (140, 50)) as pilot:
            await dashboard(pilot, "C collects them")
            place = "context gpu-cluster, namespace benchmarks"
            others = [("pod", "nvidia-smi"), ("daemonset", "kube-system/nvidia-driver-installer")]
            with Journal(tmp_path / "state") as journal:
                for kind, name in others:
                    intended = events.ResourceIntended(
                        kind=kind, name=name, location=place, delete_command=f"kubectl {name}"
                    )
                    append(journal, [(96, Stage.DRIVERS, intended)])
                await pilot.press("T")
                await until_shown(
                    pilot,
                    *("1. daemonset kube-system/nvidia-driver-installer", "2. pod nvidia-smi"),
                    *(f"3. job {JOB}", place, "None of it costs money"),
                )
                await pilot.press("tab", "enter")
                await until_shown(pilot, "Removing ...")
                names = [f"job {JOB}", *(f"{kind} {name}" for kind, name in others)]
                started = events.TeardownStarted(resources=tuple(names))
                append(journal, [(97, Stage.TEARDOWN, started)])
                for kind, name in [("job", JOB), *others]:
                    gone = events.ResourceDeleted(kind=kind, name=name, proof="not listed")
                    append(journal, [(98, Stage.TEARDOWN, gone)])
                finished = events.TeardownFinished(left=(), seconds=1)
                append(journal, [(99, Stage.TEARDOWN, finished)])
            await until_shown(pilot, f"✓ job {JOB}", "✓ daemonset", "✓ pod", "✓ Nothing is left.")
