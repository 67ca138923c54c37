"""Which machine carries which GPU, and what a person is told where it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.gcp.offers import GPUS, misfit, n1_vcpus, not_offered
from core.text import harmless

OFFERED = {
    "us-central1-a": {"nvidia-tesla-t4": 4, "nvidia-tesla-v100": 8, "nvidia-h100-80gb": 8},
    "us-central1-b": {"nvidia-tesla-t4": 4},
    "us-east1-c": {"nvidia-l4": 8, "nvidia-tesla-t4": 4},
    "europe-west4-a": {"nvidia-tesla-p4": 4, "nvidia-l4": 0},
}


@pytest.mark.parametrize(
    ("machine", "gpu", "gpus"),
    [
        ("n1-standard-4", "nvidia-tesla-t4", 1),
        ("n1-highmem-16", "nvidia-tesla-t4", 1),
        ("n1-standard-96", "nvidia-tesla-t4", 4),
        ("custom-8-16384", "nvidia-tesla-t4", 2),
        ("n1-standard-8", "nvidia-tesla-v100", 1),
        ("g2-standard-4", "nvidia-l4", 1),
        ("g2-standard-24", "nvidia-l4", 2),
        ("a2-highgpu-1g", "nvidia-tesla-a100", 1),
        ("a2-ultragpu-8g", "nvidia-a100-80gb", 8),
        ("a3-highgpu-8g", "nvidia-h100-80gb", 8),
        ("e2-standard-2", "", 0),
        ("n1-standard-4", "", 0),
    ],
)
def test_a_machine_fits_the_gpus_that_it_can_have(machine: str, gpu: str, gpus: int) -> None:
    assert misfit(machine, gpu, gpus) is None


@pytest.mark.parametrize(
    ("machine", "gpu", "gpus", "sentence", "remedy"),
    [
        ("e2-standard-4", "nvidia-tesla-t4", 1, "only be attached to N1", "n1-standard-32"),
        ("n1-standard-64", "nvidia-tesla-t4", 1, "at most 48 vCPUs", "n1-standard-32 or smaller"),
        ("n1-standard-16", "nvidia-tesla-v100", 1, "n1-standard-16 has 16", "n1-standard-8"),
        ("n1-standard-4", "nvidia-tesla-t4", 3, "1, 2 or 4 T4, never 3", "one of these numbers"),
        ("n1-standard-4", "nvidia-l4", 1, "does not have L4", "g2-standard-4"),
        ("g2-standard-4", "nvidia-l4", 2, "does not have 2 x L4", "g2-standard-24"),
        ("g2-standard-24", "", 0, "2 x L4 built in", "nvidia-l4"),
        ("a2-highgpu-1g", "nvidia-h100-80gb", 1, "does not have H100", "a3-highgpu-1g"),
        ("n1-standard-4", "nvidia-tesla-k80", 1, "no GPU that this program", "nvidia-tesla-t4"),
    ],
)
def test_what_does_not_go_together_is_told_with_what_does(
    machine: str, gpu: str, gpus: int, sentence: str, remedy: str
) -> None:
    objection = misfit(machine, gpu, gpus)

    assert objection is not None
    assert sentence in objection.sentence
    assert remedy in objection.remedy


def test_small_h100_machines_come_as_spot_alone() -> None:
    assert misfit("a3-highgpu-1g", "nvidia-h100-80gb", 1, spot=True) is None
    objection = misfit("a3-highgpu-1g", "nvidia-h100-80gb", 1)
    assert objection is not None
    assert "only as spot" in objection.sentence


@pytest.mark.parametrize("gpu", sorted(GPUS))
def test_every_machine_that_is_suggested_fits(gpu: str) -> None:
    for count in GPUS[gpu].counts():
        suggested = GPUS[gpu].machines_with(count)
        assert suggested
        assert all(misfit(each, gpu, count, spot=True) is None for each in suggested)


@pytest.mark.parametrize(
    ("machine", "vcpus"),
    [
        ("n1-standard-4", 4),
        ("n1-highcpu-96", 96),
        ("custom-6-23040", 6),
        ("n1-custom-2-8192-ext", 2),
        ("n2-standard-4", None),
        ("n2-custom-4-8192", None),
        ("f1-micro", None),
        ("n1-standard-4 ", None),
        ("", None),
    ],
)
def test_the_name_of_an_n1_machine_says_its_vcpus(machine: str, vcpus: int | None) -> None:
    assert n1_vcpus(machine) == vcpus


def test_a_zone_that_has_the_gpu_offers_it() -> None:
    assert not_offered("us-central1-a", "nvidia-tesla-t4", 1, OFFERED) is None
    # What is built in counts by machine type, whatever the number of cards to attach says.
    assert not_offered("europe-west4-a", "nvidia-l4", 1, OFFERED) is None


def test_a_zone_without_the_gpu_is_told_with_zones_that_have_it_the_nearest_first() -> None:
    objection = not_offered("us-central1-f", "nvidia-tesla-t4", 1, OFFERED)

    assert objection is not None
    assert objection.sentence == "The zone us-central1-f has no 1 x nvidia-tesla-t4 to offer."
    assert objection.remedy.endswith("such as us-central1-a, us-central1-b or us-east1-c.")


def test_a_zone_that_has_too_few_at_one_machine_does_not_offer_it() -> None:
    assert not_offered("us-central1-a", "nvidia-tesla-t4", 8, OFFERED) is not None


def test_a_gpu_that_no_zone_offers_is_told_so() -> None:
    objection = not_offered("us-central1-a", "nvidia-b200", 8, OFFERED)
    assert objection is not None
    assert "no zone offers this one" in objection.remedy


@given(machine=st.text(), gpu=st.text() | st.sampled_from(sorted(GPUS)), gpus=st.integers())
def test_no_request_is_too_odd_to_be_judged(machine: str, gpu: str, gpus: int) -> None:
    objection = misfit(machine, gpu, gpus)
    if objection is not None:
        assert harmless(objection.sentence) == objection.sentence
        assert harmless(objection.remedy) == objection.remedy
