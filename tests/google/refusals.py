"""Google's refusals, in the shapes of REST and of gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""https://cloud.google.com/apis/design/errors"""

_OLD_REASONS = {
    "INVALID_ARGUMENT": "invalid",
    "FAILED_PRECONDITION": "failedPrecondition",
    "UNAUTHENTICATED": "authError",
    "PERMISSION_DENIED": "forbidden",
    "NOT_FOUND": "notFound",
    "ALREADY_EXISTS": "alreadyExists",
    "RESOURCE_EXHAUSTED": "rateLimitExceeded",
    "UNAVAILABLE": "backendError",
    "INTERNAL": "backendError",
}


class Refusal(Exception):
    """An error answer."""

    def __init__(
        self,
        status: str,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        domain: str = "googleapis.com",
    ) -> None:
        super().__init__(message)
        self.status = status
        """Name of the canonical code."""
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.domain = domain

    @property
    def http(self) -> int:
        return HTTP_STATUS[self.status]

    def as_json(self) -> dict[str, Any]:
        """The body of a REST answer."""
        error: dict[str, Any] = {
            "code": self.http,
            "message": self.message,
            "status": self.status,
            "errors": [
                {
                    "message": self.message,
                    "domain": "global",
                    "reason": _OLD_REASONS.get(self.status, "backendError"),
                }
            ],
        }
        if self.reason:
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": self.reason,
                    "domain": self.domain,
                    "metadata": self.metadata,
                }
            ]
        return {"error": error}

    def as_grpc_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The trailing metadata of a gRPC answer."""
        if not self.reason:
            return ()
        import grpc
        from google.rpc import error_details_pb2, status_pb2

        code: int = getattr(grpc.StatusCode, self.status).value[0]
        status = status_pb2.Status(code=code, message=self.message)
        status.details.add().Pack(
            error_details_pb2.ErrorInfo(
                reason=self.reason, domain=self.domain, metadata=self.metadata
            )
        )
        return (("grpc-status-details-bin", status.SerializeToString()),)


def not_found(what: str) -> Refusal:
    return Refusal("NOT_FOUND", f"Not found: {what}.")


def service_disabled(service: str, number: str) -> Refusal:
    return Refusal(
        "PERMISSION_DENIED",
        f"{service} API has not been used in project {number} before or it is disabled. Enable it "
        f"by visiting https://console.developers.google.com/apis/api/{service}/overview?project="
        f"{number} then retry. If you enabled this API recently, wait a few minutes for the action "
        "to propagate to our systems and retry.",
        reason="SERVICE_DISABLED",
        metadata={"service": service, "consumer": f"projects/{number}"},
    )


def billing_disabled(service: str, number: str) -> Refusal:
    return Refusal(
        "PERMISSION_DENIED",
        f"This API method requires billing to be enabled. Please enable billing on project "
        f"#{number} by visiting https://console.developers.google.com/billing/enable?project="
        f"{number} then retry. If you enabled billing for this project recently, wait a few "
        "minutes for the action to propagate to our systems and retry.",
        reason="BILLING_DISABLED",
        metadata={"service": service, "consumer": f"projects/{number}"},
    )


def permission_denied(permission: str, resource: str) -> Refusal:
    return Refusal(
        "PERMISSION_DENIED",
        f"Required '{permission}' permission for '{resource}'",
        reason="IAM_PERMISSION_DENIED",
        domain="iam.googleapis.com",
        metadata={"permission": permission, "resource": resource},
    )


def unauthenticated() -> Refusal:
    return Refusal(
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
        "cookie or other valid authentication credential. See "
        "https://developers.google.com/identity/sign-in/web/devconsole-project.",
        reason="ACCESS_TOKEN_EXPIRED",
    )
