"""What a run on GKE would do, in commands that people can type."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml

from core.settings import Settings
from core.targets.gke.showing import commands, deployment_to_be, manifest
from tests.core.runs import small_plan


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"target": "gke", "project": "some-project", **values})


def typed(**values: Any) -> list[list[str]]:
    return [shlex.split(command) for _what, command in commands(settings(**values))]


def test_every_step_has_its_command_from_nothing_to_nothing() -> None:
    shown = commands(settings())
    order = [what for what, _command in shown if what]
    assert order == [
        *("create the cluster", "add the pool of GPU nodes, empty", "let kubectl in"),
        *("have a registry", "build and push the image", "create the Job", "follow it"),
        *("let the GPU nodes go", "remove the pool", "remove the cluster"),
        "see that nothing is left",
    ]
    programs = {shlex.split(command)[0] for _what, command in shown}
    assert programs == {"gcloud", "docker", "kubectl"}


def value_of(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def test_every_gcloud_command_names_the_project_and_the_cluster_its_zone() -> None:
    for words in typed(zone="europe-west4-b", cluster_name="mine"):
        if words[0] != "gcloud":
            continue
        assert value_of(words, "--project") == "some-project"
        if words[1] == "container" and "list" not in words:
            assert value_of(words, "--location") == "europe-west4-b"
            assert "mine" in words


def test_the_commands_ask_for_the_machines_that_the_settings_ask_for() -> None:
    words = typed(machine="g2-standard-4", gpu="nvidia-l4", spot=True, most_nodes=3)
    (pool,) = (each for each in words if each[1:4] == ["container", "node-pools", "create"])
    assert value_of(pool, "--machine-type") == "g2-standard-4"
    assert value_of(pool, "--accelerator").startswith("type=nvidia-l4,count=1,")
    assert "--spot" in pool
    assert value_of(pool, "--max-nodes") == "3"
    assert value_of(pool, "--num-nodes") == "0"


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("europe-west4-docker.pkg.dev/some-project/theirs/benchmark", ["theirs"]),
        ("registry.test/benchmark", []),
    ],
)
def test_a_registry_is_created_only_at_googles(image: str, registry: list[str]) -> None:
    created = [words for words in typed(image=image) if words[1:3] == ["artifacts", "repositories"]]
    assert [name for words in created for name in words if name in registry] == registry
    assert len(created) == len(registry)
    assert ["docker", "push", image] in typed(image=image)


def test_the_job_is_the_one_that_the_run_would_create() -> None:
    chosen = settings(name_suffix="one", leg="xen", image="registry.test/benchmark:tag")
    job = yaml.safe_load(manifest(chosen, small_plan()))
    assert job["kind"] == "Job"
    assert job["metadata"]["name"] == "gpu-benchmark-xen-one"
    pod = job["spec"]["template"]["spec"]
    assert {each["image"] for each in pod["containers"]} == {"registry.test/benchmark:tag"}
    pool = deployment_to_be(chosen).pool
    assert pod["nodeSelector"] == {"cloud.google.com/gke-nodepool": pool}
    assert {"key": "nvidia.com/gpu", "operator": "Exists"} in pod["tolerations"]
