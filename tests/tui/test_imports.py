"""What the console's process loads: no torch and no cloud SDK ever, and little before its first
frame.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.core.runs import ROOT

# Packages that no process of the console may load, whatever it shows.
NEVER = {
    *("torch", "torchvision", "mlperf_loadgen", "onnxruntime", "pandas"),
    *("google", "kubernetes", "docker", "httpx", "pynvml"),
}
# What a comparison computes with, and nothing else needs.
STATISTICS = {"scipy"}


def loaded_by(code: str, *arguments: str) -> set[str]:
    """Every module that a fresh interpreter has after running ``code``."""
    program = f"import sys, json\n{code}\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert answer.returncode == 0, answer.stderr
    return set(json.loads(answer.stdout.splitlines()[-1]))


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def modules_of_the_console() -> list[str]:
    files = sorted((ROOT / "tui").rglob("*.py"))
    parts = [file.relative_to(ROOT).with_suffix("").parts for file in files]
    return [".".join(name).removesuffix(".__init__") for name in parts if name[-1] != "__main__"]


def test_no_module_of_the_console_loads_torch_or_a_cloud_sdk() -> None:
    names = modules_of_the_console()
    assert {"tui.app", "tui.screens.start", "tui.log.panel", "tui.serve"} <= set(names)
    code = "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)"
    loaded = packages(loaded_by(code, *names))
    assert "textual" in loaded
    assert loaded & (NEVER | STATISTICS) == set()


def test_the_app_loads_before_its_first_frame_only_what_that_needs() -> None:
    loaded = loaded_by("import tui.app")
    assert "textual" in packages(loaded)
    heavy = {"pydantic", "numpy", "sqlite3", "hypothesis", *NEVER, *STATISTICS}
    assert packages(loaded) & heavy == set()
    assert (
        loaded
        & {
            *("core.settings", "core.run.journal", "core.run.view", "core.run.events"),
            *("core.report.scenarios", "benchmark.results", "tui.screens.form", "tui.log.panel"),
        }
        == set()
    )


def test_the_version_is_told_without_a_screen() -> None:
    code = (
        "from tui.command_line import main\n"
        "try:\n    main(['--version'])\n"
        "except SystemExit as end:\n    assert not end.code"
    )
    heavy = {"textual", "rich", "pydantic", "numpy", "asyncio", "sqlite3", *NEVER}
    assert packages(loaded_by(code)) & heavy == set()


SESSION = """
import asyncio
from pathlib import Path
from tests.tui.conftest import until_shown
from tests.tui.recorded import replay
from tests.tui.stand_ins import Answers, console_with


async def session(place):
    replay(place / "state", place / "results", "baseline")
    replay(place / "state", place / "results", "xen")
    environment = {"GPUBENCH_TARGET": "gke", "GPUBENCH_PROJECT": "example-project"}
    async with console_with(place, Answers(), (120, 40), **environment) as pilot:
        await until_shown(pilot, "done")
        await pilot.press("enter")
        await until_shown(pilot, "telemetry", "preflight")
        await pilot.press("i")
        await until_shown(pilot, "SingleStream")
        await pilot.press("down", "down", "2")
        await until_shown(pilot, "throughput over time", "queries")
        await pilot.press("3", "4", "d")
        await until_shown(pilot, "REFUSED")
        await pilot.press("escape", "escape", "T")
        await until_shown(pilot, "Teardown of", "Nothing is left")
        await pilot.press("escape", "r")
        await until_shown(pilot, "measurements", "about", "GPU nodes to zero")
        await pilot.press("escape", "question_mark")
        await until_shown(pilot, "List of runs")


asyncio.run(session(Path(sys.argv[1])))
"""


def test_a_whole_session_loads_neither_torch_nor_a_cloud_sdk(tmp_path: object) -> None:
    loaded = loaded_by(SESSION, str(tmp_path))
    # The pages were really there, with all that they load.
    assert {"core.run.journal", "core.report.curves", "tui.screens.diff", "numpy"} <= loaded
    assert {"tui.screens.start", "core.targets.expectation", "tui.screens.teardown"} <= loaded
    assert "core.targets.gke.forecasting" in loaded
    assert packages(loaded) & NEVER == set()
    # A second more than all of the statistics that are needed.
    assert "scipy.stats" not in loaded
