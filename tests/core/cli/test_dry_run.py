"""``run --dry-run`` on GKE: the plan, the same by hand, and the Job; nobody is asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from core.run.journal import Journal
from tests.core.conftest import Said

Gpubench = Callable[..., Said]
GKE = ("run", "--target", "gke", "--project", "some-project", "--dry-run")


def test_it_prints_plan_commands_and_job_as_one_yaml_file(
    gpubench: Gpubench, journal: Journal
) -> None:
    said = gpubench(*GKE, "--profile", "quick", "--name-suffix", "one")
    assert said.code == 0
    job = yaml.safe_load(said.out)
    assert (job["kind"], job["metadata"]["name"]) == ("Job", "gpu-benchmark-baseline-one")
    comments = [line for line in said.out.splitlines() if line.startswith("#")]
    assert comments[0].split()[:5] == ["#", "STEP", "FROM", "TAKES", "BESIDE"]
    text = "\n".join(comments)
    for step in ("cluster", "image", "drivers", "teardown"):
        assert f"# {step} " in text
    assert "of a budget of $5.00" in text
    assert "#   gcloud container clusters create gpu-benchmark-cluster-one " in text
    assert "#   gcloud container clusters delete gpu-benchmark-cluster-one " in text
    assert journal.runs() == []


def test_what_cannot_be_is_refused_before_anything_is_shown(gpubench: Gpubench) -> None:
    said = gpubench(*GKE, "--machine", "n1-standard-4", "--gpu", "nvidia-h100-80gb")
    assert (said.code, said.out) == (2, "")
    assert "n1-standard-4" in said.err


def test_without_a_project_it_says_how_to_name_one(
    gpubench: Gpubench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    said = gpubench("run", "--target", "gke", "--dry-run")
    assert (said.code, said.out) == (2, "")
    assert "--project" in said.err


def test_this_machine_has_nothing_to_show(gpubench: Gpubench) -> None:
    said = gpubench("run", "--dry-run")
    assert said.code == 2
    assert "--target" in said.err
