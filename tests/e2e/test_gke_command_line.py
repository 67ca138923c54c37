"""The command line against GKE's stand-in, in processes of its own: a run to its end, one that is
interrupted, and what can be found of the user's secrets afterwards and meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmark.results import read_result
from core.gcp.specs import RUN_LABEL
from core.kube.cluster import Access
from tests.cluster_kit import kit, real_cluster_access, real_namespace
from tests.core.conftest import CommandLine
from tests.core.image.stand_in_registry import StandInRegistry, manifest
from tests.e2e.cluster_run import Deployment, base_flags, image_repository, left_by
from tests.e2e.google_run import Docker, GoogleUser, Secrets, node_of_the_pool
from tests.google.clock import Durations
from tests.google.real_cluster import real_cluster
from tests.google.world import GoogleWorld

__all__ = ["real_cluster_access", "real_namespace"]

# The processes' clock is our own, so Google is quick here.
_AT_ONCE = Durations(
    control_plane=2,
    system_nodes=1,
    pool_accepted=0.5,
    node_boot=1,
    driver=1,
    pool_create=2,
    pool_delete=1,
    cluster_delete=2,
    resize=1,
    settings_change=0.5,
    autoscaler=0.5,
    repository=0.5,
    zone_operation=0.5,
    pull=0.5,
    benchmark=6,
    smoke=0.5,
)
_PASSWORD = "planted-password-of-docker"
_TOKEN_S = 16.0
"""Half of that before the end a new one is fetched."""


@dataclass(frozen=True)
class Lived:
    """What came of the two runs."""

    code: int
    events: list[dict[str, Any]]
    result: Path
    cut_code: int
    left_of_cut: list[str]
    shown: str
    cost: dict[str, Any]
    swept: dict[str, Any]
    left: list[str]
    doubles: list[str]
    usd: float
    """By the ledger, of the first run."""
    tokens: int
    seconds: float
    secrets: Secrets
    kept: dict[Path, bytes]
    given: set[bytes]
    """Arguments and environments of all processes."""
    heard: bytes
    """Those of the credential helper."""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("gke")
    registry = StandInRegistry(login="basic", password=_PASSWORD)
    registry.hold("gpubench/benchmark", "one", manifest(10, 20))
    with registry.serve():
        return asyncio.run(_live(folder, registry))


async def _live(folder: Path, registry: StandInRegistry) -> Lived:
    async with GoogleWorld(durations=_AT_ONCE) as world:
        world.tokens.lifetime_s = _TOKEN_S
        docker = Docker(folder / "docker", registry.domain, _PASSWORD)
        user = GoogleUser(world, folder / "home", docker)
        listening = asyncio.create_task(user.overhear())
        image = f"{registry.domain}/gpubench/benchmark:one"
        run = ("run", "--target", "gke", "--image", image)
        whole = await user.type(*run)
        cut = await user.type(*run, "--name-suffix", "cut")
        run_id = (await whole.until(event="run_created"))["run"]
        cut_id = (await cut.until(event="run_created"))["run"]
        await cut.until(event="benchmark_started")
        cut.interrupt()
        await whole.until(event="benchmark_started")
        # As if every one had been revoked: what is under way must not end by it.
        tokens = list(world.tokens.granted)
        world.tokens.expire()
        code, cut_code = await asyncio.gather(whole.end(), cut.end())
        left_of_cut = [
            str(each) for each in world.ledger.standing() if each.labels.get(RUN_LABEL) == cut_id
        ]
        shown = await user.say("show", run_id)
        cost = json.loads(await user.say("cost", run_id, "--json"))
        swept = json.loads(await user.say("sweep", "--all", "--json"))
        listening.cancel()
        tokens += world.tokens.granted
        return Lived(
            code=code,
            events=whole.events,
            result=user.home / "results" / "baseline" / "benchmark_results.json",
            cut_code=cut_code,
            left_of_cut=left_of_cut,
            shown=shown,
            cost=cost,
            swept=swept,
            left=[str(each) for each in world.ledger.standing()],
            doubles=world.ledger.doubles(),
            usd=world.ledger.usd(label=(RUN_LABEL, run_id)),
            tokens=len(tokens),
            seconds=whole.events[-1]["seconds"],
            secrets=Secrets.of(world, tokens, _PASSWORD),
            kept=user.kept(),
            given=user.heard,
            heard=docker.heard.read_bytes(),
        )


def test_a_run_goes_from_nothing_to_nothing(lived: Lived) -> None:
    assert lived.code == 0
    last = lived.events[-1]
    assert (last["event"], last["state"], last["exit_code"]) == ("run_finished", "done", 0)
    results = read_result(lived.result)
    assert results.run_id == last["run"]
    assert results.benchmarks
    assert lived.left == []
    assert lived.doubles == []


def test_afterwards_it_can_be_shown_told_by_cost_and_nothing_is_there_to_sweep(
    lived: Lived,
) -> None:
    assert "SingleStream" in lived.shown
    assert lived.cost["cost"]["usd"] == pytest.approx(lived.usd, rel=0.02)
    assert lived.swept["found"] == []


def test_ctrl_c_in_the_middle_leaves_nothing(lived: Lived) -> None:
    assert lived.cut_code == 130
    assert lived.left_of_cut == []


def test_tokens_that_end_or_are_revoked_meanwhile_do_not_end_a_run(lived: Lived) -> None:
    assert lived.seconds > _TOKEN_S
    # Two processes' first ones, those that came in time, and those after the revocation.
    assert lived.tokens >= 6


def test_no_secret_is_in_any_file_that_runs_have_left(lived: Lived) -> None:
    # What is no secret is found, so the search does find.
    account = b"runner@stand-in-project.iam.gserviceaccount.com"
    assert any(account in content for path, content in lived.kept.items() if "state" in path.parts)
    assert any(path.name == "deployment.log" for path in lived.kept)
    found = {path: lived.secrets.found_in(content) for path, content in lived.kept.items()}
    assert {path: names for path, names in found.items() if names} == {}


def test_no_secret_is_in_the_events_that_are_printed(lived: Lived) -> None:
    printed = json.dumps(lived.events).encode()
    assert b"runner@stand-in-project" in printed
    assert lived.secrets.found_in(printed) == []


def test_no_secret_is_given_to_a_process_as_argument_or_by_its_environment(lived: Lived) -> None:
    assert any(b"_execute" in given for given in lived.given)
    assert any(b"GOOGLE_APPLICATION_CREDENTIALS=" in given for given in lived.given)
    for given in (*lived.given, lived.heard):
        assert lived.secrets.found_in(given) == []
    assert b"docker-credential-planted get" in lived.heard


@pytest.mark.slow
@pytest.mark.cluster
async def test_a_run_measures_on_a_real_kubernetes_behind_googles_api(
    command_line: CommandLine, real_cluster_access: Access, real_namespace: str, tmp_path: Path
) -> None:
    kubeconfig = kit().kubeconfig("token")
    if not kubeconfig.is_file():
        pytest.skip("only the cluster kit has a kubeconfig with a token")
    profile = Deployment(command_line, real_cluster_access, tmp_path).tiny
    async with (
        GoogleWorld(durations=_AT_ONCE, real=real_cluster(kubeconfig)) as world,
        node_of_the_pool(real_cluster_access, world),
    ):
        user = GoogleUser(world, tmp_path / "home", Docker(tmp_path / "docker", "no.test", "-"))
        terminal = await user.type(
            *("run", "--target", "gke", "--namespace", real_namespace, "--endpoint", "ip"),
            *("--image", image_repository(), *base_flags()),
            *("--profile", str(profile), "--device", "cpu"),
        )
        assert await terminal.end() == 0, user.errors()
        assert world.ledger.standing() == []
        assert world.ledger.gpu_seconds() > 0
    results = read_result(user.home / "results" / "baseline" / "benchmark_results.json")
    assert [each.name for each in results.benchmarks] == ["singlestream-b1"]
    assert "SingleStream" in await user.say("show", results.run_id)
    assert await left_by(real_cluster_access, results.run_id) == []
