"""The real command line against the stand-in of Google, and what others can see of it meanwhile."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.kube.cluster import Access, Cluster
from core.targets.gke.deployment import POOL_LABEL
from tests.core.conftest import GPUBENCH, CommandLine
from tests.google.world import GoogleWorld

_DOCKER_USER = "someone"
_LOOK_EVERY_S = 0.3
# What a credential helper is given it writes down: it is the one program that a run starts.
_HELPER = """#!/bin/sh
{{ echo "$0 $@"; env; }} >> {heard}
cat > /dev/null
cat {answer}
"""


@dataclass(frozen=True)
class Secrets:
    """What nobody may find, by what it is."""

    by_name: dict[str, bytes]

    def found_in(self, content: bytes) -> list[str]:
        """The names of those that are in there."""
        return [name for name, secret in self.by_name.items() if secret in content]

    @classmethod
    def of(cls, world: GoogleWorld, tokens: Iterable[str], password: str) -> Secrets:
        """The tokens that were given out, the key file's key line by line, Docker's password."""
        key = json.loads(world.credentials_file.read_text())["private_key"].splitlines()[1:-1]
        auth = base64.b64encode(f"{_DOCKER_USER}:{password}".encode()).decode()
        named = {
            **{f"token {number}": token for number, token in enumerate(tokens)},
            **{f"line {number} of the private key": line for number, line in enumerate(key)},
            "Docker's password": password,
            "Docker's password, encoded": auth,
        }
        return cls({name: secret.encode() for name, secret in named.items()})


@dataclass
class Docker:
    """A user's Docker config with a login, by a helper and in the file itself."""

    folder: Path
    domain: str
    password: str

    def __post_init__(self) -> None:
        self.folder.mkdir()
        auth = base64.b64encode(f"{_DOCKER_USER}:{self.password}".encode()).decode()
        config = {
            "auths": {self.domain: {"auth": auth}},
            "credHelpers": {self.domain: "planted"},
        }
        (self.folder / "config.json").write_text(json.dumps(config))
        answer = self.folder / "answer.json"
        answer.write_text(json.dumps({"Username": _DOCKER_USER, "Secret": self.password}))
        helper = self.folder / "docker-credential-planted"
        helper.write_text(_HELPER.format(heard=self.heard, answer=answer))
        helper.chmod(0o700)

    @property
    def heard(self) -> Path:
        """Arguments and environment of the helper, as often as it was started."""
        return self.folder / "heard"


@dataclass
class Terminal:
    """One command that was typed, with what it has said so far."""

    process: asyncio.subprocess.Process
    out: list[bytes] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out]

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """Read on to an event with these fields."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.out.append(line)
            event: dict[str, Any] = json.loads(line)
            if all(event.get(name) == value for name, value in wanted.items()):
                return event
        raise AssertionError(f"it ended without {wanted}: {b''.join(self.out[-3:]).decode()}")

    async def end(self) -> int:
        """Read on to the end; return the exit code."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.out.append(line)
        return await self.process.wait()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)


class GoogleUser:
    """Somebody who types commands, and whose home a test looks through."""

    def __init__(self, world: GoogleWorld, home: Path, docker: Docker) -> None:
        home.mkdir()
        extra = {**world.environment(), "DOCKER_CONFIG": str(docker.folder)}
        self._command_line = CommandLine(home, extra)
        self._docker = docker
        self.home = home
        self.heard: set[bytes] = set()
        """What every process of theirs had for arguments and environment."""
        self._errors = 0

    async def type(self, *arguments: str) -> Terminal:
        """Begin a headless command."""
        environment = self._command_line.environment()
        environment["PATH"] = f"{self._docker.folder}:{environment['PATH']}"
        self._errors += 1
        # In the home, so that it is looked through with everything else.
        with (self.home / f"stderr-{self._errors}").open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(str(GPUBENCH), "--no-ui", *arguments),
                cwd=self.home,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=2**24,
            )
        return Terminal(process)

    async def say(self, *arguments: str) -> str:
        """Run a command that succeeds; return what it says."""
        terminal = await self.type(*arguments)
        said, _ = await terminal.process.communicate()
        assert terminal.process.returncode == 0, self.errors()
        return said.decode()

    def errors(self) -> str:
        """What all commands said to people."""
        return "".join(path.read_text() for path in sorted(self.home.glob("stderr-*")))

    async def overhear(self) -> None:
        """Note what the processes of this home were given, as ``ps`` shows it, until cancelled."""
        mark = str(self.home).encode()
        while True:
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    given = (process / "cmdline").read_bytes()
                    given += b"\0" + (process / "environ").read_bytes()
                    if mark in given:
                        self.heard.add(given)
            await asyncio.sleep(_LOOK_EVERY_S)

    def kept(self) -> dict[Path, bytes]:
        """Every file that their commands have left, the journal among them."""
        return {path: path.read_bytes() for path in self.home.rglob("*") if path.is_file()}


@asynccontextmanager
async def node_of_the_pool(access: Access, world: GoogleWorld) -> AsyncIterator[None]:
    """Have a real cluster's node be that of the GPU pool, as soon as there is one: what autoscaler
    and kubelet do at Google's.
    """
    async with Cluster(access) as cluster:
        node = (await cluster.request("GET", "/api/v1/nodes"))["items"][0]["metadata"]["name"]

        async def label(pool: str | None) -> None:
            body = {"metadata": {"labels": {POOL_LABEL: pool}}}
            merge = "application/merge-patch+json"
            await cluster.request("PATCH", f"/api/v1/nodes/{node}", body=body, content_type=merge)

        async def join() -> None:
            while True:
                for created in world.gke.clusters.values():
                    for pool in created.pools.values():
                        if pool.shape.gpu and created.work is None:
                            world.fleet.resize(pool.groups[0], 1)
                            await label(pool.name)
                            return
                await asyncio.sleep(_LOOK_EVERY_S)

        joining = asyncio.create_task(join())
        try:
            yield
        finally:
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)
            await label(None)
