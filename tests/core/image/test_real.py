"""Shipping with a real container engine and a real registry of this test's own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import shutil
import socket
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.image.context import BuildContext, ContextFile, load_context
from core.image.credentials import CredentialSource, Login
from core.image.errors import BuildError, NoSpaceError, RefusedError
from core.image.shipping import ImageOrder, Part, ShippedImage, Surroundings, ship
from tests.base_image import ensure_base_image, why_not

REGISTRY = shutil.which("docker-registry") or shutil.which("registry")
BUSYBOX = Path("/usr/bin/busybox")
# htpasswd -Bnb someone a-real-pass/word+
HTPASSWD = "someone:$2b$05$rUz2SH6vfYWfpTSUWsWOzO1dNi9iAnft.Ynsoxo63kxOB2kTXI4g2\n"
DOCKERFILE = """
ARG BASE_IMAGE=nothing:1
FROM ${BASE_IMAGE}
ARG BASE_IMAGE
LABEL gpubench.test=${BASE_IMAGE}
COPY setup /opt/setup
RUN echo set up > /opt/done
COPY code /opt/code
"""


@dataclass
class Workshop:
    """The real engine, a registry, and what was made with them."""

    engine: Any
    domain: str
    folder: Path
    base: str
    files: dict[str, str] = field(default_factory=dict)
    login: Login | None = None
    parts: list[Part] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def context(self) -> BuildContext:
        files = {"Dockerfile": DOCKERFILE, "setup": "1", "code": "1", **self.files}
        return BuildContext([ContextFile(path, text.encode()) for path, text in files.items()])

    async def ship(self, *, push: bool = True, image: str = "tests/app") -> ShippedImage:
        self.parts.clear()
        self.lines.clear()
        logins = {} if self.login is None else {self.domain: self.login}
        return await ship(
            ImageOrder(f"{self.domain}/{image}", self.base),
            credentials=CredentialSource({"DOCKER_CONFIG": str(self.folder)}, logins),
            report=self.parts.append,
            log=self.lines.append,
            push=push,
            surroundings=Surroundings(context=self.context),
        )


def tiny_base(engine: Any) -> str:
    """A base image made on the spot: one static program as the shell."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(BUSYBOX, arcname="bin/busybox")
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
        for name in ("tmp", "opt"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(folder)
    # Of its own: what one test builds on must not be in another's cache.
    tag = uuid.uuid4().hex[:12]
    engine.import_image_from_data(packed.getvalue(), repository="gpubench-test-tiny", tag=tag)
    return f"gpubench-test-tiny:{tag}"


@contextmanager
def serving_registry(folder: Path, htpasswd: str | None = None) -> Iterator[str]:
    """A registry process with its files in ``folder``."""
    assert REGISTRY is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        domain = f"127.0.0.1:{free.getsockname()[1]}"
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": domain},
    }
    if htpasswd is not None:
        (folder / "htpasswd").write_text(htpasswd)
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "registry.yml").write_text(json.dumps(config))
    process = subprocess.Popen(
        [REGISTRY, "serve", folder / "registry.yml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            try:
                httpx.get(f"http://{domain}/v2/", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield domain
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def engine() -> Iterator[Any]:
    """The engine of this machine."""
    import docker
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env

    if REGISTRY is None:
        pytest.skip("no registry is installed (apt-get install docker-registry)")
    if not BUSYBOX.exists():
        pytest.skip("no static busybox to make a base image of (apt-get install busybox-static)")
    try:
        client = docker.APIClient(version="auto", timeout=60, **kwargs_from_env())
    except DockerException as error:
        pytest.skip(f"no container engine answers here: {type(error).__name__}")
    yield client
    client.close()


@contextmanager
def workshop_with(engine: Any, folder: Path, htpasswd: str | None = None) -> Iterator[Workshop]:
    base = tiny_base(engine)
    with serving_registry(folder, htpasswd) as domain:
        try:
            yield Workshop(engine, domain, folder, base)
        finally:
            mine = [
                tag
                for image in engine.images()
                for tag in image["RepoTags"] or []
                if tag.startswith(f"{domain}/")
            ]
            for name in mine:
                engine.remove_image(name, force=True)
            # What a build leaves when it ends before its last step.
            ours = {"dangling": True, "label": f"gpubench.test={base}"}
            engine.prune_images(filters=ours)
            engine.remove_image(base, force=True)


@pytest.fixture
def workshop(engine: Any, tmp_path: Path) -> Iterator[Workshop]:
    """A registry that lets anybody in."""
    with workshop_with(engine, tmp_path) as workshop:
        yield workshop


def manifest_of(workshop: Workshop, image: str, reference: str, **options: Any) -> httpx.Response:
    return httpx.get(
        f"http://{workshop.domain}/v2/{image}/manifests/{reference}",
        headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
        trust_env=False,
        **options,
    )


async def test_the_digest_and_size_are_the_registrys(workshop: Workshop) -> None:
    shipped = await workshop.ship()
    name, _, digest = shipped.reference.partition("@")
    answer = manifest_of(workshop, "tests/app", shipped.tag)
    document = answer.json()
    assert name == f"{workshop.domain}/tests/app"
    assert digest == answer.headers["Docker-Content-Digest"]
    assert digest == f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    blobs = [document["config"], *document["layers"]]
    assert shipped.size_bytes == sum(blob["size"] for blob in blobs)
    assert (shipped.built, shipped.pushed) == (True, True)


async def test_the_second_time_nothing_is_done(workshop: Workshop) -> None:
    first = await workshop.ship()
    second = await workshop.ship()
    assert second.reference == first.reference
    assert (second.built, second.pushed) == (False, False)
    assert workshop.parts == []


async def test_every_part_ends_ready(workshop: Workshop) -> None:
    await workshop.ship()
    ends = {part.name: part.state for part in workshop.parts}
    assert set(ends.values()) == {"ready"}
    assert len([name for name in ends if name.startswith("step ")]) == 7
    assert len([name for name in ends if name.startswith("layer ")]) == 4


async def test_a_change_of_the_code_makes_and_pushes_only_its_layer(workshop: Workshop) -> None:
    before = await workshop.ship()
    workshop.files["code"] = "2"
    after = await workshop.ship()
    assert after.tag != before.tag
    old, new = (
        [layer["digest"] for layer in manifest_of(workshop, "tests/app", tag).json()["layers"]]
        for tag in (before.tag, after.tag)
    )
    assert old[:-1] == new[:-1]
    assert old[-1] != new[-1]
    assert workshop.lines.count(" ---> Using cache") == 4
    pushed = [part for part in workshop.parts if part.detail == "pushed"]
    assert len(pushed) == 1


async def test_only_building_leaves_the_registry_alone(workshop: Workshop) -> None:
    shipped = await workshop.ship(push=False)
    assert workshop.engine.inspect_image(shipped.reference)["Size"] == shipped.size_bytes
    assert manifest_of(workshop, "tests/app", shipped.tag).status_code == 404
    assert not (await workshop.ship(push=False)).built


async def test_a_step_that_fails_is_named(workshop: Workshop) -> None:
    dockerfile = DOCKERFILE + "RUN echo it is broken >&2 && exit 3\n"
    workshop.files["Dockerfile"] = dockerfile
    with pytest.raises(BuildError) as caught:
        await workshop.ship()
    assert "step 8/8 (RUN echo it is broken" in caught.value.sentence
    assert caught.value.sentence.endswith("failed with status 3: it is broken.")


async def test_a_disk_that_fills_up_in_a_step_is_said_so(workshop: Workshop) -> None:
    # The container's /dev/shm is a file system of 64 MB.
    fill = "RUN /bin/busybox dd if=/dev/zero of=/dev/shm/x bs=1M count=100\n"
    workshop.files["Dockerfile"] = DOCKERFILE + fill
    with pytest.raises(NoSpaceError, match="disk is full: building, at step 8/8"):
        await workshop.ship()


async def test_cancelling_ends_the_step_in_the_engine(workshop: Workshop) -> None:
    mark = uuid.uuid4().hex
    workshop.files["Dockerfile"] = DOCKERFILE + f"RUN echo {mark}; /bin/busybox sleep 600\n"
    task = asyncio.create_task(workshop.ship())

    async def until(said: Any) -> None:
        async with asyncio.timeout(60):
            while not said():
                await asyncio.sleep(0.05)

    def running() -> list[Any]:
        everything = workshop.engine.containers()
        return [each for each in everything if mark in each["Command"]]

    await until(lambda: mark in workshop.lines)
    # Its line is printed before its container is made.
    await until(lambda: len(running()) == 1)
    task.cancel()
    # The step itself would take ten minutes.
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task
    await until(lambda: not running())


async def test_a_real_login_opens_a_closed_registry_and_a_wrong_one_does_not(
    engine: Any, tmp_path: Path
) -> None:
    password = "a-real-pass/word+"
    with workshop_with(engine, tmp_path, HTPASSWD) as workshop:
        for login in (None, Login("someone", "wrong")):
            workshop.login = login
            with pytest.raises(RefusedError, match="does not accept the credentials"):
                await workshop.ship()
        encoded = base64.b64encode(f"someone:{password}".encode()).decode()
        config = {"auths": {workshop.domain: {"auth": encoded}}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        workshop.login = None
        by_config = await workshop.ship(image="tests/by-config")
        workshop.login = Login("someone", password)
        by_flags = await workshop.ship(image="tests/by-flags")
        for shipped, image in ((by_config, "tests/by-config"), (by_flags, "tests/by-flags")):
            answer = manifest_of(workshop, image, shipped.tag, auth=("someone", password))
            assert answer.headers["Docker-Content-Digest"] == shipped.reference.partition("@")[2]


# The base image may have to be made first. The end-to-end test on a cluster runs it so too.
@pytest.mark.slow
@pytest.mark.timeout(1500)
async def test_the_benchmarks_own_image_runs_restricted(engine: Any, tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    base = await asyncio.to_thread(ensure_base_image)
    context = load_context()
    name = f"127.0.0.1:1/{uuid.uuid4().hex}"
    shipped = await ship(
        ImageOrder(name, base),
        credentials=CredentialSource({"DOCKER_CONFIG": str(tmp_path)}),
        report=lambda part: None,
        log=lambda line: None,
        push=False,
        surroundings=Surroundings(context=lambda: context),
    )
    try:
        config = engine.inspect_image(shipped.reference)["Config"]
        assert config["User"] == "10001:10001"
        assert config["Entrypoint"] == ["/usr/bin/tini", "--"]
        assert config["Labels"]["org.opencontainers.image.base.name"] == base
        command = "id -u; id -un; cd /; touch /nowhere || python3 -m benchmark --help | head -1"
        said = run_restricted(engine, shipped.reference, ["sh", "-c", command])
        assert said[:2] == ["10001", "gpubench"]
        assert any("Read-only file system" in line for line in said)
        assert said[-1].startswith("usage: python -m benchmark")
    finally:
        engine.remove_image(shipped.reference, force=True)


def run_restricted(engine: Any, image: str, command: list[str]) -> list[str]:
    """Run as a cluster with restricted pods would; returns the lines of both outputs."""
    container = engine.create_container(
        image,
        command,
        host_config=engine.create_host_config(
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            tmpfs={"/tmp": "", "/results": ""},
        ),
    )
    try:
        engine.start(container)
        engine.wait(container)
        lines: list[str] = engine.logs(container).decode().splitlines()
        return lines
    finally:
        engine.remove_container(container, force=True)
