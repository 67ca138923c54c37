"""Who may import whom. The arrows of DESIGN.md point down, and quick commands load little."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.runs import ROOT

HEAVY = {
    *("torch", "torchvision", "numpy", "scipy", "pandas", "mlperf_loadgen", "onnxruntime"),
    *("pydantic", "rich", "textual", "sqlite3", "asyncio"),
    *("google", "kubernetes", "docker", "httpx"),
}
SCREENS = {"rich", "textual", "tui"}

_ABOVE_THE_HANDS = {"core.run", "core.targets", "core.cli", "core.settings", "core.report"}
# A package, and what nothing in it may import, function bodies included.
FORBIDDEN: dict[str, set[str]] = {
    "benchmark": {"core", "tui", "rich", "textual"},
    "core": {"tui", "rich", "textual", "torch", "torchvision", "mlperf_loadgen"},
    "core/run": {"core.cli", "core.targets", "core.report", "core.settings"},
    "core/report": {"core.cli", "core.targets", "core.settings"},
    "core/targets": {"core.cli", "core.report"},
    "core/gcp": _ABOVE_THE_HANDS | {"core.image", "core.kube", "core.money"},
    "core/image": _ABOVE_THE_HANDS | {"core.gcp", "core.kube", "core.money"},
    "core/kube": _ABOVE_THE_HANDS | {"core.gcp", "core.image", "core.money"},
    "core/money": _ABOVE_THE_HANDS | {"core.gcp", "core.image", "core.kube"},
    "core/verdict": _ABOVE_THE_HANDS | {"core.gcp", "core.image", "core.kube", "core.money"},
    "core/errors.py": {"core"},
    "core/config_file.py": {"core.cli", "core.run", "core.targets", "core.settings", "pydantic"},
    "core/console_settings.py": {"core.cli", "core.run", "core.targets", "core.settings"},
    "core/text.py": {"core", "benchmark"},
    "core/settings.py": {"core.cli", "core.targets", "core.run", "core.report"},
}
# The live display is imported only when stderr is a terminal.
EXCEPTIONS = {("core/cli/live.py", "rich")}


def imported(source: str, package: str = "") -> Iterator[str]:
    """Every module that a file names in an import, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (parent, node.module or "") if part)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def is_within(module: str, forbidden: str) -> bool:
    return module == forbidden or module.startswith(f"{forbidden}.")


def violations(place: str, forbidden: set[str]) -> list[str]:
    path = ROOT / place
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert files, f"{place} holds no Python file"
    found = []
    for file in files:
        name = file.relative_to(ROOT).as_posix()
        package = ".".join(file.relative_to(ROOT).parent.parts)
        for module in imported(file.read_text(), package):
            for target in forbidden:
                allowed = (name, target) in EXCEPTIONS
                if is_within(module, target) and not allowed:
                    found.append(f"{name} imports {module}")
    return found


@pytest.mark.parametrize("place", FORBIDDEN)
def test_arrows_point_down(place: str) -> None:
    assert violations(place, FORBIDDEN[place]) == []


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import core.cli", "core.cli"),
        ("from core.cli import run", "core.cli"),
        ("from core import cli", "core.cli"),
        ("def f():\n    import core.cli.run as x", "core.cli.run"),
        ("from ..cli import run", "core.cli"),
        ("if True:\n    from . import view", "core.run.view"),
    ],
)
def test_the_search_finds_every_way_to_import(source: str, module: str) -> None:
    assert module in set(imported(source, "core.run"))


def loaded_by(code: str, *arguments: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after running ``code``."""
    program = f"import sys, json\n{code}\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    names: list[str] = json.loads(answer.stdout.splitlines()[-1])
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_quick_answers_load_nothing_heavy(flag: str) -> None:
    code = (
        "from core.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert not end.code"
    )
    assert loaded_by(code, flag) & HEAVY == set()


def test_the_verbs_help_loads_nothing_heavy() -> None:
    code = (
        "from core.cli import main\n"
        "try:\n    main(['run', '--help'])\n"
        "except SystemExit as end:\n    assert not end.code"
    )
    assert loaded_by(code) & HEAVY == set()


def modules_of(package: str) -> list[str]:
    files = sorted((ROOT / package).rglob("*.py"))
    parts = [file.relative_to(ROOT).with_suffix("").parts for file in files]
    return [".".join(name).removesuffix(".__init__") for name in parts if name[-1] != "__main__"]


def test_no_module_of_the_core_loads_a_screen_or_torch() -> None:
    modules = [name for name in modules_of("core") if name != "core.cli.live"]
    assert "core.run.journal" in modules
    code = "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)"
    loaded = loaded_by(code, *modules)
    assert loaded & (SCREENS | {"torch", "mlperf_loadgen", "scipy", "numpy"}) == set()
    assert "core" in loaded


def test_the_package_knows_what_it_checks() -> None:
    # Were rich no longer used in the live display, its exception should go.
    assert "rich" in {
        name.partition(".")[0] for name in imported(Path(ROOT / "core/cli/live.py").read_text())
    }
