"""The image stage: one run at a time builds, and none for ever."""

from __future__ import annotations

import asyncio
import fcntl
from pathlib import Path

import pytest

from core.errors import StageError
from core.image.credentials import CredentialSource
from core.image.errors import ImageNameError
from core.kube.cluster import Access
from core.run.events import AnyRecord
from core.run.pipeline import StageContext
from core.settings import Settings
from core.targets.kubernetes.deployment import Deployment
from core.targets.kubernetes.image import Image
from tests.core.runs import small_plan


class Scene:
    """A run that wants an image, and another that builds one."""

    def __init__(self, folder: Path) -> None:
        # Its name is none, which is said as soon as shipping begins.
        settings = Settings(target="kubernetes", image="NO name")
        self.deployment = Deployment(settings, Access("nowhere", "none", "default"))
        self.folder = folder
        self.lines: list[str] = []
        self.events: list[AnyRecord] = []
        self.looks = 0
        self.other = (folder / "image.lock").open("w")
        fcntl.flock(self.other, fcntl.LOCK_EX)

    async def look(self, _seconds: float) -> None:
        self.looks += 1
        await asyncio.sleep(0)

    async def run(self, **options: float) -> str:
        stage = Image(
            self.deployment, self.folder, CredentialSource({}), sleep=self.look, **options
        )
        return await stage.run(
            StageContext(
                run_id="run",
                leg="baseline",
                folder=self.folder,
                results_dir=self.folder,
                plan=small_plan(),
                emit=self.events.append,
                log=lambda _source, text, time=None: self.lines.append(text),
            )
        )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_waiting_for_another_run_is_told_every_minute(scene: Scene) -> None:
    running = asyncio.create_task(scene.run())
    while scene.looks < 250:
        await asyncio.sleep(0)
    scene.other.close()
    with pytest.raises(ImageNameError):
        await running
    assert scene.lines == [
        "another run builds an image: waiting for it",
        "another run builds an image: waiting for it, for 1 min 00 s now",
        "another run builds an image: waiting for it, for 2 min 00 s now",
    ]


async def test_the_stage_has_an_end(scene: Scene) -> None:
    with pytest.raises(StageError, match="not in its registry after") as caught:
        await scene.run(limit_s=0.05)
    assert caught.value.remedy
    assert not scene.deployment.image_known.is_set()


async def test_a_stop_is_no_failure_of_the_stage(scene: Scene) -> None:
    running = asyncio.create_task(scene.run())
    while not scene.looks:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
