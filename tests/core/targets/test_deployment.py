"""What a run puts on a cluster is named so that others, and later commands, find it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import StageError
from core.kube.archive import OURS
from core.kube.objects import job_object, label_value, to_json
from core.run.events import Stage, StageChecked
from core.run.log import LOG_FILE
from core.run.process import utc_now
from core.run.status import STATUS_FILE
from core.settings import Settings
from core.targets.kubernetes.deployment import resolve
from core.targets.kubernetes.job import MANIFEST_FILE
from core.targets.kubernetes.preflight import Preflight
from tests.core.kube.stand_in import StandIn
from tests.core.runs import small_plan
from tests.core.targets.kubernetes_world import IMAGE, World


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with StandIn() as server:
        server.add_node(gpus=1)
        yield server


def settings_for(stand_in: StandIn, folder: Path, **values: str) -> Settings:
    access = stand_in.access(folder)
    given = {"target": "kubernetes", "kubeconfig": access.kubeconfig, "image": "registry.test/it"}
    return Settings.model_validate({**given, **values})


async def test_files_mean_the_same_wherever_the_run_works(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(stand_in, tmp_path, install_drivers="drivers.yaml")
    kubeconfig = Path(settings.kubeconfig or "")
    monkeypatch.chdir(tmp_path)
    relative = settings.model_copy(update={"kubeconfig": str(kubeconfig.relative_to(tmp_path))})
    found = resolve(relative, {})
    assert found.kubeconfig == str(kubeconfig)
    assert found.install_drivers == str(tmp_path / "drivers.yaml")
    assert resolve(found, {}) == found


@pytest.mark.parametrize(
    "source", ["gke-cos", "gke-ubuntu", "https://drivers.test/a.yaml", "http://drivers.test/a.yaml"]
)
async def test_a_manifest_that_is_no_file_keeps_its_name(
    stand_in: StandIn, tmp_path: Path, source: str
) -> None:
    settings = settings_for(stand_in, tmp_path, install_drivers=source)
    assert resolve(settings, {}).install_drivers == source


@pytest.mark.parametrize("leg", ["xen", "x" * 41])
async def test_the_run_that_has_a_jobs_name_is_said_so_that_teardown_finds_it(
    stand_in: StandIn, tmp_path: Path, leg: str
) -> None:
    settings = settings_for(stand_in, tmp_path, leg=leg, namespace="default")
    world = World(stand_in, stand_in.access(tmp_path), tmp_path, settings)
    run_id = f"20260504-120000-kubernetes-{leg}-ab12"
    order = world.deployment.order(run_id, leg, small_plan(), IMAGE, utc_now())
    assert order.labels["gpubench-tui/run"] == label_value(run_id)
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    async with world.connect(world.access) as cluster:
        await cluster.request("POST", jobs, body=to_json(job_object(order)))
    with pytest.raises(StageError, match="is there already"):
        await Preflight(world.deployment).run(world.context(Stage.PREFLIGHT))
    (check,) = [each for each in world.records(StageChecked) if each.name == "Job's name"]
    assert check.detail.endswith(f"of run {run_id}")
    assert f"teardown {run_id} removes it" in check.remedy


def test_no_pod_can_write_what_a_run_writes_itself() -> None:
    assert {LOG_FILE, STATUS_FILE, MANIFEST_FILE} <= OURS
