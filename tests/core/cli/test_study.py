"""``study`` on the command line: what it refuses, and the plan that it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from core.cli.study_store import StudyStore
from core.settings import Settings
from core.verdict.study import Block, BlockEnded, End, LegPlan, schedule
from tests.core.conftest import Said
from tests.core.runs import small_plan
from tests.core.verdict.studies import a_plan

Gpubench = Callable[..., Said]


GKE = ("--target", "gke", "--project", "some-project", "--image", "us-docker.pkg.dev/a/b/c:1")


def planned(gpubench: Gpubench, *arguments: str) -> str:
    said = gpubench("--no-ui", "study", "--dry-run", *arguments)
    assert said.code == 0, said.err
    assert said.err == ""
    return said.out


def refused(gpubench: Gpubench, *arguments: str) -> str:
    said = gpubench("--no-ui", "study", *arguments)
    assert (said.code, said.out) == (2, ""), said.err
    assert said.err.count("\n") == 1
    return said.err


def test_a_dry_run_shows_order_looks_levels_time_and_cost_and_changes_nothing(
    gpubench: Gpubench, tmp_path: Path
) -> None:
    text = planned(gpubench, "--blocks", "6", "--looks", "3", "--xen", "precision=bf16")
    assert "xen against baseline, target: overhead below 5 %" in text
    assert "precision: baseline -, xen bf16" in text
    assert "A/A, look 1 of 2, after 3 pairs" in text
    assert "A/A, look 2 of 2, after 6 pairs" in text
    assert "profile reference once" in text
    assert "look 1 of 2, after 3 pairs" in text
    assert "look 2 of 2, after 6 pairs" in text
    # Each look's own level; both together spend 5 %.
    assert "0.0056" in text
    assert "At most 24 runs" in text
    assert "$0.00" in text
    assert not (tmp_path / "results").exists()


def test_the_order_within_pairs_is_shown_and_the_baseline_begins(gpubench: Gpubench) -> None:
    text = planned(gpubench, "--blocks", "3", "--calibration", "0")
    assert re.search(r" AB (BA AB|AB BA|BA BA) ", text)
    assert "A/A," not in text


def test_on_gke_one_run_a_leg_lies_between_two_looks(gpubench: Gpubench) -> None:
    text = planned(gpubench, *GKE, "--allow", "gpu_uuid", "--blocks", "10", "--calibration", "0")
    assert "Ax5 Bx5" in text
    assert "Bx5 Ax5" in text
    assert "compared unpaired" in text
    assert "a budget of its own, $5.00" in text
    assert "At most 4 runs" in text


def test_a_leg_may_be_called_otherwise(gpubench: Gpubench) -> None:
    assert "B is kvm" in planned(gpubench, "--xen", "leg=kvm")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--xen", "precision"), "names no value"),
        (("--xen", "colour=red"), "no setting colour"),
        (("--baseline", "profile=reference"), "both legs of a study have the same profile"),
        (("--xen", "precision=fp9"), "precision"),
        (("--repeats", "3"), "unrecognized arguments: --repeats"),
        (("--xen", "repeats=3"), "Use --blocks"),
        (("--blocks", "2"), "That is no study"),
        ((*GKE,), "On gke each run gets a node of its own"),
        (("--xen", "target=gke"), "study --target kubernetes"),
        (("--keep", "everything"), "keep everything would keep something of each"),
        (("--baseline", "precision=fp32", "--xen", "precision=bf16"), "precision is fp32 in one"),
        (("--baseline", "threads=2", "--xen", "threads=3"), "--allow threads"),
        (("--baseline", "execution=eager", "--xen", "execution=jit"), "execution is eager"),
        (("--blocks", "3"), "on this machine and so under the same layer"),
        (("--calibration", "1"), "calibration must be 0 or at least 3"),
        (("--looks", "5,x"), "no list of whole numbers"),
        (("--looks", "5,5"), "looks must grow"),
        (("--looks", "5,20"), "the last look must come after all 10 blocks"),
        (("--looks", "1,10"), "That is no study"),
        (("--target-overhead", "nothing"), "nothing"),
        (("--allow", "everything"), "no such key"),
        (("--xen", "leg=baseline"), "both are called baseline"),
        (("--profile", "no-such.toml"), "no-such.toml"),
        (("--resume",), "holds no study"),
        (("--resume", "--xen", "leg=kvm"), "--xen would change it"),
        (("--resume", "--profile", "quick"), "--profile would change it"),
        (("--resume", "--blocks", "20", "--calibration", "0"), "--blocks, --calibration would"),
    ],
)
def test_what_is_no_study_is_one_sentence(
    gpubench: Gpubench, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    assert words in refused(gpubench, *arguments)
    assert not (tmp_path / "results").exists()


def test_a_plan_that_would_be_refused_for_its_layer_says_so(gpubench: Gpubench) -> None:
    words = "It would be refused: both legs would run on this machine"
    assert words in planned(gpubench)
    assert words not in planned(gpubench, "--allow", "layer")


def test_what_would_be_refused_may_be_allowed(gpubench: Gpubench) -> None:
    legs = ("--baseline", "threads=2", "--xen", "threads=3")
    assert "threads: baseline 2, xen 3" in planned(gpubench, *legs, "--allow", "threads")
    planned(gpubench, *GKE, "--allow", "gpu_uuid")


def test_the_profile_is_the_reference_but_where_somebody_says_otherwise(
    gpubench: Gpubench, tmp_path: Path
) -> None:
    assert "profile quick once" in planned(gpubench, "--profile", "quick")
    (tmp_path / "own.toml").write_text('profile = "quick"\n')
    assert "profile quick once" in planned(gpubench, "--config", str(tmp_path / "own.toml"))


def test_a_study_that_has_ended_tells_its_end_again(gpubench: Gpubench, tmp_path: Path) -> None:
    with StudyStore.create(tmp_path / "results", a_plan()) as store:
        store.update(ended=End(kind="noisy", reason="Noise of 12 %."))
    said = gpubench("--no-ui", "study", "--resume")
    assert said.code == 4
    assert "Noise of 12 %." in said.err
    assert json.loads(said.out)["event"] == "study_ended"


def test_a_dry_run_of_a_resumed_study_tells_what_is_left_and_starts_nothing(
    gpubench: Gpubench, tmp_path: Path
) -> None:
    plan = a_plan(
        baseline=LegPlan(settings=Settings().model_dump(mode="json"), plan=small_plan()),
        xen=LegPlan(settings=Settings(leg="xen").model_dump(mode="json"), plan=small_plan()),
    )
    with StudyStore.create(tmp_path / "results", plan) as store:
        first = schedule(plan)[0]
        assert isinstance(first, Block)
        store.update(done=(BlockEnded(block=first, run="run-1", outcome="good"),))
        before = (store.folder / "study.json").read_text()
    text = planned(gpubench, "--resume")
    assert "1 runs are done, at most 17 are left" in text
    assert (store.folder / "study.json").read_text() == before
    assert not (tmp_path / "results" / "runs").exists()


def test_a_broken_study_is_one_sentence(gpubench: Gpubench, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "studies" / "20260101-000000-study-aaaa"
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps({"plan": "\x1b[31m"}))
    assert "\x1b" not in refused(gpubench, "--resume", "2026")
