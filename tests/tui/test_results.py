"""The results view and its export."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.results import RESULT_FILE, read_result
from core.report.scenarios import row_cells, scenario_table
from tests.tui.conftest import OpenConsole, screen_text, until, until_shown
from tests.tui.recorded import replay


class TestResults:
    async def test_the_figures_are_those_of_the_report(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "xen")
        async with open_console(size=(160, 40)) as pilot:
            await until_shown(pilot, run.id)
            await pilot.press("i")
            await until_shown(pilot, "SingleStream", "under kvm", "not an MLPerf result")
            text = screen_text(pilot)
        table = scenario_table(read_result(run.folder / RESULT_FILE))
        for row in table.rows:
            for cell in row_cells(row):
                assert cell in text

    async def test_a_void_measurement_is_marked_with_its_reason(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("i")
            await until_shown(pilot, " void", "offline-b1: void")

    async def test_plots_show_the_selected_measurement(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "xen")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("i")
            await until_shown(pilot, "SingleStream")
            await pilot.press("down", "down", "2")
            await until_shown(
                pilot, "latency: server-b8, block 1", "throughput over time", "queries", "▲50"
            )

    async def test_evidence_and_files_are_there(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "xen")
        async with open_console(size=(120, 60)) as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("i")
            await until_shown(pilot, "SingleStream")
            await pilot.press("3")
            await until_shown(pilot, "Attestation", "hypervisor", "kernel", "torch")
            await pilot.press("4")
            await until_shown(pilot, "latencies.npy", "content sha256")

    async def test_a_run_without_raw_files_shows_its_figures_and_says_what_is_missing(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "xen")
        for file in run.folder.glob("measurements/*/*.npy"):
            file.unlink()
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("i")
            await until_shown(pilot, "SingleStream")
            await pilot.press("2")
            await until_shown(pilot, "No raw latencies are kept")

    async def test_export_writes_the_file_that_its_command_names(
        self, open_console: OpenConsole, state: Path, results: Path, tmp_path: Path
    ) -> None:
        run = replay(state, results, "xen")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("i")
            await until_shown(pilot, "SingleStream")
            await pilot.press("E")
            await until_shown(pilot, "Export to which file?", f"show {run.id}")
            await pilot.press("ctrl+u", *"out.json", "enter")
            target = tmp_path / "out.json"
            await until(pilot, lambda: target.exists() and "which file?" not in screen_text(pilot))
        assert json.loads(target.read_text())["run_id"] == run.id

    async def test_an_export_that_is_refused_says_why_and_stays(
        self, open_console: OpenConsole, state: Path, results: Path, tmp_path: Path
    ) -> None:
        replay(state, results, "xen")
        (tmp_path / "out.csv").write_text("mine")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("i")
            await until_shown(pilot, "SingleStream")
            await pilot.press("E")
            await until_shown(pilot, "Export to which file?")
            await pilot.press("ctrl+u", *"out.csv", "enter")
            await until_shown(pilot, "is there already")
        assert (tmp_path / "out.csv").read_text() == "mine"
