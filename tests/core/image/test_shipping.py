"""Shipping against an engine and a registry that speak the real protocols."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import traceback
from pathlib import Path

import pytest

from benchmark.errors import ProblemError
from core.image.credentials import Login
from core.image.engine import open_engine
from core.image.errors import (
    BaseImageError,
    BuildError,
    EngineError,
    ImageError,
    ImageNameError,
    ImageNotFoundError,
    NoRepositoryError,
    NoSpaceError,
    RefusedError,
    RegistryError,
)
from tests.core.image.conftest import BASE, REPOSITORY, TAG, Yard
from tests.core.image.stand_in_registry import Fault, manifest

FULL = "write /var/lib/docker/tmp/x: no space left on device"


async def test_an_image_that_is_nowhere_is_built_and_pushed(yard: Yard) -> None:
    shipped = await yard.ship()
    assert yard.engine.pushed == [f"{yard.image}:{TAG}"]
    assert (shipped.built, shipped.pushed, shipped.tag) == (True, True, TAG)
    assert shipped.reference.startswith(f"{yard.image}@sha256:")
    assert shipped.size_bytes == 4310
    (built,) = yard.engine.built
    assert built == {
        "tag": f"{yard.image}:{TAG}",
        "files": ["Dockerfile", "benchmark/__init__.py"],
        "arguments": {"BASE_IMAGE": BASE},
    }


async def test_what_the_registry_has_needs_no_engine(yard: Yard) -> None:
    digest = yard.registry.hold(REPOSITORY, TAG, manifest(1, 2))
    yard.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    shipped = await yard.ship()
    assert (shipped.reference, shipped.size_bytes) == (f"{yard.image}@{digest}", 3)
    assert (shipped.built, shipped.pushed) == (False, False)


async def test_what_the_engine_has_is_pushed_without_a_build(yard: Yard) -> None:
    yard.engine.images[f"{yard.image}:{TAG}"] = 5
    shipped = await yard.ship()
    assert (shipped.built, shipped.pushed) == (False, True)
    assert yard.engine.built == []


async def test_a_second_order_does_nothing(yard: Yard) -> None:
    first = await yard.ship()
    second = await yard.ship()
    assert (second.built, second.pushed) == (False, False)
    assert second.reference == first.reference
    assert len(yard.engine.built) == len(yard.engine.pushed) == 1


async def test_only_building_asks_no_registry(yard: Yard) -> None:
    shipped = await yard.ship(push=False)
    assert shipped.reference == f"{yard.image}:{TAG}"
    assert (shipped.built, shipped.pushed, shipped.size_bytes) == (True, False, 1234)
    assert yard.registry.requests == []


async def test_a_named_image_is_only_looked_up(yard: Yard) -> None:
    digest = yard.registry.hold(REPOSITORY, "1.0", manifest(1, 2))
    by_tag = await yard.ship(f"{yard.image}:1.0")
    by_digest = await yard.ship(f"{yard.image}@{digest}")
    assert by_tag.reference == by_digest.reference == f"{yard.image}@{digest}"
    assert (by_tag.tag, by_digest.tag) == ("1.0", "")
    assert yard.engine.built == []


async def test_a_named_image_that_is_not_there_is_said_to_be_missing(yard: Yard) -> None:
    with pytest.raises(ImageNotFoundError, match=r"no image .*:2\.0 in its registry"):
        await yard.ship(f"{yard.image}:2.0")


async def test_a_missing_base_is_pulled_with_its_own_registrys_login(yard: Yard) -> None:
    yard.logins = {
        "base.example": Login("reader", "for-base"),
        yard.registry.domain: Login("writer", "for-image"),
    }
    yard.engine.pull_says = (
        {"status": "Pulling from python", "id": "3.12"},
        {"status": "Pulling fs layer", "id": "abc"},
        {
            "status": "Downloading",
            "id": "abc",
            "progressDetail": {"current": 5, "total": 10},
        },
        {"status": "Pull complete", "id": "abc"},
    )
    await yard.ship(base_image="base.example/python:3.12")
    assert yard.engine.pulled == ["base.example/python:3.12"]
    assert [login["password"] for login in yard.engine.logins] == ["for-base", "for-image"]
    states = [(part.state, part.done, part.total) for part in yard.parts if "abc" in part.name]
    assert states == [("waiting", None, None), ("working", 5, 10), ("ready", None, None)]


async def test_a_base_without_tag_is_not_every_tag(yard: Yard) -> None:
    await yard.ship(base_image="base.example/python")
    assert yard.engine.pulled == ["base.example/python:latest"]


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (FULL, NoSpaceError, "disk is full"),
        ("denied: requested access to the resource is denied", RefusedError, "does not let"),
        ("unauthorized: authentication required", RefusedError, "does not let"),
        ("no basic auth credentials", RefusedError, "docker login"),
        (
            "denied: Permission 'artifactregistry.repositories.uploadArtifacts' denied on resource "
            "(or it may not exist)",
            RefusedError,
            "see that the repository exists",
        ),
        ("name unknown: Repository 'x' not found", NoRepositoryError, "does not exist"),
        ("received unexpected HTTP status: 413 Payload Too Large", RefusedError, "too large"),
        ("Get https://x/v2/: dial tcp: lookup x: no such host", RegistryError, "cannot reach"),
        ("x509: certificate signed by unknown authority", RegistryError, "certificates"),
        ("received unexpected HTTP status: 502 Bad Gateway", RegistryError, "502"),
        ("something nobody foresaw", ImageError, "something nobody foresaw"),
    ],
)
async def test_a_refused_push_says_why(
    yard: Yard, said: str, kind: type[ProblemError], words: str
) -> None:
    yard.engine.push_says = (
        {"status": "Preparing", "id": "aaa"},
        {"errorDetail": {"message": said}, "error": said},
    )
    with pytest.raises(ProblemError) as caught:
        await yard.ship()
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert caught.value.remedy
    assert yard.parts[-1].name == "layer aaa"
    assert yard.parts[-1].state == "failed"


async def test_a_failed_step_is_named_with_its_last_words(yard: Yard) -> None:
    yard.engine.build_says = (
        {"stream": "Step 1/2 : FROM base\n"},
        {"stream": " ---> 123\n"},
        {"stream": "Step 2/2 : RUN pip install torch\n"},
        {"stream": "\x1b[91mERROR: no matching dist"},
        {"stream": "ribution\n\x1b[0m"},
        {"error": "The command '/bin/sh -c pip' returned a non-zero code: 1"},
    )
    with pytest.raises(BuildError) as caught:
        await yard.ship()
    assert caught.value.sentence == (
        "The image could not be built: step 2/2 (RUN pip install torch) failed with status 1: "
        "ERROR: no matching distribution."
    )
    assert "ERROR: no matching distribution" in yard.lines
    ends = {part.name: part.state for part in yard.parts}
    assert ends == {"step 1/2": "ready", "step 2/2": "failed"}
    assert yard.engine.pushed == []


@pytest.mark.parametrize(
    "messages",
    [
        ({"error": f"Error processing tar file(exit status 1): {FULL}"},),
        (
            {"stream": "Step 1/1 : RUN apt-get update\n"},
            {"stream": "E: Write error - write (28: No space left on device)\n"},
            {"error": "The command '/bin/sh -c apt-get' returned a non-zero code: 100"},
        ),
    ],
    ids=["the engine's words", "the step's words"],
)
async def test_a_full_disk_while_building_is_said_so(
    yard: Yard, messages: tuple[dict[str, object], ...]
) -> None:
    yard.engine.build_says = messages
    with pytest.raises(NoSpaceError, match="docker system prune"):
        await yard.ship()


async def test_a_full_disk_while_pulling_is_said_so(yard: Yard) -> None:
    yard.engine.pull_says = ({"error": f"failed to register layer: {FULL}"},)
    with pytest.raises(NoSpaceError, match=r"base\.example/python:3"):
        await yard.ship(base_image="base.example/python:3")


async def test_a_base_that_cannot_be_pulled_is_named(yard: Yard) -> None:
    yard.engine.refuses = (404, "manifest for base.example/python:3 not found: manifest unknown")
    with pytest.raises(BaseImageError, match=r"base\.example/python:3 .*--base-image"):
        await yard.ship(base_image="base.example/python:3")


async def test_a_build_that_is_refused_at_once_says_why(yard: Yard) -> None:
    yard.engine.refuses = (400, "dockerfile parse error line 1: unknown instruction: FORM")
    with pytest.raises(BuildError, match="unknown instruction: FORM"):
        await yard.ship()


async def test_an_engine_that_goes_away_under_way_is_said_so(yard: Yard) -> None:
    yard.engine.cuts = True
    with pytest.raises(EngineError, match="cannot be used"):
        await yard.ship()


async def test_no_engine_is_one_sentence_with_the_remedy(yard: Yard) -> None:
    yard.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    with pytest.raises(EngineError) as caught:
        await yard.ship()
    assert caught.value.sentence == "No container engine answers at unix:///nowhere/docker.sock."
    assert "systemctl start docker" in caught.value.remedy


async def test_a_socket_that_nobody_serves_is_no_engine(yard: Yard, tmp_path: Path) -> None:
    left = yard.engine.socket.parent / "left.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    yard.environment["DOCKER_HOST"] = f"unix://{left}"
    with pytest.raises(EngineError, match="No container engine answers"):
        await yard.ship()


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
async def test_an_engine_that_this_user_may_not_use_is_said_so(yard: Yard) -> None:
    yard.engine.socket.parent.chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(EngineError, match=r"may not use .* usermod -aG docker"):
            async with open_engine({"DOCKER_HOST": yard.engine.address}):
                pass
    finally:
        os.seteuid(0)


async def test_an_engine_that_does_not_answer_is_said_so(yard: Yard) -> None:
    silent = yard.engine.socket.parent / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(silent))
        listening.listen()
        with pytest.raises(EngineError, match="does not answer"):
            async with open_engine({"DOCKER_HOST": f"unix://{silent}"}, timeout_s=0.1):
                pass


@pytest.mark.parametrize("phase", ["build", "push"])
async def test_cancelling_ends_the_engines_work(yard: Yard, phase: str) -> None:
    if phase == "push":
        yard.engine.images[f"{yard.image}:{TAG}"] = 5
    yard.engine.hangs = True
    task = asyncio.create_task(yard.ship())
    assert await asyncio.to_thread(yard.engine.said_all.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(yard.engine.left_alone.wait, 10)


async def test_a_registry_that_would_refuse_the_push_is_found_out_before_the_build(
    yard: Yard,
) -> None:
    yard.registry.may_push = False
    with pytest.raises(RefusedError, match="requested access to the resource is denied"):
        await yard.ship()
    assert yard.engine.built == []


async def test_a_repository_that_does_not_exist_is_found_out_before_the_build(yard: Yard) -> None:
    yard.registry.repositories = {"another"}
    with pytest.raises(NoRepositoryError, match=f"{REPOSITORY} does not exist"):
        await yard.ship()
    assert yard.engine.built == []


async def test_the_upload_that_was_begun_to_ask_is_given_up(yard: Yard) -> None:
    await yard.ship()
    assert yard.registry.asked("POST") == [f"/v2/{REPOSITORY}/blobs/uploads/"]
    assert yard.registry.asked("DELETE") == [f"/v2/{REPOSITORY}/blobs/uploads/one"]


@pytest.mark.parametrize("image", ["", "UPPER/Case", "host/a b", "host/x:", "host/x@sha256:1"])
async def test_a_malformed_name_changes_nothing(yard: Yard, image: str) -> None:
    with pytest.raises(ImageNameError):
        await yard.ship(image or " ")
    assert yard.registry.requests == []


PASSWORD = "s3cret/Pass+word=="


@pytest.mark.parametrize("ending", ["done", "push refused", "wrong password", "unwell", "cut"])
@pytest.mark.parametrize("login", ["basic", "bearer"])
async def test_the_password_is_nowhere_but_where_it_is_needed(
    yard: Yard, login: str, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    yard.registry.login = login  # type: ignore[assignment]
    yard.registry.password = PASSWORD
    yard.logins[yard.registry.domain] = Login("someone", PASSWORD)
    match ending:
        case "push refused":
            yard.engine.push_says = ({"error": "denied: no"},)
        case "wrong password":
            yard.registry.password = "another"
        case "unwell":
            yard.registry.faults.extend([Fault()] * 4)
        case "cut":
            yard.engine.cuts = True
    said = ""
    try:
        said = repr(await yard.ship())
    except ProblemError as problem:
        said = "".join(traceback.format_exception(problem)) + problem.remedy
    else:
        assert ending == "done"
    seen = "\n".join([said, yard.everything_said(), caplog.text, repr(yard.logins)])
    assert seen.strip()
    assert PASSWORD not in seen
    if ending in ("done", "push refused"):
        assert yard.engine.logins[-1]["password"] == PASSWORD


async def test_the_engine_of_the_chosen_context_is_used(yard: Yard) -> None:
    host = yard.engine.address
    yard.environment["DOCKER_HOST"] = ""
    name = hashlib.sha256(b"desktop").hexdigest()
    place = yard.home / "contexts/meta" / name
    place.mkdir(parents=True)
    meta = {"Name": "desktop", "Endpoints": {"docker": {"Host": host}}}
    (place / "meta.json").write_text(json.dumps(meta))
    yard.configure(currentContext="desktop")
    assert (await yard.ship()).built
    yard.environment["DOCKER_CONTEXT"] = "another"
    with pytest.raises(EngineError, match="The Docker context another names no container engine"):
        await yard.ship(push=False)


async def test_the_configs_proxies_reach_the_build_and_are_no_part_of_the_image(yard: Yard) -> None:
    without = await yard.ship(push=False)
    yard.engine.images.pop(without.reference)
    proxy = "http://user:hidden@proxy.example:3128"
    yard.configure(proxies={"default": {"httpProxy": proxy, "noProxy": "127.0.0.1"}})
    shipped = await yard.ship(push=False)
    assert shipped.reference == without.reference
    arguments = yard.engine.built[-1]["arguments"]
    assert arguments["HTTP_PROXY"] == arguments["http_proxy"] == proxy
    assert arguments["NO_PROXY"] == "127.0.0.1"
    assert "hidden" not in yard.everything_said()
