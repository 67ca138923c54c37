"""What must start quickly imports nothing heavy, and the benchmark knows neither core nor tui."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmark.loadgen_client import REPOSITORY

HEAVY = (
    "torch",
    "torchvision",
    "mlperf_loadgen",
    "numpy",
    "PIL",
    "pynvml",
    "core",
    "tui",
    "rich",
    "textual",
)
MODULES = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    for path in (REPOSITORY / "benchmark").rglob("*.py")
)


@pytest.mark.parametrize(
    "module",
    ["benchmark.plan", "benchmark.results", "benchmark.session", "benchmark.__main__"],
)
def test_what_must_start_quickly_imports_nothing_heavy(module: str) -> None:
    script = (
        f"import sys, {module}; "
        f"print(*sorted({set(HEAVY)!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == []


def test_there_are_modules_to_look_at() -> None:
    assert {"benchmark", "benchmark.plan", "benchmark.telemetry.nvml"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_of_the_benchmark_names_core_or_tui(module: str) -> None:
    path = REPOSITORY.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert imported(source).isdisjoint({"core", "tui", "rich", "textual", "tests"})


def imported(source: Path) -> set[str]:
    """Return the packages that a file imports anywhere, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names
