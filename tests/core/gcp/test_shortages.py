"""No hardware, or no quota: which of them, and what helps."""

from __future__ import annotations

import pytest

from core.gcp.errors import QuotaError, StockoutError
from core.gcp.refusals import of_failed
from core.gcp.said import Said, from_status
from tests.core.gcp.refused import ASKED, rest


def test_a_permission_code_can_be_a_quota() -> None:
    refused = rest(
        403,
        'Insufficient regional quota to satisfy request: resource "PREEMPTIBLE_NVIDIA_V100_GPUS": '
        "request requires '2.0' and is short '1.0'. project has a quota of '1.0' with '1.0' "
        "available.",
        code="PERMISSION_DENIED",
    )
    assert isinstance(refused.problem, QuotaError)
    assert refused.problem.metric == "PREEMPTIBLE_NVIDIA_V100_GPUS"
    assert not refused.problem.is_global
    assert not refused.temporary


@pytest.mark.parametrize(
    ("message", "metric", "is_global"),
    [
        ("Quota 'NVIDIA_T4_GPUS' exceeded.  Limit: 0.0 in region x.", "NVIDIA_T4_GPUS", False),
        ("Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", "GPUS_ALL_REGIONS", True),
        ("Instance 'g': Quota 'IN_USE_ADDRESSES' exceeded.", "IN_USE_ADDRESSES", False),
        ("GCE quota exceeded", "", False),
    ],
)  # fmt: skip
def test_an_operations_quota_says_which_and_whether_another_region_helps(
    message: str, metric: str, is_global: bool
) -> None:
    problem = of_failed(from_status({"code": 8, "message": message}), ASKED)
    assert isinstance(problem, QuotaError)
    assert (problem.metric, problem.is_global) == (metric, is_global)
    assert ("none helps" in problem.remedy) is is_global
    assert "project=proj" in problem.remedy


def test_compute_engines_quota_is_read_from_its_details() -> None:
    said = from_status(
        {
            "code": "QUOTA_EXCEEDED",
            "message": "Too many.",
            "errorDetails": [
                {
                    "quotaInfo": {
                        "metricName": "compute.googleapis.com/gpus_all_regions",
                        "limitName": "GPUS-ALL-REGIONS-per-project",
                        "limit": 0,
                        "dimensions": {"region": "global"},
                    }
                }
            ],
        }
    )
    problem = of_failed(said, ASKED)
    assert isinstance(problem, QuotaError)
    assert (problem.metric, problem.is_global) == ("GPUS_ALL_REGIONS", True)


def test_a_stockout_names_the_zones_that_have_some() -> None:
    said = from_status(
        {
            "code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
            "message": "The zone does not have enough resources available.",
            "errorDetails": [
                {
                    "errorInfo": {
                        "reason": "resource_availability",
                        "metadatas": {
                            "zone": "us-central1-a",
                            "zonesAvailable": "us-central1-b,us-central1-f",
                        },
                    }
                }
            ],
        }
    )
    problem = of_failed(said, ASKED)
    assert isinstance(problem, StockoutError)
    assert problem.zones == ("us-central1-b", "us-central1-f")
    assert "us-central1-b, us-central1-f" in problem.remedy


def test_a_stockouts_zones_are_read_from_its_words_too() -> None:
    problem = of_failed(
        Said(
            message="A n1-standard-4 VM instance with 1 nvidia-tesla-t4 accelerator(s) is "
            "currently unavailable in the us-west1-a zone. Consider trying your request in the "
            "us-west1-b, us-west1-c zone(s), which currently has capacity.",
        ),
        ASKED,
    )
    assert isinstance(problem, StockoutError)
    assert problem.zones == ("us-west1-b", "us-west1-c")


def test_a_quotas_code_does_not_hide_a_stockout() -> None:
    said = Said(
        "RESOURCE_EXHAUSTED",
        "Instance creation failed: ZONE_RESOURCE_POOL_EXHAUSTED",
        frozenset({"GCE_QUOTA_EXCEEDED"}),
    )
    assert isinstance(of_failed(said, ASKED), StockoutError)


def test_a_quota_of_the_whole_project_is_told_by_its_dimension() -> None:
    said = Said(
        "RESOURCE_EXHAUSTED",
        "Too many.",
        frozenset({"QUOTA_EXCEEDED"}),
        {"metricName": "compute.googleapis.com/networks", "region": "global"},
    )
    problem = of_failed(said, ASKED)
    assert isinstance(problem, QuotaError)
    assert (problem.metric, problem.is_global) == ("NETWORKS", True)
