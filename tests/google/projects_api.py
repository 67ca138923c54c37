"""The project itself: what it is, which APIs and permissions it has, who pays, its accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.google.prices import COMPUTE, KUBERNETES, skus
from tests.google.refusals import (
    Refusal,
    billing_disabled,
    not_found,
    permission_denied,
    service_disabled,
)
from tests.google.rest import Asked, Json, Route, paged
from tests.google.tokens import Tokens

SERVICES = (
    "artifactregistry.googleapis.com",
    "cloudbilling.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "compute.googleapis.com",
    "container.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "serviceusage.googleapis.com",
    "storage.googleapis.com",
)
_PERMISSIONS = {
    "container.ListClusters": "container.clusters.list",
    "container.GetCluster": "container.clusters.get",
    "container.CreateCluster": "container.clusters.create",
    "container.UpdateCluster": "container.clusters.update",
    "container.SetLabels": "container.clusters.update",
    "container.DeleteCluster": "container.clusters.delete",
    "container.ListNodePools": "container.clusters.get",
    "container.GetNodePool": "container.clusters.get",
    "container.CreateNodePool": "container.clusters.update",
    "container.DeleteNodePool": "container.clusters.update",
    "container.SetNodePoolSize": "container.clusters.update",
    "container.SetNodePoolAutoscaling": "container.clusters.update",
    "container.GetOperation": "container.operations.get",
    "container.ListOperations": "container.operations.list",
    "container.CancelOperation": "container.operations.update",
    "cloudresourcemanager.projects.get": "resourcemanager.projects.get",
    "cloudbuild.builds.create": "cloudbuild.builds.create",
    "cloudbuild.builds.get": "cloudbuild.builds.get",
    "artifactregistry.repositories.create": "artifactregistry.repositories.create",
    "artifactregistry.repositories.get": "artifactregistry.repositories.get",
    "artifactregistry.repositories.delete": "artifactregistry.repositories.delete",
    "storage.objects.insert": "storage.objects.create",
    "storage.buckets.insert": "storage.buckets.create",
    "iamcredentials.generateAccessToken": "iam.serviceAccounts.getAccessToken",
}
"""Permission that a call needs, where it is not the call's own name."""
_FREE_OF_PERMISSION = frozenset(
    {
        "cloudresourcemanager.projects.testIamPermissions",
        "cloudbilling.services.list",
        "cloudbilling.skus.list",
        "token",
    }
)
_BILLED_CALLS = (
    *("container.Create", "compute.", "cloudbuild.", "artifactregistry.repositories.create"),
    *("storage.buckets.insert", "storage.objects.insert"),
)


def permission_of(call: str) -> str:
    """Which permission a call needs; empty: none."""
    if call in _FREE_OF_PERMISSION:
        return ""
    if call.endswith(".aggregatedList"):
        return call.replace(".aggregatedList", ".list")
    if "instanceGroupManagers" in call:
        return "compute.instanceGroupManagers.get"
    if call.endswith("Operations.wait"):
        return call.replace(".wait", ".get")
    return _PERMISSIONS.get(call, call if call.startswith("compute.") else "")


@dataclass
class Project:
    """What tests turn on and off."""

    name: str
    number: str = "123456789012"
    state: str = "ACTIVE"
    services: set[str] = field(default_factory=lambda: set(SERVICES))
    billing_enabled: bool = True
    missing_permissions: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    """E-mails of its service accounts."""

    def admit(self, call: str) -> None:
        """Raises: Refusal where the project does not allow a call."""
        api = call.split(".")[0]
        service = f"{api}.googleapis.com"
        if service in SERVICES and service not in self.services:
            raise service_disabled(service, self.number)
        permission = permission_of(call)
        if permission in self.missing_permissions:
            raise permission_denied(permission, f"projects/{self.name}")
        if not self.billing_enabled and call.startswith(_BILLED_CALLS):
            raise billing_disabled(service, self.number)


class ProjectsApi:
    """Resource Manager, Service Usage, Billing, IAM, IAM Credentials."""

    def __init__(self, project: Project, tokens: Tokens) -> None:
        self._project = project
        self._tokens = tokens
        self.sku_page_size = 5000

    def routes(self) -> list[Route]:
        of = "/v1/projects/{project}"
        test = "cloudresourcemanager.projects.testIamPermissions"
        return [
            Route("GET", "/v3/projects/{project}", "cloudresourcemanager.projects.get", self._get),
            Route("GET", of, "cloudresourcemanager.projects.get", self._get_v1),
            Route("POST", "/v3/projects/{project}:testIamPermissions", test, self._test),
            Route("POST", f"{of}:testIamPermissions", test, self._test),
            Route("GET", f"{of}/services", "serviceusage.services.list", self._services),
            Route("GET", f"{of}/services:batchGet", "serviceusage.services.batchGet", self._batch),
            Route("GET", f"{of}/services/{{service}}", "serviceusage.services.get", self._service),
            Route(
                "GET", f"{of}/billingInfo", "cloudbilling.projects.getBillingInfo", self._billing
            ),
            Route("GET", "/v1/services", "cloudbilling.services.list", self._catalogs),
            Route("GET", "/v1/services/{service}/skus", "cloudbilling.skus.list", self._skus),
            Route(
                *("GET", f"{of}/serviceAccounts/{{email}}", "iam.serviceAccounts.get"),
                self._account,
            ),
            Route(
                *("POST", f"{of}/serviceAccounts/{{email}}:generateAccessToken"),
                *("iamcredentials.generateAccessToken", self._impersonate),
            ),
        ]

    def _get(self, asked: Asked) -> Json:
        self._known(asked)
        project = self._project
        return {
            "name": f"projects/{project.number}",
            "projectId": project.name,
            "state": project.state,
            "displayName": project.name,
            "parent": "organizations/1",
        }

    def _get_v1(self, asked: Asked) -> Json:
        self._known(asked)
        project = self._project
        return {
            "projectId": project.name,
            "projectNumber": project.number,
            "lifecycleState": project.state,
            "name": project.name,
        }

    def _test(self, asked: Asked) -> Json:
        self._known(asked)
        wanted = asked.body.get("permissions") or []
        held = [each for each in wanted if each not in self._project.missing_permissions]
        return {"permissions": held} if held else {}

    def _services(self, asked: Asked) -> Json:
        self._known(asked)
        wanted = asked.query.get("filter", "")
        enabled = [name for name in SERVICES if name in self._project.services]
        disabled = [name for name in SERVICES if name not in self._project.services]
        names = {"state:ENABLED": enabled, "state:DISABLED": disabled}.get(wanted, list(SERVICES))
        page, more = paged([self._told(name) for name in names], asked.query, 200)
        return {**({"services": page} if page else {}), **more}

    def _batch(self, asked: Asked) -> Json:
        self._known(asked)
        names = [name.rsplit("/", 1)[-1] for name in asked.names]
        return {"services": [self._told(name) for name in names]}

    def _service(self, asked: Asked) -> Json:
        self._known(asked)
        return self._told(asked.path["service"])

    def _told(self, service: str) -> Json:
        number = self._project.number
        return {
            "name": f"projects/{number}/services/{service}",
            "config": {"name": service},
            "state": "ENABLED" if service in self._project.services else "DISABLED",
            "parent": f"projects/{number}",
        }

    def _billing(self, asked: Asked) -> Json:
        self._known(asked)
        enabled = self._project.billing_enabled
        return {
            "name": f"projects/{self._project.name}/billingInfo",
            "projectId": self._project.name,
            "billingAccountName": "billingAccounts/000000-AAAAAA-111111" if enabled else "",
            **({"billingEnabled": True} if enabled else {}),
        }

    def _catalogs(self, asked: Asked) -> Json:
        names = {COMPUTE: "Compute Engine", KUBERNETES: "Kubernetes Engine"}
        return {
            "services": [
                {"name": f"services/{key}", "serviceId": key, "displayName": name}
                for key, name in names.items()
            ]
        }

    def _skus(self, asked: Asked) -> Json:
        service = asked.path["service"]
        if service not in (COMPUTE, KUBERNETES):
            raise not_found(f"services/{service}")
        page, more = paged(skus(service), asked.query, self.sku_page_size)
        return {"skus": page, "nextPageToken": "", **more}

    def _account(self, asked: Asked) -> Json:
        email = asked.path["email"]
        if email not in self._project.accounts:
            raise Refusal("NOT_FOUND", f"Unknown service account {email}")
        name = f"projects/{self._project.name}/serviceAccounts/{email}"
        return {"name": name, "email": email, "projectId": self._project.name, "uniqueId": "1001"}

    def _impersonate(self, asked: Asked) -> Json:
        email = asked.path["email"]
        if email not in self._project.accounts:
            # Google does not tell the one from the other.
            text = (
                "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may "
                "not exist)."
            )
            raise Refusal("PERMISSION_DENIED", text, reason="IAM_PERMISSION_DENIED")
        asked_for = str(asked.body.get("lifetime") or "3600s").removesuffix("s")
        lifetime = min(float(asked_for), self._tokens.lifetime_s)
        ends = datetime.now(UTC) + timedelta(seconds=lifetime)
        return {
            "accessToken": self._tokens.grant(email, lifetime),
            "expireTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _known(self, asked: Asked) -> None:
        if asked.path["project"] not in (self._project.name, self._project.number):
            raise Refusal(
                "PERMISSION_DENIED",
                f"Project '{asked.path['project']}' not found or permission denied. The caller "
                "does not have permission",
            )
