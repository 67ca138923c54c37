"""``study`` on the command line: what it refuses, and the plan that it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from core.cli.study_store import StudyStore
from core.verdict.study import End
from tests.core.conftest import Said
from tests.core.verdict.studies import a_plan

Gpubench = Callable[..., Said]


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
    assert "A/A, after 5 pairs" in text
    assert "look 1 of 2, after 3 pairs" in text
    assert "look 2 of 2, after 6 pairs" in text
    # Each look's own level; both together spend 5 %.
    assert "0.0056" in text
    assert "At most 22 runs" in text
    assert "$0.00" in text
    assert not (tmp_path / "results").exists()


def test_the_order_within_pairs_is_shown_and_the_baseline_begins(gpubench: Gpubench) -> None:
    text = planned(gpubench, "--blocks", "3", "--calibration", "0")
    assert re.search(r" AB (BA AB|AB BA|BA BA) ", text)
    assert "A/A," not in text


def test_on_gke_one_run_a_leg_lies_between_two_looks(gpubench: Gpubench) -> None:
    given = ("--target", "gke", "--project", "some-project", "--image", "us-docker.pkg.dev/a/b/c:1")
    text = planned(gpubench, *given, "--blocks", "10", "--calibration", "0")
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
        (("--repeats", "3"), "Use --blocks"),
        (("--blocks", "2"), "That is no study"),
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


def test_a_study_that_has_ended_is_not_gone_on_with(gpubench: Gpubench, tmp_path: Path) -> None:
    with StudyStore.create(tmp_path / "results", a_plan()) as store:
        store.update(ended=End(kind="noisy", reason="Noise of 12 %."))
    assert "has ended: Noise of 12 %." in refused(gpubench, "--resume")


def test_a_broken_study_is_one_sentence(gpubench: Gpubench, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "studies" / "20260101-000000-study-aaaa"
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps({"plan": "\x1b[31m"}))
    assert "\x1b" not in refused(gpubench, "--resume", "2026")
