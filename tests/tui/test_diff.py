"""The diff of two runs: the verdict that the ``compare`` command gives, and what leads there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.attestation.model import Hypervisor
from benchmark.results import RESULT_FILE
from tests.tui.conftest import CommandLine, OpenConsole, screen_text, until, until_shown
from tests.tui.measured_runs import STEADY, measured_run, slower
from tests.tui.recorded import replay

SIZES = pytest.mark.parametrize("size", [(80, 24), (200, 60)])


def two_legs(state: Path, results: Path, percent: float) -> None:
    """A baseline, and a Xen leg of alternating blocks that is slower."""
    measured_run(state, results, "baseline", STEADY)
    measured_run(state, results, "xen", slower(percent), later=1)


class TestVerdict:
    @SIZES
    @pytest.mark.parametrize(
        ("percent", "words"),
        [(1.0, "✓ WITHIN TARGET"), (9.0, "✕ EXCEEDS TARGET"), (5.0, "? INCONCLUSIVE")],
    )
    async def test_it_is_the_first_that_one_sees(
        self,
        open_console: OpenConsole,
        state: Path,
        results: Path,
        size: tuple[int, int],
        percent: float,
        words: str,
    ) -> None:
        two_legs(state, results, percent)
        async with open_console(size=size) as pilot:
            await until_shown(pilot, "xen", "baseline")
            await pilot.press("d")
            await until_shown(pilot, words)
            assert words in screen_text(pilot).splitlines()[1]
            await pilot.press("end")
            # It stays while one reads on.
            await until_shown(pilot, "compare", words)

    async def test_page_and_command_say_the_same(
        self, open_console: OpenConsole, state: Path, results: Path, command_line: CommandLine
    ) -> None:
        first = measured_run(state, results, "baseline", STEADY)
        second = measured_run(state, results, "xen", slower(9.0), later=1)
        async with open_console(size=(200, 200)) as pilot:
            await until_shown(pilot, "xen", "baseline")
            await pilot.press("d")
            await until_shown(pilot, "EXCEEDS TARGET", "Without the console")
            shown = " ".join(screen_text(pilot).split())
        assert command_line("compare", first.id, second.id).returncode == 3
        document = json.loads((results / "comparison.json").read_text())
        said = [document["reason"], document["headline"], document["method"]]
        assert all(text in shown for text in (*said, *document["warnings"], *document["notes"]))

    async def test_what_cannot_be_compared_is_refused_with_the_way_out(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        first = measured_run(state, results, "baseline", STEADY)
        second = measured_run(
            state, results, "xen", STEADY, later=1, gpu={"driver_version": "535.183.01"}
        )
        async with open_console(size=(160, 60)) as pilot:
            await until_shown(pilot, "xen", "baseline")
            await pilot.press("d")
            await until_shown(
                pilot,
                "REFUSED",
                "535.183.01",
                f"compare {first.id} {second.id} --allow driver",
            )

    async def test_a_leg_measured_twice_is_asked_how_much_noise_there_is(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        first = measured_run(state, results, "baseline", STEADY)
        second = measured_run(state, results, "baseline", slower(0.3), later=1)
        async with open_console(size=(160, 60)) as pilot:
            await until_shown(pilot, first.id, second.id)
            await pilot.press("d")
            await until_shown(pilot, "noise", "WITHIN TARGET", "measured twice")
            await pilot.press("end")
            await until_shown(pilot, f"compare {first.id} {second.id} --same")

    async def test_a_leg_under_another_layer_than_its_label_is_refused(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        measured_run(state, results, "baseline", STEADY)
        measured_run(state, results, "xen", STEADY, later=1, hypervisor=Hypervisor.KVM)
        async with open_console(size=(160, 60)) as pilot:
            await until_shown(pilot, "xen", "baseline")
            await pilot.press("d")
            await until_shown(pilot, "REFUSED", "not attested as Xen")


class TestPage:
    async def test_a_marked_run_is_the_first_leg_and_the_legs_can_be_swapped(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        first = replay(state, results, "baseline")
        second = replay(state, results, "xen")

        def title() -> str:
            return screen_text(pilot).splitlines()[0]

        async with open_console(size=(130, 60)) as pilot:
            await until_shown(pilot, first.id, second.id)
            await pilot.press("space", "down", "d")
            await until_shown(pilot, "REFUSED")
            assert title().index(second.id) < title().index(first.id)
            await pilot.press("s")
            await until(pilot, lambda: title().find(first.id) < title().find(second.id))
            await until_shown(pilot, "REFUSED")

    async def test_a_result_that_cannot_be_read_is_said_above_the_page(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        first = measured_run(state, results, "baseline", STEADY)
        measured_run(state, results, "xen", STEADY, later=1)
        (first.folder / RESULT_FILE).write_text("{")
        async with open_console() as pilot:
            await until_shown(pilot, "xen", "baseline")
            await pilot.press("d")
            await until_shown(pilot, "There is nothing to compare.")
            # The sentence with the path in it fills several lines.
            assert RESULT_FILE in "".join(screen_text(pilot).split())
            assert not pilot.app.screen.active_bindings["w"].enabled
            assert not pilot.app.screen.active_bindings["E"].enabled

    async def test_there_is_no_diff_of_one_run(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            assert not pilot.app.screen.active_bindings["d"].enabled

    async def test_the_command_is_copied(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        first = measured_run(state, results, "baseline", STEADY)
        second = measured_run(state, results, "xen", STEADY, later=1)
        async with open_console() as pilot:
            await until_shown(pilot, "xen", "baseline")
            await pilot.press("d")
            await until_shown(pilot, "WITHIN TARGET")
            await pilot.press("c")
            await until(pilot, lambda: pilot.app.clipboard)
            assert pilot.app.clipboard == f"gpubench-tui --no-ui compare {first.id} {second.id}"


class TestWriting:
    async def test_the_reports_are_those_of_the_command_that_is_shown(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        two_legs(state, results, 9.0)
        async with open_console() as pilot:
            await until_shown(pilot, "xen", "baseline")
            await pilot.press("d")
            await until_shown(pilot, "EXCEEDS TARGET")
            await pilot.press("w")
            await until_shown(pilot, "Write the reports", "--no-ui compare")
            await pilot.press("enter")
            written = [results / f"comparison.{ending}" for ending in ("md", "json", "html")]
            await until(pilot, lambda: "Write the reports" not in screen_text(pilot))
        assert all(file.exists() for file in written)
        assert "exceeds target" in written[0].read_text()

    async def test_a_file_of_another_kind_is_not_written(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        two_legs(state, results, 1.0)
        async with open_console() as pilot:
            await until_shown(pilot, "xen", "baseline")
            await pilot.press("d")
            await until_shown(pilot, "WITHIN TARGET")
            await pilot.press("w")
            await until_shown(pilot, "Write the reports")
            await pilot.press("ctrl+u", *"out.csv", "enter")
            await until_shown(pilot, "The Markdown report ends in .md.")

    async def test_one_document_is_exported(
        self, open_console: OpenConsole, state: Path, results: Path, tmp_path: Path
    ) -> None:
        two_legs(state, results, 1.0)
        async with open_console() as pilot:
            await until_shown(pilot, "xen", "baseline")
            await pilot.press("d")
            await until_shown(pilot, "WITHIN TARGET")
            await pilot.press("E")
            await until_shown(pilot, "Export to which file?")
            await pilot.press("ctrl+u", *"out.csv", "enter")
            target = tmp_path / "out.csv"
            await until(pilot, target.exists)
        assert "within target" in target.read_text()


class TestResults:
    async def test_they_show_the_verdict_against_the_baseline_and_lead_to_the_diff(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        first = measured_run(state, results, "baseline", STEADY)
        measured_run(state, results, "xen", slower(9.0), later=1)
        async with open_console() as pilot:
            await until_shown(pilot, "xen", "baseline")
            await pilot.press("i")
            await until_shown(pilot, f"against {first.id}: ✕ exceeds target")
            await pilot.press("d")
            await until_shown(pilot, "EXCEEDS TARGET")

    async def test_without_a_baseline_nothing_is_said_of_a_verdict(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        measured_run(state, results, "xen", STEADY)
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("i")
            await until_shown(pilot, "SingleStream", "not an MLPerf")
            assert "against" not in screen_text(pilot)
