"""The form that starts a run, and stopping one."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from textual.widgets import Select, Static

from core.run.journal import Journal
from core.run.process import utc_now
from tests.core.runs import start_stand_in
from tests.tui.conftest import OpenConsole, screen_text, until, until_shown
from tests.tui.recorded import replay
from tui.screens.form import FIELDS

# A run of a few seconds that needs no torch: its profile cannot be read by then, or its preflight
# is all that is looked at.
_TINY = """
repeats = 1
device = "cpu"
execution = "eager"
weights = "random"
sample_count = 4

[[scenarios]]
scenario = "SingleStream"
query_count = 4
"""

_KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: mine
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: mine, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: x}}]
"""


class TestForm:
    async def test_time_cost_and_the_headless_command_are_said_before_anything_starts(
        self, open_console: OpenConsole
    ) -> None:
        async with open_console() as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "measurements  4", "about", "nothing is billed", "--no-ui run")

    async def test_a_wrong_value_is_said_as_it_is_typed(self, open_console: OpenConsole) -> None:
        async with open_console() as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "measurements  4")
            await pilot.press("ctrl+u", *"Not A Leg")
            await until_shown(pilot, "Wrong settings", "leg")
            assert not pilot.app.screen.active_bindings["ctrl+s"].enabled
            assert pilot.app.screen.query_one("#field-leg").has_class("-wrong")
            await pilot.press("ctrl+u", *"xen")
            await until_shown(pilot, "--leg xen")
            await until(pilot, lambda: pilot.app.screen.active_bindings["ctrl+s"].enabled)

    async def test_a_profile_that_is_not_there_is_named(self, open_console: OpenConsole) -> None:
        async with open_console() as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "measurements  4")
            await pilot.press("tab", "ctrl+u", *"none.toml")
            await until_shown(pilot, "none.toml cannot be read")

    @pytest.mark.parametrize(
        ("target", "strangers"),
        [
            ("local", {"context", "image", "project", "budget"}),
            ("kubernetes", {"project", "machine", "budget"}),
            ("gke", {"context", "kubeconfig"}),
        ],
    )
    async def test_every_setting_that_a_target_heeds_is_a_key_away(
        self, open_console: OpenConsole, target: str, strangers: set[str]
    ) -> None:
        from core.cli.flags import RUN_FLAGS

        async with open_console(size=(200, 160), GPUBENCH_TARGET=target) as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "profile")
            await pilot.press("f3")
            await until_shown(pilot, "memory format", "arrival rates from")
            shown = {
                field.name
                for field in FIELDS
                if pilot.app.screen.query_one(f"#row-{field.name}").display
            }
            assert shown.isdisjoint(strangers)
            gke_only = {field.name for field in FIELDS if field.targets == ("gke",)}
            expected = {
                "local": {field.name for field in FIELDS if not field.targets},
                "kubernetes": set(RUN_FLAGS) - gke_only,
                "gke": set(RUN_FLAGS) - {"context", "kubeconfig"},
            }
            assert shown == expected[target]
            text = screen_text(pilot)
            assert all(f" {name.replace('_', ' ')} " in text for name in shown)

    async def test_of_gke_project_place_machine_and_limits_come_first(
        self, open_console: OpenConsole
    ) -> None:
        async with open_console(size=(80, 24), GPUBENCH_TARGET="gke") as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "needs a Google Cloud project")
            words = ("project", "zone", "machine", "gpu", "spot", "budget", "deadline minutes")
            lines = [line.strip() for line in screen_text(pilot).splitlines()]
            places = [
                next(number for number, line in enumerate(lines) if line.startswith(f"{word} "))
                for word in words
            ]
            assert places == sorted(places)
            assert not any(line.startswith("namespace") for line in lines)
            assert not pilot.app.screen.active_bindings["ctrl+s"].enabled

    @pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=["80x24", "200x60"])
    async def test_the_plan_on_gke_is_shown_with_minutes_and_dollars_before_the_start(
        self, open_console: OpenConsole, size: tuple[int, int]
    ) -> None:
        async with open_console(
            size=size, GPUBENCH_TARGET="gke", GPUBENCH_PROJECT="example-project"
        ) as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "GPU nodes to zero", "of a budget of $5.00", "shipped prices")
            steps = {
                line.split("━")[0].split("│")[-1].strip(): line
                for line in screen_text(pilot).splitlines()
                if "━" in line and "$" in line
            }
            assert list(steps) == [
                *("preflight", "cluster", "image", "drivers", "job", "results", "teardown"),
                "GPU nodes to zero",
            ]
            # The image is built beside the cluster, and GPUs are asked for when both are there.
            assert steps["image"].index("━") == steps["cluster"].index("━")
            assert steps["drivers"].index("━") >= steps["cluster"].rindex("━")
            assert re.search(r"6 min 00 s +\$0\.0\d+", steps["cluster"])
            assert pilot.app.screen.active_bindings["ctrl+s"].enabled

    async def test_a_spot_node_and_a_small_budget_change_what_is_said_of_the_cost(
        self, open_console: OpenConsole
    ) -> None:
        environment = {"GPUBENCH_TARGET": "gke", "GPUBENCH_PROJECT": "example-project"}
        async with open_console(size=(200, 60), GPUBENCH_BUDGET="0.05", **environment) as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "of a budget of $0.05")
            assert "spot)" not in screen_text(pilot)
            pilot.app.screen.query_one("#field-spot", Select).value = "yes"
            await until_shown(pilot, "of a budget of $0.05", "the upper bound of spot)")
            await pilot.press("f2")
            assert "--spot yes" in pilot.app.clipboard
            assert "--budget 0.05" in pilot.app.clipboard

    async def test_settings_of_a_target_are_there_when_it_is_chosen(
        self, open_console: OpenConsole
    ) -> None:
        async with open_console(size=(200, 80), GPUBENCH_NAMESPACE="benchmarks") as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "measurements  4")
            await pilot.press("f3")
            await until_shown(pilot, "memory format")
            for name in ("context", "namespace", "runtime class"):
                assert f" {name} " not in screen_text(pilot)
            await pilot.press("f2")
            # What is out of sight is no part of a run.
            assert "namespace" not in pilot.app.clipboard
            await pilot.press("shift+tab", "enter", "down", "enter")
            await until_shown(pilot, " context ", " namespace ", " runtime class ")
            await pilot.press("f2")
            assert "--target kubernetes" in pilot.app.clipboard
            assert "--namespace benchmarks" in pilot.app.clipboard

    async def test_the_settings_of_kubernetes_that_most_people_set_come_first(
        self, open_console: OpenConsole
    ) -> None:
        async with open_console(size=(80, 24), GPUBENCH_TARGET="kubernetes") as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "context", "namespace", "image", "gpus", "leg")
            assert "runtime class" not in screen_text(pilot)

    async def test_a_run_on_a_cluster_needs_an_image_and_the_form_says_so(
        self, open_console: OpenConsole, tmp_path: Path
    ) -> None:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(_KUBECONFIG)
        environment = {"GPUBENCH_TARGET": "kubernetes", "KUBECONFIG": str(kubeconfig)}
        async with open_console(size=(200, 60), **environment) as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "--image")
            assert not pilot.app.screen.active_bindings["ctrl+s"].enabled
            assert pilot.app.screen.query_one("#field-image").has_class("-wrong")

    async def test_what_a_cluster_of_ones_own_costs_is_not_said_to_be_nothing(
        self, open_console: OpenConsole, tmp_path: Path
    ) -> None:
        # Nothing answers there, and nothing is asked: a form must not need a cluster.
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(_KUBECONFIG)
        environment = {
            "GPUBENCH_TARGET": "kubernetes",
            "GPUBENCH_IMAGE": "registry.example/gpubench",
            "KUBECONFIG": str(kubeconfig),
        }
        async with open_console(size=(200, 60), **environment) as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "measurements  4", "the cluster is yours")
            assert "nothing is billed" not in screen_text(pilot)

    async def test_the_command_is_copied(self, open_console: OpenConsole) -> None:
        async with open_console() as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "measurements  4")
            await pilot.press("ctrl+u", *"xen", "f2")
            assert (
                pilot.app.clipboard
                == "gpubench-tui --no-ui run --target local --leg xen --profile quick"
            )

    async def test_the_form_can_begin_with_the_settings_of_a_run(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "xen")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed")
            await pilot.press("A")
            await until_shown(pilot, "start a run", "--leg xen")

    async def test_the_time_comes_from_earlier_runs_where_there_are_any(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline")
        # As the recorded run had it.
        async with open_console(size=(200, 40), GPUBENCH_WEIGHTS="random") as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("r")
            await until_shown(pilot, "2 min 36 s, by the last run like it")

    async def test_what_the_configuration_says_stands_in_the_form(
        self, open_console: OpenConsole
    ) -> None:
        async with open_console(size=(200, 40), GPUBENCH_LEG="xen", GPUBENCH_DEVICE="cpu") as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "measurements  4", "xen", "cpu")
            # All that is shown is what runs, whatever the configuration says by then.
            await pilot.press("f2")
            assert pilot.app.clipboard.endswith("--leg xen --profile quick --device cpu")
            await pilot.press("ctrl+u", *"baseline", "f2")
            assert pilot.app.clipboard.endswith("--leg baseline --profile quick --device cpu")


class TestStart:
    async def test_a_run_that_is_started_lives_in_a_process_of_its_own(
        self, open_console: OpenConsole, state: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "tiny.toml").write_text(_TINY)
        async with open_console() as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "measurements  4")
            await pilot.press("tab", "ctrl+u", *"tiny.toml")
            await until_shown(pilot, "measurements  1")
            await pilot.press("ctrl+s")
            await until_shown(pilot, "preflight", "checks passed")
        with Journal(state) as journal:
            run = journal.run("latest")
            # The console is gone, and the run is not.
            assert not journal.state_now(run, utc_now()).ended
            assert run.process is not None
            assert os.getsid(run.process.pid) == run.process.pid
            os.kill(run.process.pid, signal.SIGTERM)

    async def test_a_start_that_fails_says_why_and_keeps_the_form(
        self, open_console: OpenConsole, results: Path
    ) -> None:
        results.write_text("a file where a folder should be")
        async with open_console() as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("r")
            await until_shown(pilot, "measurements  4")
            await pilot.press("ctrl+s")
            said = pilot.app.screen.query_one("#check", Static)
            # Where the lines break depends on the folder's name.
            await until(pilot, lambda: "Not a directory. Choose a folder" in str(said.content))
            assert pilot.app.screen.active_bindings["ctrl+s"].enabled
            assert "start a run" in screen_text(pilot)


class TestStop:
    async def test_stop_asks_and_no_is_the_answer_until_yes_is_chosen(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        process, run_id = start_stand_in(state, results, "forever")
        try:
            async with open_console() as pilot:
                await until_shown(pilot, run_id, "▶ running")
                await pilot.press("x")
                await until_shown(pilot, "Stop the run?")
                await pilot.press("enter")
                await until(pilot, lambda: "Stop the run?" not in screen_text(pilot))
                assert process.poll() is None
                await pilot.press("x")
                await until_shown(pilot, "Stop the run?")
                await pilot.press("y")
                await until_shown(pilot, "■ interrupted")
            assert process.wait(30) == 130
        finally:
            process.kill()
            process.wait()

    async def test_an_ended_run_cannot_be_stopped(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            assert not pilot.app.screen.active_bindings["x"].enabled
