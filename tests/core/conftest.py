"""Places that belong to one test, and the command line in them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.run.journal import Journal

GPUBENCH = Path(sys.executable).with_name("gpubench-tui")


@dataclass(frozen=True)
class CommandLine:
    """``gpubench-tui`` as a process, in a home of its own."""

    home: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def results(self) -> Path:
        return self.home / "results"

    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GPUBENCH_", "XDG_", "_ARG", "COMP_", "PYTHONUNBUFFERED"))
        }
        return {
            **kept,
            "HOME": str(self.home),
            "GPUBENCH_STATE_DIR": str(self.state),
            "GPUBENCH_RESULTS_DIR": str(self.results),
            "GPUBENCH_WEIGHTS": "random",
            **self.extra,
        }

    def __call__(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [GPUBENCH, *arguments],
            **{
                "cwd": self.home,
                "env": self.environment(),
                "stdin": subprocess.DEVNULL,
                "capture_output": "stdout" not in options,
                "text": True,
                "timeout": 120,
                **options,
            },
        )

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            [GPUBENCH, *arguments],
            **{
                "cwd": self.home,
                "env": self.environment(),
                "stdin": subprocess.DEVNULL,
                "text": True,
                **options,
            },
        )


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder that nobody has used."""
    return tmp_path / "state"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder that nobody has used."""
    return tmp_path / "results"


@pytest.fixture
def journal(state: Path) -> Iterator[Journal]:
    """A new journal."""
    with Journal(state) as opened:
        yield opened


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    """The command as a process; its folders are the test's."""
    return CommandLine(tmp_path)


@pytest.fixture
def gpubench(
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Said]:
    """The command in this process: the same entry point, many times quicker."""
    from core.cli import main

    for name in os.environ:
        if name.startswith(("GPUBENCH_", "XDG_", "_ARG")):
            monkeypatch.delenv(name)
    for name, value in command_line.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(command_line.home)

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        captured = capsys.readouterr()
        return Said(int(code), captured.out, captured.err)

    return call


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Make a file system of a given size; needs root."""
    mounted: list[Path] = []

    def make(size: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        answer = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode != 0:
            pytest.skip(f"no small file system can be mounted here: {answer.stderr.strip()}")
        mounted.append(place)
        return place

    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    yield make
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path) -> Path:
    """Use up all the space of a small disk; deleting the file gives it back."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        try:
            while stream.write(b"x" * 4096):
                pass
        except OSError:
            return ballast
    return ballast
