"""Archives and lists of results that no honest keeper makes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.kube.archive import OURS
from core.kube.cluster import Cluster
from core.kube.transfer import TransferError
from tests.core.kube.clocks import Clock
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_pods import Frames, answering
from tests.core.kube.transfer_scene import Scene, found_in, set_up


@pytest.fixture
async def scene(stand_in: StandIn, tmp_path: Path) -> AsyncIterator[Scene]:
    clock = Clock()
    access = stand_in.access(tmp_path)
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        yield await set_up(stand_in, tmp_path, clock, cluster)


def archive_of(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for member, data in members:
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def plain(name: str, data: bytes = b"x", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in fields.items():
        setattr(member, key, value)
    return member, data


def announcing(archive: bytes, files: list[dict[str, Any]]) -> Callable[[Sequence[str]], Frames]:
    """A keeper that may lie about what it sends."""
    line = json.dumps(
        {"bytes": len(archive), "sha256": hashlib.sha256(archive).hexdigest(), "files": files}
    )

    async def execute(command: Sequence[str]) -> Frames:
        yield 1, line.encode() if "bundle" in command else archive
        yield 0

    return execute


def announced(name: str, data: bytes = b"x") -> dict[str, Any]:
    return {"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}
DEVICE = {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3, "size": 0}


@pytest.mark.parametrize(
    ("members", "files"),
    [
        ([plain("../outside")], [announced("../outside")]),
        ([plain("/outside")], [announced("/outside")]),
        ([plain("a/../../outside")], [announced("a/../../outside")]),
        ([plain("./a")], [announced("./a")]),
        *(([plain(name)], [announced(name)]) for name in sorted(OURS)),
        ([plain("STATUS.md/a")], [announced("STATUS.md/a")]),
        ([plain(".collecting/a")], [announced(".collecting/a")]),
        ([plain("")], [announced("")]),
        ([plain("a\0b")], [announced("a\0b")]),
        ([plain("a")], [announced("a"), announced("a")]),
        ([plain("a"), plain("a/b")], [announced("a"), announced("a/b")]),
        ([plain("a"), plain("a")], [announced("a")]),
        ([plain("not announced")], [announced("a")]),
        ([plain("a")], [announced("a"), announced("missing")]),
        ([plain("a", b"other")], [announced("a")]),
        ([plain("a", b"y")], [announced("a")]),
        ([plain("a", b"", **LINK)], [announced("a", b"")]),
        ([plain("a", b"", **{**LINK, "type": tarfile.LNKTYPE})], [announced("a", b"")]),
        ([plain("a", b"", **DEVICE)], [announced("a", b"")]),
        ([plain("a", b"", type=tarfile.FIFOTYPE)], [announced("a", b"")]),
        ([plain("a")], [{"path": "a", "bytes": -1, "sha256": "0" * 64}]),
        ([plain("a")], [{"path": "a", "bytes": 1 << 60, "sha256": "0" * 64}]),
        ([plain("a")], [{"path": 7, "bytes": 1, "sha256": "0" * 64}]),
        ([plain("a")], [{"path": "a", "bytes": True, "sha256": "0" * 64}]),
        ([plain("a")], [{"path": "a", "bytes": 1, "sha256": "no hash"}]),
        ([plain("a")], ["a"]),
    ],
)
async def test_an_archive_that_is_not_as_it_should_be_is_refused(
    scene: Scene, members: list[tuple[tarfile.TarInfo, bytes]], files: list[Any]
) -> None:
    scene.answer(announcing(archive_of(members), files))
    with pytest.raises(TransferError):
        await scene.collect()
    assert found_in(scene.destination) == {}
    assert {path.name for path in scene.destination.parent.iterdir()} <= {
        "kubeconfig",
        "shared",
        "here",
    }


@pytest.mark.parametrize(
    "archive",
    [b"", b"no gzip", gzip.compress(b"no tar" * 200)],
    ids=["empty", "no gzip", "no archive"],
)
async def test_a_damaged_archive_is_told(scene: Scene, archive: bytes) -> None:
    scene.answer(announcing(archive, [announced("a")]))
    with pytest.raises(TransferError):
        await scene.collect()


async def test_an_archive_that_unpacks_to_more_than_announced_is_refused(scene: Scene) -> None:
    headers = {"comment": "x" * 50_000_000}
    bomb = archive_of([plain("a", pax_headers=headers)])
    assert len(bomb) < 100_000
    scene.answer(announcing(bomb, [announced("a")]))
    with pytest.raises(TransferError, match="more than was announced"):
        await scene.collect()


async def test_more_bytes_than_announced_are_refused(scene: Scene) -> None:
    archive = archive_of([plain("a")])
    honest = announcing(archive, [announced("a")])

    async def execute(command: Sequence[str]) -> Frames:
        if "send" in command:
            yield 1, archive
            yield 1, b"more"
        async for frame in honest(command):
            yield frame

    scene.answer(execute)
    with pytest.raises(TransferError, match="more than it had announced"):
        await scene.collect()


@pytest.mark.parametrize("word", [b"", b"no json", b"[]", b'{"files": 3}', b"{}"])
async def test_a_list_that_cannot_be_read_is_told(scene: Scene, word: bytes) -> None:
    scene.answer(answering(stdout=word))
    with pytest.raises(TransferError, match="cannot be read"):
        await scene.collect()
