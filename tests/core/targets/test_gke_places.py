"""Which place is tried next for GPUs."""

from __future__ import annotations

import pytest

from core.gcp.access import GoogleAccess
from core.gcp.errors import QuotaError, StockoutError
from core.run.process import utc_now
from core.settings import Settings
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.places import Places

A, B, C, F = (f"us-central1-{letter}" for letter in "abcf")
EAST_B, EAST_C = "us-east1-b", "us-east1-c"


def short(*named: str) -> StockoutError:
    return StockoutError("There is none.", zones=named)


def over() -> QuotaError:
    return QuotaError("Too many.", metric="NVIDIA_T4_GPUS")


def test_it_begins_where_the_deployment_is_and_tries_that_place_once() -> None:
    settings = Settings(target="gke", project="some-project")
    deployment = GkeDeployment(settings, "run-ab12", utc_now, GoogleAccess("some-project"))
    deployment.zones = (B, A, C)
    places = Places.of(deployment)
    assert places.current == A
    assert [places.after(short()), places.after(short()), places.after(short())] == [B, C, None]


def test_after_a_stockout_come_the_zones_that_google_names_within_the_bounds() -> None:
    places = Places(A, [B, C, F])
    assert places.after(short("us-west1-b", F)) == F
    assert places.after(short()) == B


def test_the_same_region_comes_first_there_only_a_pool_is_to_be_made() -> None:
    places = Places(A, [EAST_C, B, EAST_B])
    assert places.after(short()) == B
    assert places.after(short()) == EAST_C
    assert places.after(short()) == EAST_B


def test_of_the_named_zones_too_the_nearest_comes_first() -> None:
    assert Places(A, [EAST_C, F]).after(short(EAST_C, F)) == F


def test_after_a_quota_no_zone_of_that_region_is_tried_any_more() -> None:
    places = Places(A, [B, EAST_C, C, EAST_B])
    assert places.after(over()) == EAST_C
    assert places.after(short(B)) == EAST_B
    assert places.after(short()) is None


@pytest.mark.parametrize("problem", [short(B), over()])
def test_where_only_one_place_is_allowed_there_is_no_next_one(
    problem: StockoutError | QuotaError,
) -> None:
    assert Places(A, []).after(problem) is None
