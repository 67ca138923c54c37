"""What the base image lacks, asked of a Python with packages of our choice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.runs import ROOT

PROGRAM = ROOT / "core/image/unmet.py"
REQUIREMENTS = """
# a remark
torch==2.10.0
torchvision==0.25.0
numpy>=1.26,<3   # why
pydantic>=2.9,<3
"""


class Base:
    """A Python that has only what is put into its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "site").mkdir()
        (folder / "requirements.txt").write_text(REQUIREMENTS)

    def has(self, name: str, version: str) -> None:
        information = self.folder / f"site/{name}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        (self.folder / "site" / name).mkdir()
        # A GPU build of torch may not load where the image is built.
        (self.folder / "site" / name / "__init__.py").write_text("raise ImportError\n")

    def unmet(self) -> list[str]:
        answer = subprocess.run(
            [sys.executable, "-S", "-B", PROGRAM, "requirements.txt"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder / "site")},
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.split()


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return Base(tmp_path)


def test_an_empty_python_lacks_everything(base: Base) -> None:
    assert base.unmet() == [
        *("torch==2.10.0", "torchvision==0.25.0", "numpy>=1.26,<3", "pydantic>=2.9,<3")
    ]


def test_a_base_with_everything_needs_nothing(base: Base) -> None:
    for name, version in (
        ("torch", "2.10.0"),
        ("torchvision", "0.25.0"),
        ("numpy", "2.1"),
        ("pydantic", "2.14.3"),
    ):
        base.has(name, version)
    assert base.unmet() == []


def test_any_torch_that_has_its_torchvision_is_taken_as_it_is(base: Base) -> None:
    base.has("torch", "2.7.0a0+nv25.3")
    base.has("torchvision", "0.22.0a0")
    assert base.unmet() == ["numpy>=1.26,<3", "pydantic>=2.9,<3"]


def test_a_torch_without_torchvision_is_not_enough(base: Base) -> None:
    base.has("torch", "2.7.0")
    assert base.unmet()[:2] == ["torch==2.10.0", "torchvision==0.25.0"]


@pytest.mark.parametrize(
    ("version", "is_met"),
    [
        *(("1.26", True), ("1.26.4", True), ("2.4.6", True), ("2.10", True), ("1.26.0rc1", True)),
        *(("1.25.9", False), ("1.9", False), ("3", False), ("3.0.1", False)),
    ],
)
def test_bounds_are_compared_as_numbers(base: Base, version: str, is_met: bool) -> None:
    base.has("numpy", version)
    assert ("numpy>=1.26,<3" not in base.unmet()) is is_met
