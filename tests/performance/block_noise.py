"""Blocks of two legs with noise of a known kind, and nothing else between the legs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy
from numpy.typing import NDArray

Array = NDArray[numpy.float64]
Generator = numpy.random.Generator

_MEMORY = 0.5
"""The correlation of a block with the one before it."""
_SHARED = 0.8
"""The part of its variance that an endpoint shares with the others of its measurement."""


class Scene(NamedTuple):
    """Both legs' noise, in units of the CV, larger is worse: ``[trials, endpoints, blocks]``."""

    first: Array
    second: Array


@dataclass(frozen=True)
class Noise:
    """One kind of block noise."""

    name: str
    in_time: Callable[[Array, Generator], Array] = lambda noise, random: noise
    """What becomes of standard normal noise over a study, whichever leg runs: ``[trials,
    measurements, endpoints, places]``."""
    in_leg: Callable[[Array], Array] = lambda noise: noise
    """What becomes of it over the blocks of one leg."""
    order: Literal["drawn", "A B B A", "A ... A B ... B"] = "drawn"
    """Of the blocks in time; drawn: for each pair. The last one is judged unpaired."""
    judged: bool = True
    """Whether the requirements hold for it; else its figures are printed."""
    powerful: bool = True
    """Whether its blocks vary by 1 % in all, so that the power is asked for."""

    @property
    def is_paired(self) -> bool:
        return self.order != "A ... A B ... B"


def _heavy(noise: Array, random: Generator) -> Array:
    """Student's t with 3 degrees of freedom, scaled to variance 1; multivariate over endpoints."""
    trials, measurements, _, places = noise.shape
    heavy: Array = noise / numpy.sqrt(random.chisquare(3, (trials, measurements, 1, places)))
    return heavy


def _remembering(noise: Array) -> Array:
    """AR(1) with the innovations' variance, along the last axis."""
    found = noise.copy()
    fresh = math.sqrt(1 - _MEMORY**2)
    for place in range(1, noise.shape[-1]):
        found[..., place] = _MEMORY * found[..., place - 1] + fresh * noise[..., place]
    return found


def _remembering_machine(noise: Array, random: Generator) -> Array:
    return _remembering(noise)


def _drifting(noise: Array, random: Generator) -> Array:
    """5 CV slower at the end than at the start."""
    return noise + numpy.linspace(0, 5, noise.shape[-1])


def _outliers(noise: Array, random: Generator) -> Array:
    """One block in twenty is 5 CV slow, in all its endpoints."""
    trials, measurements, _, places = noise.shape
    return noise + 5 * (random.random((trials, measurements, 1, places)) < 0.05)


def _outliers_included(noise: Array, random: Generator) -> Array:
    """The same, then scaled so that all blocks together vary by 1 CV."""
    return _outliers(noise, random) / math.sqrt(1 + 25 * 0.05 * 0.95)


NOISES = (
    Noise("log-normal"),
    Noise("heavy tails (t, 3 df)", in_time=_heavy),
    Noise("drift of 5 CV", in_time=_drifting),
    Noise("outliers, CV 1 % in all", in_time=_outliers_included),
    Noise("outliers on top of CV 1 %", in_time=_outliers, powerful=False),
    Noise("AR(1) 0.5 of the machine", in_time=_remembering_machine),
    Noise(
        "AR(1) 0.5 of the machine, A B B A",
        in_time=_remembering_machine,
        order="A B B A",
        judged=False,
    ),
    Noise("AR(1) 0.5 of each leg alone", in_leg=_remembering, judged=False),
    Noise("log-normal, unpaired", order="A ... A B ... B"),
    Noise("heavy tails, unpaired", in_time=_heavy, order="A ... A B ... B"),
    Noise("drift of 5 CV, unpaired", in_time=_drifting, order="A ... A B ... B", judged=False),
    Noise(
        "AR(1) 0.5 of the machine, unpaired",
        in_time=_remembering_machine,
        order="A ... A B ... B",
        judged=False,
    ),
)


def scene(noise: Noise, random: Generator, shape: tuple[int, int, int], blocks: int) -> Scene:
    """Draw studies: ``shape`` is trials, measurements, endpoints of each measurement."""
    trials, measurements, endpoints = shape
    places = 2 * blocks
    common = random.standard_normal((trials, measurements, 1, places))
    own = random.standard_normal((trials, measurements, endpoints, places))
    slow = math.sqrt(_SHARED) * common + math.sqrt(1 - _SHARED) * own
    slow = noise.in_time(slow, random).reshape(trials, measurements * endpoints, places)
    if not noise.is_paired:
        return Scene(noise.in_leg(slow[..., :blocks]), noise.in_leg(slow[..., blocks:]))
    slow = slow.reshape(trials, measurements * endpoints, blocks, 2)
    turned = random.random((trials, 1, blocks)) < 0.5
    if noise.order == "A B B A":
        turned = numpy.arange(blocks) % 2 == 1
    first = numpy.where(turned, slow[..., 1], slow[..., 0])
    second = numpy.where(turned, slow[..., 0], slow[..., 1])
    return Scene(noise.in_leg(first), noise.in_leg(second))
