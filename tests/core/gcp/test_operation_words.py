"""What an operation shows, read from GKE's own messages."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud import container_v1 as gke
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from core.gcp.errors import QuotaError, StockoutError
from core.gcp.operations import progress_of, seen
from core.gcp.said import from_operation

LINK = "https://container.googleapis.com/v1/projects/1/zones/us-central1-a/clusters/c/nodePools/gpu"


def operation(**fields: Any) -> gke.Operation:
    """A running CREATE_NODE_POOL."""
    kind = gke.Operation.Type.CREATE_NODE_POOL
    status = fields.pop("status", gke.Operation.Status.RUNNING)
    return gke.Operation(
        name="operation-1", operation_type=kind, status=status, target_link=LINK, **fields
    )


def metric(name: str, value: int | float | str) -> dict[str, Any]:
    kinds = {int: "int_value", float: "double_value", str: "string_value"}
    return {"name": name, kinds[type(value)]: value}


def test_stages_and_metrics_are_read_however_deep() -> None:
    running, done = gke.Operation.Status.RUNNING, gke.Operation.Status.DONE
    shown = seen(
        operation(
            detail="making it",
            progress={
                "metrics": [metric("note", "text")],
                "stages": [
                    {
                        "name": "CLUSTER_CONFIGURE",
                        "status": done,
                        "metrics": [
                            metric("CLUSTER_CONFIGURING", 3),
                            metric("CLUSTER_CONFIGURING_TOTAL", 3),
                        ],
                    },
                    {
                        "name": "CLUSTER_DEPLOY",
                        "status": running,
                        "stages": [
                            {
                                "name": "NODES",
                                "status": running,
                                "metrics": [metric("nodes done", 1), metric("nodes total", 5)],
                            }
                        ],
                    },
                ],
            },
        ),
        "p",
    )
    assert (shown.name, shown.kind, shown.status) == ("operation-1", "CREATE_NODE_POOL", "RUNNING")
    assert shown.target == "gpu"
    assert shown.running
    assert shown.stages == (
        ("CLUSTER_CONFIGURE", "DONE"),
        ("CLUSTER_DEPLOY", "RUNNING"),
        ("NODES", "RUNNING"),
    )
    assert (shown.done, shown.total) == (4.0, 8.0)
    assert shown.message == "making it"
    assert shown.problem is None


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ([], (None, None)),
        ([("nodes done", 15.0), ("nodes total", 32.0)], (15.0, 32.0)),
        ([("percent done", 40.0)], (40.0, 100.0)),
        ([("progress", 0.56), ("progress scale", 1.0)], (0.56, 1.0)),
        ([("nodes total", 32.0)], (None, None)),
        ([("nodes done", 15.0), ("nodes total", 0.0)], (None, None)),
        ([("nodes done", 40.0), ("nodes total", 32.0)], (32.0, 32.0)),
        ([("A", 1.0), ("A_TOTAL", 2.0), ("B", 1.0), ("B_TOTAL", 6.0)], (2.0, 8.0)),
    ],
)
def test_progress_is_read_by_the_metrics_names(
    metrics: list[tuple[str, float]], expected: tuple[float | None, float | None]
) -> None:
    assert progress_of(metrics) == expected


NAMES = ["nodes done", "nodes total", "percent done", "A", "A_TOTAL", "progress", "progress scale"]


@given(
    st.lists(st.tuples(st.sampled_from(NAMES) | st.text(), st.floats(-1e9, 1e9, allow_nan=False)))
)
def test_progress_never_leaves_its_bounds(metrics: list[tuple[str, float]]) -> None:
    done, total = progress_of(metrics)
    if done is None:
        assert total is None
    else:
        assert total is not None
        assert 0 <= done <= total


def test_a_stockout_shows_while_the_operation_still_works() -> None:
    condition = gke.StatusCondition(
        code=gke.StatusCondition.Code.GCE_STOCKOUT,
        message="Google Compute Engine does not have enough resources available to fulfill "
        "request: us-central1-a.",
    )
    shown = seen(operation(nodepool_conditions=[condition]), "p")
    assert shown.running
    assert isinstance(shown.problem, StockoutError)


def test_a_quota_shows_from_the_status_message_alone() -> None:
    shown = seen(operation(status_message="Quota 'NVIDIA_T4_GPUS' exceeded. Limit: 0.0"), "p")
    assert isinstance(shown.problem, QuotaError)
    assert shown.problem.metric == "NVIDIA_T4_GPUS"


def test_a_condition_that_is_no_shortage_is_no_problem_yet() -> None:
    condition = gke.StatusCondition(code=gke.StatusCondition.Code.CA_EXPIRING, message="soon")
    assert seen(operation(cluster_conditions=[condition]), "p").problem is None


def test_an_errors_details_are_read() -> None:
    info = error_details_pb2.ErrorInfo(
        reason="ZONE_RESOURCE_POOL_EXHAUSTED", metadata={"zonesAvailable": "us-central1-f"}
    )
    failed = operation(status=gke.Operation.Status.DONE)
    failed.error.code = 8
    failed.error.message = "No."
    failed.error.details.add().Pack(info)
    said = from_operation(failed)
    assert said is not None
    assert said.code == "RESOURCE_EXHAUSTED"
    assert said.reasons == {"ZONE_RESOURCE_POOL_EXHAUSTED"}
    assert said.facts == {"zonesAvailable": "us-central1-f"}


def test_details_of_a_kind_that_nobody_knows_are_left_out() -> None:
    failed = operation(status=gke.Operation.Status.DONE)
    failed.error.code = 13
    failed.error.details.add(type_url="type.googleapis.com/no.such.Message", value=b"\x01")
    said = from_operation(failed)
    assert said is not None
    assert said.code == "INTERNAL"


def test_a_status_that_this_client_does_not_know_is_shown_as_it_comes() -> None:
    raw = gke.Operation.pb(gke.Operation(name="operation-1"))
    raw.status = 99
    told = gke.Operation.deserialize(raw.SerializeToString())
    with pytest.warns(UserWarning, match="99"):
        shown = seen(told, "p")
    assert shown.status == "99"
    assert shown.running


def test_an_operation_without_error_says_nothing() -> None:
    assert from_operation(operation(detail="all is well")) is None


def test_words_from_outside_steer_no_terminal() -> None:
    evil = "\x1b]0;x\x07"
    shown = seen(operation(detail=evil, progress={"stages": [{"name": evil}]}), "p")
    assert "\x1b" not in f"{shown.message}{shown.stages}"
