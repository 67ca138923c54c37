"""What a certain verdict holds under and its figures cannot show is said with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from core.verdict.comparison import Request, compare
from core.verdict.model import Comparison, Question, Verdict
from tests.core.verdict.known import noisy
from tests.core.verdict.scene import STARTED, a_leg, legs

LATER = STARTED + timedelta(days=1)
ONE_BOOT = "for one boot of each leg"


def compared(second: float = 99.0, **options: Any) -> Comparison:
    return compare(*legs(noisy(100.0), noisy(second, seed=2), **options))


def pooled(runs: tuple[int, int], boots: tuple[int, int]) -> Comparison:
    """Compare legs of so many runs, one leg after the other, in so many boots."""
    sides = [
        a_leg(
            noisy(mean, blocks=12, seed=seed),
            runs=count,
            leg=leg,
            started_at=started,
            boots=[f"{leg} {number}" for number in range(of_leg)],
        )
        for mean, seed, count, leg, started, of_leg in (
            (100.0, 1, runs[0], "baseline", STARTED, boots[0]),
            (99.0, 2, runs[1], "xen", LATER, boots[1]),
        )
    ]
    return compare(*sides)


@pytest.mark.parametrize("second", [99.0, 80.0])
def test_a_certain_verdict_says_what_it_holds_under(second: float) -> None:
    found = compared(second, interleaved=False)
    assert found.verdict in (Verdict.WITHIN, Verdict.EXCEEDS)
    assert found.conditions == ("for these two runs, one after the other", ONE_BOOT)
    assert found.reason.endswith(
        "That holds for these two runs, one after the other, for one boot of each leg."
    )


def test_an_unsure_one_holds_nothing() -> None:
    assert "That holds" not in compared(95.24, interleaved=False).reason


def test_a_refused_one_has_none() -> None:
    assert compared(gpu={"uuid": "X"}, of_second={"gpu": {"uuid": "Y"}}).conditions == ()


def test_pairs_in_one_boot_have_none() -> None:
    sides = legs(noisy(100.0), noisy(99.0, seed=2), of_second={"leg": "baseline"})
    found = compare(*sides, Request(question=Question.NOISE))
    assert found.conditions == ()
    assert "That holds" not in found.reason


def test_pairs_are_no_runs_one_after_the_other() -> None:
    assert compared().conditions == (ONE_BOOT,)


@pytest.mark.parametrize(
    ("runs", "boots", "conditions"),
    [
        ((1, 1), (1, 1), ("for these two runs, one after the other", ONE_BOOT)),
        ((2, 3), (1, 1), ("for these 5 runs, one leg after the other", ONE_BOOT)),
        ((3, 3), (1, 1), (ONE_BOOT,)),
        ((4, 4), (2, 2), ("for two boots of each leg",)),
        ((4, 4), (1, 4), ("for one boot of baseline and 4 boots of xen",)),
        ((4, 4), (4, 4), ()),
    ],
)
def test_runs_and_boots_are_counted(
    runs: tuple[int, int], boots: tuple[int, int], conditions: tuple[str, ...]
) -> None:
    assert pooled(runs, boots).conditions == conditions


def test_boots_that_nobody_knows_are_no_way_out() -> None:
    found = compared(environment={"boot_id": None})
    assert found.conditions == ("with the boots not known",)
    assert any(
        "boots that baseline and xen ran in are not known" in each for each in found.warnings
    )


@pytest.mark.parametrize("changes", [{"gpu": None}, {"gpu": {"uuid": None}}])
def test_a_gpu_that_nobody_knows_is_said(changes: dict[str, Any]) -> None:
    found = compared(**changes)
    assert found.conditions == (ONE_BOOT, "with the GPU's identity not known")
    assert any("Not known of either leg" in each for each in found.warnings)


def test_a_cpu_has_no_gpu_to_be_known() -> None:
    found = compared(device="cpu", gpu=None, configuration={"device": "cpu"})
    assert found.conditions == (ONE_BOOT,)
