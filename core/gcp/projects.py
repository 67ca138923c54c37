"""The project: whether it is there, what the account may do in it, which APIs it has enabled, and
whether anybody pays for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from core.gcp.answers import last, parts, text, texts
from core.gcp.errors import DeniedError, NotFoundError

if TYPE_CHECKING:
    from core.gcp.connection import Google

# The most that one testIamPermissions takes.
_MOST_PERMISSIONS = 100


@dataclass(frozen=True, slots=True)
class Project:
    """A project of Google Cloud."""

    id: str
    number: str
    name: str
    is_active: bool
    """False: it is being deleted."""


@dataclass(frozen=True, slots=True)
class Billing:
    """Who pays for a project."""

    is_enabled: bool
    account: str
    """``billingAccounts/012345-567890-ABCDEF``; empty: none is linked."""


async def project(google: Google) -> Project:
    """Return the project (Resource Manager API v3, ``projects.get``).

    Raises:
        NotFoundError: there is none of this id, or the account may not see it; Google does not say
            which.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = f"/v3/projects/{_segment(google.project)}"
    try:
        answer = await google.call("cloudresourcemanager", "GET", path, asked="reading the project")
    except (DeniedError, NotFoundError) as error:
        raise NotFoundError(
            f"There is no project {google.project}, or {google.account} may not see it.",
            "gcloud projects list names those that it may use; mend --project, or have "
            "roles/browser granted.",
        ) from error
    return Project(
        text(answer, "projectId"),
        last(text(answer, "name")),
        text(answer, "displayName"),
        text(answer, "state") == "ACTIVE",
    )


async def held(google: Google, permissions: Iterable[str]) -> frozenset[str]:
    """Return which of these permissions the account has in the project (Resource Manager API v3,
    ``projects.testIamPermissions``).

    One that is granted on a single resource alone is not among them.

    Raises:
        InvalidError: one of them is no permission that a project can grant.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    wanted = sorted(set(permissions))
    found: set[str] = set()
    path = f"/v3/projects/{_segment(google.project)}:testIamPermissions"
    for start in range(0, len(wanted), _MOST_PERMISSIONS):
        body = {"permissions": wanted[start : start + _MOST_PERMISSIONS]}
        answer = await google.call(
            "cloudresourcemanager", "POST", path, body=body, asked="testing permissions"
        )
        found.update(texts(answer, "permissions"))
    return frozenset(found.intersection(wanted))


async def enabled(google: Google) -> frozenset[str]:
    """Return the APIs that the project has enabled (``container.googleapis.com`` ...; Service Usage
    API v1, ``services.list``).

    Raises:
        ApiDisabledError: Service Usage itself is not enabled.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    found: set[str] = set()
    fields = "nextPageToken,services(name,state)"
    query = {"filter": "state:ENABLED", "pageSize": "200", "fields": fields}
    path = f"/v1/projects/{_segment(google.project)}/services"
    asked = "listing the enabled APIs"
    async for page in google.documents("serviceusage", path, query=query, asked=asked):
        found.update(
            last(text(item, "name"))
            for item in parts(page, "services")
            if text(item, "state") == "ENABLED"
        )
    return frozenset(found)


async def billing(google: Google) -> Billing:
    """Return who pays (Cloud Billing API v1, ``projects.getBillingInfo``).

    Raises:
        DeniedError: the account may not know.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = f"/v1/projects/{_segment(google.project)}/billingInfo"
    answer = await google.call("cloudbilling", "GET", path, asked="reading who pays")
    return Billing(answer.get("billingEnabled") is True, text(answer, "billingAccountName"))


async def service_account_exists(google: Google, email: str) -> bool:
    """Return whether the project has an active service account (IAM API v1,
    ``projects.serviceAccounts.get``).

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = f"/v1/projects/{_segment(google.project)}/serviceAccounts/{_segment(email)}"
    try:
        answer = await google.call("iam", "GET", path, asked=f"reading service account {email}")
    except NotFoundError:
        return False
    return answer.get("disabled") is not True


def _segment(name: str) -> str:
    return quote(name, safe="")
