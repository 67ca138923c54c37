"""What nodes take from quotas, and what is told where there is too little."""

from __future__ import annotations

import pytest

from core.gcp.quotas import Quota, QuotaNeed, added, lacking, quota_needs

REFERENCE = ("n1-standard-4", 4, "nvidia-tesla-t4", 1)


def test_the_reference_node_needs_its_gpu_and_cpus_here_and_over_all_regions() -> None:
    assert quota_needs(*REFERENCE, disk_type="pd-balanced", disk_gb=50) == (
        QuotaNeed("NVIDIA_T4_GPUS", 1),
        QuotaNeed("GPUS_ALL_REGIONS", 1, is_global=True),
        QuotaNeed("CPUS", 4),
        QuotaNeed("CPUS_ALL_REGIONS", 4, is_global=True),
        QuotaNeed("SSD_TOTAL_GB", 50),
    )


def test_spot_takes_from_quotas_of_its_own_or_from_the_ordinary_ones() -> None:
    gpu, overall, cpus, *_ = quota_needs(*REFERENCE, spot=True, nodes=2)
    assert gpu == QuotaNeed("PREEMPTIBLE_NVIDIA_T4_GPUS", 2, otherwise="NVIDIA_T4_GPUS")
    assert overall == QuotaNeed("GPUS_ALL_REGIONS", 2, is_global=True)
    assert cpus == QuotaNeed("PREEMPTIBLE_CPUS", 8, otherwise="CPUS")


@pytest.mark.parametrize(
    ("gpu", "machine", "metric", "spot_metric"),
    [
        ("nvidia-l4", "g2-standard-4", "NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS"),
        ("nvidia-tesla-a100", "a2-highgpu-1g", "NVIDIA_A100_GPUS", "PREEMPTIBLE_NVIDIA_A100_GPUS"),
        (
            "nvidia-a100-80gb",
            "a2-ultragpu-1g",
            "NVIDIA_A100_80GB_GPUS",
            "PREEMPTIBLE_NVIDIA_A100_80GB_GPUS",
        ),
        # Google shows no on-demand quota of it here: nothing may be concluded.
        ("nvidia-h100-80gb", "a3-highgpu-8g", "GPUS_ALL_REGIONS", "PREEMPTIBLE_NVIDIA_H100_GPUS"),
    ],
)
def test_every_gpu_counts_against_its_own_quota(
    gpu: str, machine: str, metric: str, spot_metric: str
) -> None:
    assert quota_needs(machine, 12, gpu, 1)[0].metric == metric
    assert quota_needs(machine, 12, gpu, 1, spot=True)[0].metric == spot_metric


def test_a_node_without_gpu_needs_none() -> None:
    metrics = [need.metric for need in quota_needs("e2-standard-2", 2)]
    assert metrics == ["CPUS", "CPUS_ALL_REGIONS"]


def test_the_needs_of_two_pools_are_added_by_quota() -> None:
    both = added((*quota_needs(*REFERENCE), *quota_needs("e2-standard-2", 2)))
    assert {need.metric: need.amount for need in both} == {
        "NVIDIA_T4_GPUS": 1,
        "GPUS_ALL_REGIONS": 1,
        "CPUS": 6,
        "CPUS_ALL_REGIONS": 6,
    }


def quotas(*several: Quota) -> dict[str, Quota]:
    return {quota.metric: quota for quota in several}


def test_enough_quota_lacks_nothing() -> None:
    assert lacking(QuotaNeed("CPUS", 4), quotas(Quota("CPUS", 24, 20)), "us-central1") is None


def test_too_little_says_how_much_there_is_and_where_to_ask() -> None:
    objection = lacking(
        QuotaNeed("NVIDIA_T4_GPUS", 2), quotas(Quota("NVIDIA_T4_GPUS", 2, 1)), "us-central1"
    )
    assert objection is not None
    assert objection.sentence == (
        "The project may have 2 NVIDIA_T4_GPUS in us-central1 and uses 1: 2 more are too many."
    )
    assert "take another region" in objection.remedy


def test_a_global_quota_is_helped_by_no_other_region() -> None:
    need = QuotaNeed("GPUS_ALL_REGIONS", 1, is_global=True)
    objection = lacking(need, quotas(Quota("GPUS_ALL_REGIONS", 0, 0)), "us-central1")
    assert objection is not None
    assert "over all regions" in objection.sentence
    assert "another region" not in objection.remedy


def test_spot_uses_the_ordinary_quota_where_it_was_never_given_its_own() -> None:
    need = QuotaNeed("PREEMPTIBLE_CPUS", 4, otherwise="CPUS")
    never = Quota("PREEMPTIBLE_CPUS", 0, 0)
    assert lacking(need, quotas(never, Quota("CPUS", 24, 0)), "r") is None
    short = lacking(need, quotas(never, Quota("CPUS", 24, 22)), "r")
    assert short is not None
    assert "24 CPUS" in short.sentence
    used_up = quotas(Quota("PREEMPTIBLE_CPUS", 4, 4), Quota("CPUS", 24, 0))
    assert lacking(need, used_up, "r") is not None


def test_a_quota_that_google_does_not_list_stops_nobody() -> None:
    assert lacking(QuotaNeed("CPUS_ALL_REGIONS", 4, is_global=True), {}, "") is None


def test_more_in_use_than_allowed_leaves_nothing_free() -> None:
    assert Quota("CPUS", 8, 12).free == 0
