"""How alpha is spent over declared looks."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from scipy.stats import multivariate_normal

from core.verdict.looks import Looks, nominal_levels, spent

unhurried = settings(deadline=None, max_examples=10)
schedules = st.lists(
    st.integers(min_value=1, max_value=60), min_size=1, max_size=6, unique=True
).map(lambda blocks: tuple(sorted(blocks)))


# Reboussin, DeMets, Kim and Lan 2000 (Controlled Clinical Trials 21, program ld98), spending
# function 1 at one-sided 0.025, looks equally spaced.
@pytest.mark.parametrize(
    "bounds",
    [
        (2.9626, 1.9686),
        (3.7103, 2.5114, 1.9930),
        (4.8769, 3.3569, 2.6803, 2.2898, 2.0310),
    ],
)
def test_published_boundaries_come_out(bounds: tuple[float, ...]) -> None:
    fractions = tuple((number + 1) / len(bounds) for number in range(len(bounds)))
    found = [-ndtri(level) for level in nominal_levels(fractions, 0.025)]
    assert found == pytest.approx(bounds, abs=2e-4)


def test_another_programs_nominal_levels_come_out() -> None:
    """SeqBounds.jl, ``bounds([0.25, 0.5, 0.75, 1.0], 0.05)``."""
    looks = Looks((5, 10, 15, 20), 0.05)
    found = [looks.level(number) for number in (1, 2, 3, 4)]
    assert found == pytest.approx([8.85754e-5, 0.00554366, 0.0218979, 0.0427037], rel=1e-4)


@pytest.mark.parametrize("blocks", [(5, 10), (4, 7, 10), (3, 5, 7, 10), (9, 10), (3, 40)], ids=str)
@pytest.mark.parametrize("alpha", [0.025, 0.05])
def test_all_looks_together_cross_with_probability_alpha(
    blocks: tuple[int, ...], alpha: float
) -> None:
    """By another way: the multivariate normal distribution of the looks' statistics."""
    looks = Looks(blocks, alpha)
    levels = [looks.level(number) for number in range(1, len(blocks) + 1)]
    times = numpy.array(blocks, dtype=float)
    correlation = numpy.sqrt(numpy.minimum.outer(times, times) / numpy.maximum.outer(times, times))
    below = multivariate_normal.cdf(
        -ndtri(levels), cov=correlation, maxpts=20_000, rng=numpy.random.default_rng(1)
    )
    assert 1 - below == pytest.approx(alpha, abs=1e-4)


@unhurried
@given(schedules)
def test_no_look_uses_more_than_alpha_and_all_together_use_it_up(blocks: tuple[int, ...]) -> None:
    looks = Looks(blocks)
    levels = [looks.level(number) for number in range(1, len(blocks) + 1)]
    assert all(0 < level <= looks.alpha for level in levels)
    # Looks overlap, so that their levels add up to more than what they spend together.
    assert sum(levels) >= looks.alpha * (1 - 1e-9)
    assert levels[0] == pytest.approx(spent(blocks[0] / blocks[-1], looks.alpha), rel=1e-6)


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.01])
def test_a_single_look_uses_exactly_alpha(alpha: float) -> None:
    assert Looks((10,), alpha).level(1) == alpha
    assert Looks((10,), alpha).family_level(1, 21) == alpha


def test_the_first_of_two_looks_spends_what_the_function_says() -> None:
    """By hand: 2 - 2 Phi(1.95996 / sqrt(1/2))."""
    assert Looks((5, 10), 0.05).level(1) == pytest.approx(2 * ndtr(-1.959964 / 0.5**0.5), rel=1e-6)


@pytest.mark.parametrize("blocks", [(5, 10), (4, 7, 10)])
def test_a_family_of_endpoints_spends_a_share_of_alpha_for_each(blocks: tuple[int, ...]) -> None:
    looks, one = Looks(blocks), Looks(blocks, 0.05 / 21)
    for number in range(1, len(blocks) + 1):
        assert looks.family_level(number, 21) == pytest.approx(21 * one.level(number), rel=1e-9)
        assert looks.family_level(number, 1) == looks.level(number)
    assert looks.family_level(1, 21) < looks.level(1)
    assert looks.level(len(blocks)) < looks.family_level(len(blocks), 21) < looks.alpha


@pytest.mark.parametrize("blocks", [(), (0, 5), (5, 5), (10, 5), (-1,)])
def test_looks_that_do_not_advance_are_refused(blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="look"):
        Looks(blocks)


@pytest.mark.parametrize("alpha", [0.0, 0.5, -0.1, 1.0])
def test_an_alpha_that_is_no_level_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        Looks((10,), alpha)


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_look_that_was_not_declared_has_no_level(number: int) -> None:
    with pytest.raises(ValueError, match=f"no look {number}: 2"):
        Looks((5, 10)).level(number)


def test_a_family_without_endpoints_has_no_level() -> None:
    with pytest.raises(ValueError, match="endpoint"):
        Looks((5, 10)).family_level(1, 0)
