"""What Google's refusals mean, by shapes that were really seen (FACTS.md section 1) and by none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ProblemError
from core.gcp.errors import (
    ApiDisabledError,
    BillingDisabledError,
    BusyError,
    CredentialsError,
    DeniedError,
    ExistsError,
    GoogleError,
    InvalidError,
    NoProjectError,
    NotFoundError,
    OperationError,
    UnavailableError,
)
from core.gcp.refusals import Refusal, of_failed, refusal, unreachable
from core.gcp.said import CODES, Said, from_rest, from_status, plain
from tests.core.gcp.refused import ASKED, rest


def test_a_disabled_api_is_enabled_by_the_command_that_is_named() -> None:
    refused = rest(
        403,
        "Kubernetes Engine API has not been used in project 1 before or it is disabled.",
        code="PERMISSION_DENIED",
        reason="SERVICE_DISABLED",
        service="container.googleapis.com",
    )
    assert isinstance(refused.problem, ApiDisabledError)
    assert (
        "gcloud services enable container.googleapis.com --project proj" in refused.problem.remedy
    )


def test_a_disabled_api_is_told_by_its_words_alone() -> None:
    refused = rest(
        403,
        "Compute Engine API has not been used in project 1 before or it is disabled. Enable it by "
        "visiting https://console.developers.google.com/apis/api/compute.googleapis.com/overview",
    )
    assert isinstance(refused.problem, ApiDisabledError)
    assert "gcloud services enable compute.googleapis.com" in refused.problem.remedy


@pytest.mark.parametrize(
    "refused",
    [
        rest(403, "No.", reason="BILLING_DISABLED"),
        rest(403, "This API method requires billing to be enabled. Please enable billing on p."),
        rest(403, "The billing account for the owning project is disabled.", old="accountDisabled"),
        rest(400, "Billing must be enabled for activation of service.", code="FAILED_PRECONDITION"),
    ],
)
def test_a_project_without_billing_is_told_with_the_command(refused: Refusal) -> None:
    assert isinstance(refused.problem, BillingDisabledError)
    assert "gcloud billing projects link proj" in refused.problem.remedy


@pytest.mark.parametrize(
    "refused",
    [
        rest(403, "No.", reason="IAM_PERMISSION_DENIED", permission="container.clusters.create"),
        rest(403, 'Required "container.clusters.create" permission(s) for "projects/proj".'),
        rest(
            403, "Permission 'container.clusters.create' denied on resource '//x' (or it may not)"
        ),
    ],
)
def test_a_missing_permission_is_named_with_the_role_that_has_it(refused: Refusal) -> None:
    assert isinstance(refused.problem, DeniedError)
    assert (
        "me@example.net lacks the permission container.clusters.create" in refused.problem.sentence
    )
    assert "--member user:me@example.net --role roles/container.admin" in refused.problem.remedy
    assert not refused.temporary


def test_the_nodes_service_account_needs_a_role_of_its_own() -> None:
    refused = rest(
        403,
        'The user does not have access to service account "default". Ask a project owner to grant '
        "you the iam.serviceAccountUser role on the service account.",
    )
    assert isinstance(refused.problem, DeniedError)
    assert "roles/iam.serviceAccountUser" in refused.problem.remedy


def test_a_denial_that_names_nothing_keeps_googles_words() -> None:
    refused = rest(403, "The caller does not have permission", code="PERMISSION_DENIED")
    assert isinstance(refused.problem, DeniedError)
    assert "The caller does not have permission" in refused.problem.sentence


@pytest.mark.parametrize(
    "refused",
    [
        rest(403, "Permission denied on resource project proj.", reason="CONSUMER_INVALID"),
        rest(403, 'Project "proj" was not found or you do not have access to it.'),
        rest(404, "The resource 'projects/proj' was not found", old="notFound"),
        rest(404, "Failed to find project proj"),
    ],
)
def test_a_project_that_is_not_there_is_not_a_thing_that_is_not_there(refused: Refusal) -> None:
    assert isinstance(refused.problem, NoProjectError)
    assert "gcloud projects list" in refused.problem.remedy


@pytest.mark.parametrize(
    "message",
    [
        "Not found: projects/proj/locations/us-central1-a/clusters/c.",
        "The resource 'projects/proj/zones/us-central1-a/disks/d' was not found",
        "Requested entity was not found.",
    ],
)
def test_a_thing_that_is_not_there_is_not_its_project(message: str) -> None:
    assert isinstance(rest(404, message).problem, NotFoundError)


def test_a_certificate_that_is_not_googles_is_not_waited_for() -> None:
    refused = unreachable("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", ASKED)
    assert not refused.temporary
    assert "SSL_CERT_FILE" in refused.problem.remedy
    by_grpc = refusal(Said("UNAVAILABLE", "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED"), ASKED)
    assert not by_grpc.temporary
    assert unreachable("Connection refused", ASKED).temporary


def test_a_persons_credentials_need_the_project_for_their_quota() -> None:
    refused = rest(403, "Caller does not have required permission.", reason="USER_PROJECT_DENIED")
    assert isinstance(refused.problem, DeniedError)
    assert "set-quota-project proj" in refused.problem.remedy


def test_a_token_that_is_not_taken_may_be_renewed() -> None:
    refused = rest(401, "Request had invalid authentication credentials.", code="UNAUTHENTICATED")
    assert isinstance(refused.problem, CredentialsError)
    assert refused.login
    assert "gcloud auth application-default login" in refused.problem.remedy


def test_a_token_of_too_small_a_scope_is_not_worth_renewing() -> None:
    refused = rest(403, "Insufficient scopes.", reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    assert isinstance(refused.problem, CredentialsError)
    assert not refused.login
    assert "cloud-platform" in refused.problem.remedy


@pytest.mark.parametrize(
    "refused",
    [
        rest(
            400,
            "Cluster is running incompatible operation operation-1-2.",
            code="FAILED_PRECONDITION",
            reason="CLUSTER_ALREADY_HAS_OPERATION",
        ),
        rest(400, "Operation operation-1 is currently creating cluster c. Please wait and try "
             "again once it is done.", code="FAILED_PRECONDITION"),
        rest(409, "The operation was aborted.", code="ABORTED"),
        rest(400, "The disk 'd' is used by 'i'", old="resourceInUseByAnotherResource"),
    ],
)  # fmt: skip
def test_what_is_at_work_is_waited_for(refused: Refusal) -> None:
    assert isinstance(refused.problem, BusyError)
    assert not refused.temporary


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (rest(409, "Already exists: projects/p/clusters/c."), ExistsError),
        (rest(404, "Not found: projects/p/clusters/c."), NotFoundError),
        (rest(400, "Node version is unsupported."), InvalidError),
        (rest(501, "Not implemented."), InvalidError),
        (rest(418, "Teapot."), InvalidError),
    ],
)
def test_the_usual_codes_have_a_class_each(refused: Refusal, kind: type[GoogleError]) -> None:
    assert type(refused.problem) is kind
    assert "creating cluster c" in refused.problem.sentence
    assert not refused.temporary


@pytest.mark.parametrize(
    "refused",
    [
        rest(503, "Try later."),
        rest(500, "Internal error encountered.", code="INTERNAL"),
        rest(504, "Deadline."),
        rest(429, "Slow down."),
        rest(403, "Rate Limit Exceeded", old="rateLimitExceeded"),
        rest(403, "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per "
             "minute' of service 'compute.googleapis.com'.", reason="RATE_LIMIT_EXCEEDED"),
        refusal(from_rest(502, "<html><title>502 Bad Gateway</title></html>"), ASKED),
    ],
)  # fmt: skip
def test_what_passes_is_asked_again(refused: Refusal) -> None:
    assert isinstance(refused.problem, UnavailableError)
    assert refused.temporary


def test_a_pause_that_google_asks_for_is_kept() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"}
    body = json.dumps({"error": {"code": 503, "message": "m", "details": [detail]}})
    assert refusal(from_rest(503, body), ASKED).pause_s == 7.5
    assert refusal(from_rest(503, "", "12"), ASKED).pause_s == 12
    assert refusal(from_rest(503, "", "Mon, 23 Nov 2026 05:00:00 GMT"), ASKED).pause_s == 0
    assert refusal(from_rest(503, "", "99999999"), ASKED).pause_s == 120


def test_what_google_took_on_and_failed_is_no_call_for_patience() -> None:
    problem = of_failed(from_status({"code": 13, "message": "Internal error."}), ASKED)
    assert type(problem) is OperationError
    assert "Internal error" in problem.sentence


def test_a_missing_permission_in_an_operation_stays_one() -> None:
    said = from_status({"code": 7, "message": "Permission 'compute.instances.create' denied"})
    assert isinstance(of_failed(said, ASKED), DeniedError)


def test_oauths_own_form_is_read() -> None:
    body = json.dumps({"error": "invalid_grant", "error_description": "Bad Request"})
    assert from_rest(400, body).message == "invalid_grant: Bad Request"


def test_no_secret_and_no_escape_comes_through_googles_words() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----"
    said = from_rest(
        400,
        json.dumps(
            {
                "error": {
                    "message": f"\x1b[31mya29.a0Af-x_y Bearer abc.def eyJhb.eyJpc.c2ln {key}.",
                    "details": [{"reason": "X", "metadata": {"token": "ya29.secret"}}],
                }
            }
        ),
    )
    shown = f"{said.message} {dict(said.facts)}"
    for secret in ("a0Af", "abc.def", "eyJ", "MIIEvQ", "ya29", "\x1b"):
        assert secret not in shown


FIELDS = (
    *("error", "errors", "message", "status", "code", "details", "errorDetails", "reason"),
    *("metadata", "metadatas", "errorInfo", "quotaInfo", "dimensions", "retryDelay"),
    *("violations", "subject", "metricName", "limitName"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(FIELDS) | st.text(),
            inner,
        )
    ),
    max_leaves=30,
)


@given(status=st.integers(400, 599), text=st.text() | JSON.map(json.dumps), pause=st.text())
def test_no_answer_makes_the_classifier_stumble(status: int, text: str, pause: str) -> None:
    refused = refusal(from_rest(status, text, pause), ASKED)
    assert isinstance(refused.problem, ProblemError)
    assert refused.problem.sentence.isprintable()
    assert len(refused.problem.sentence) < 1000
    assert 0 <= refused.pause_s <= 120


@given(
    code=st.sampled_from(["", *CODES]),
    message=st.text()
    | st.sampled_from(["RESOURCE_POOL_EXHAUSTED zonesAvailable: ", "Quota '' exceeded"]),
    reasons=st.frozensets(st.text() | st.sampled_from(["GCE_STOCKOUT", "QUOTA_EXCEEDED"])),
    facts=st.dictionaries(st.sampled_from(["permission", "service", "zonesAvailable"]), st.text()),
)  # fmt: skip
def test_whatever_fails_an_operation_is_an_error_of_google(
    code: str, message: str, reasons: frozenset[str], facts: dict[str, str]
) -> None:
    said = Said(code, plain(message), reasons, {name: plain(text) for name, text in facts.items()})
    problem = of_failed(said, ASKED)
    assert isinstance(problem, GoogleError)
    assert not isinstance(problem, UnavailableError)
    assert problem.sentence.isprintable()
