"""``gpubench-tui --no-ui image``: what it prints, says and ends with."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.image.context import load_context
from tests.core.conftest import CommandLine, Said
from tests.core.image.stand_in_engine import StandInEngine
from tests.core.image.stand_in_registry import StandInRegistry, manifest

Gpubench = Callable[..., Said]
BASE = "base.example/python:3.12"
PASSWORD = "p4ss w:rd/+"


@pytest.fixture
def engine(
    registry: StandInRegistry, gpubench: Gpubench, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandInEngine]:
    """An engine that has the base image; the command finds it."""

    def receive(name: str, tag: str) -> None:
        registry.hold(name.partition("/")[2], tag, manifest(10, 300))

    with StandInEngine(images={BASE: 9}, on_push=receive).serve() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.address)
        monkeypatch.delenv("DOCKER_CONFIG", raising=False)
        yield engine


def arguments(registry: StandInRegistry, *more: str) -> list[str]:
    return ["--image", f"{registry.domain}/team/app", "--base-image", BASE, *more]


def test_push_prints_one_object_and_tells_the_rest_on_stderr(
    gpubench: Gpubench, engine: StandInEngine, registry: StandInRegistry
) -> None:
    said = gpubench("--no-ui", "image", "push", *arguments(registry))
    assert said.code == 0, said.err
    document = json.loads(said.out)
    tag = load_context().tag(BASE)
    digest = document.pop("digest")
    assert document == {
        "reference": f"{registry.domain}/team/app@{digest}",
        "tag": tag,
        "bytes": 310,
        "built": True,
        "pushed": True,
    }
    assert "layer aaa: ready, pushed" in said.err
    assert "Step 1/1 : FROM base" in said.err


def test_build_does_not_push(
    gpubench: Gpubench, engine: StandInEngine, registry: StandInRegistry
) -> None:
    said = gpubench("--no-ui", "image", "build", *arguments(registry))
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert (document["built"], document["pushed"], document["digest"]) == (True, False, None)
    assert document["reference"] == f"{registry.domain}/team/app:{document['tag']}"
    assert registry.requests == []


def test_quiet_says_nothing_but_the_object(
    gpubench: Gpubench, engine: StandInEngine, registry: StandInRegistry
) -> None:
    said = gpubench("--no-ui", "image", "push", "--quiet", *arguments(registry))
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out)["pushed"]


def test_the_password_comes_from_stdin_and_shows_nowhere(
    gpubench: Gpubench,
    engine: StandInEngine,
    registry: StandInRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.login, registry.password = "basic", PASSWORD
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    login = ("--registry-user", "someone", "--registry-password-stdin")
    said = gpubench("--no-ui", "image", "push", *arguments(registry, *login))
    assert said.code == 0, said.err
    assert engine.logins == [
        {"username": "someone", "password": PASSWORD, "serveraddress": registry.domain}
    ]
    assert PASSWORD not in said.out + said.err


@pytest.mark.parametrize("flags", [["--registry-user", "me"], ["--registry-password-stdin"]])
def test_half_a_login_is_wrong_input(gpubench: Gpubench, flags: list[str]) -> None:
    said = gpubench("--no-ui", "image", "push", "--image", "127.0.0.1:1/a", *flags)
    assert said.code == 2
    assert "Give --registry-user NAME and --registry-password-stdin together" in said.err


def test_an_empty_password_is_wrong_input(
    gpubench: Gpubench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    login = ("--registry-user", "someone", "--registry-password-stdin")
    said = gpubench("--no-ui", "image", "push", "--image", "127.0.0.1:1/a", *login)
    assert said.code == 2
    assert "no password on stdin" in said.err


def test_without_a_name_one_is_asked_for(gpubench: Gpubench) -> None:
    said = gpubench("--no-ui", "image", "build")
    assert said.code == 2
    assert "--image REGISTRY/REPOSITORY" in said.err


def test_a_failure_is_one_line_and_exit_code_1(
    gpubench: Gpubench, engine: StandInEngine, registry: StandInRegistry
) -> None:
    registry.may_push = False
    said = gpubench("--no-ui", "image", "push", *arguments(registry))
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("gpubench-tui: ")
    assert said.err.count("\n") == 1


def test_as_a_process_it_ends_the_build_when_interrupted(
    command_line: CommandLine, engine: StandInEngine, registry: StandInRegistry, tmp_path: Path
) -> None:
    import signal
    import subprocess

    engine.hangs = True
    process = command_line.start(
        "--no-ui",
        "image",
        "push",
        *arguments(registry),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**command_line.environment(), "DOCKER_HOST": engine.address},
    )
    assert engine.said_all.wait(60)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert engine.left_alone.wait(60)
