"""What a refusal of Google's means: the error to raise, as a sentence with what to do.

Classified by machine-readable reason first, by code second and by wording last: wording changes,
a permission code can be a quota, and a quota's wording can hide that there is no hardware.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
from core.gcp.roles import member_of, role_with
from core.gcp.said import Said
from core.gcp.shortages import shortage

_TEMPORARY = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED", "RESOURCE_EXHAUSTED"}
)
_RATE = frozenset({"RATE_LIMIT_EXCEEDED", "USER_RATE_LIMIT_EXCEEDED"})
_BILLING = frozenset({"BILLING_DISABLED", "BILLING_NOT_ENABLED", "UREQ_PROJECT_BILLING_NOT_FOUND"})
_BILLING_WORDS = re.compile(
    r"billing (account|must|to be enabled|has not|is disabled|is not enabled|disabled)", re.I
)
_API = frozenset({"SERVICE_DISABLED", "ACCESS_NOT_CONFIGURED"})
_API_WORDS = re.compile(
    r"has not been used in project|it is disabled|API (is|has) not (been )?enabled", re.I
)
_SERVICE = re.compile(r"\b([a-z][a-z\-]+\.googleapis\.com)")
_BUSY = frozenset(
    {
        "CLUSTER_ALREADY_HAS_OPERATION",
        "OPERATION_IN_PROGRESS",
        "RESOURCE_IN_USE",
        "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
        "RESOURCE_NOT_READY",
    }
)
_BUSY_WORDS = re.compile(
    r"incompatible operation|operation in progress|is currently (operating|being|creating|updat|"
    r"upgrad|delet|repair|resiz)|already (has|being used by) an? .*operation|"
    r"once it is done|is not ready|try again (later )?when",
    re.I,
)
_NO_PROJECT = frozenset({"CONSUMER_INVALID", "RESOURCE_PROJECT_INVALID", "PROJECT_INVALID"})
_NO_PROJECT_WORDS = re.compile(
    r"failed to find project|unknown project|resource 'projects/[^/']+' was not found|"
    r"\bproject\b[^/:]{0,80} (was not found|not found|does not exist)",
    re.I,
)
_TOKEN = frozenset(
    {"ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_TYPE_UNSUPPORTED", "CREDENTIALS_MISSING", "AUTH_ERROR"}
)
_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
_SCOPE = "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
_PERMISSION = re.compile(r"\b((?!www\.)[a-z][A-Za-z]+\.[a-z][A-Za-z]+\.[a-z][A-Za-z]+)\b")
_LOGIN = (
    "Run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a service "
    "account's file; see that this machine's clock is right."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of Google, in words: ``creating cluster x``."""

    what: str
    project: str
    service: str = ""
    """Name of its API, ``container.googleapis.com``."""
    account: str = ""
    """As whom; empty: not known."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal understood."""

    problem: ProblemError
    temporary: bool = False
    """Asking again may help."""
    pause_s: float = 0.0
    """Not before this many seconds."""
    login: bool = False
    """The access token was not taken: another one may be."""


def refusal(said: Said, asked: Asked) -> Refusal:
    """Return what a refusal means. Never raises, whatever was said."""
    if said.reasons & _RATE or _is_rate(said):
        return _temporary(said, asked, "asks for fewer requests")
    # Before the code: Compute Engine's quotas come as PERMISSION_DENIED too.
    problem = shortage(said, asked.what, asked.project) or _of_account(said, asked)
    if problem is not None:
        return Refusal(problem)
    if said.code == "UNAUTHENTICATED" or said.reasons & _TOKEN:
        return Refusal(
            CredentialsError(
                f"Google does not take the credentials for {asked.what}: {said.message}.", _LOGIN
            ),
            login=True,
        )
    problem = _of_thing(said, asked)
    if problem is not None:
        return Refusal(problem)
    if _CERTIFICATE in said.message:
        # gRPC tells of its own connection in the same way.
        return unreachable(said.message, asked)
    if said.code in _TEMPORARY:
        return _temporary(said, asked, "cannot do it now")
    return Refusal(GoogleError(f"Google refused {asked.what}: {said.message}."))


def of_failed(said: Said, asked: Asked) -> GoogleError:
    """Return the error of something that Google took on and that then failed."""
    problem = refusal(said, asked).problem
    if isinstance(problem, GoogleError) and not isinstance(
        problem, UnavailableError | InvalidError
    ):
        return problem
    return OperationError(
        f"Google gave up {asked.what}: {said.message or said.code}.",
        "See what it left: that is billed until it is deleted. Then try again.",
    )


def unreachable(reason: str, asked: Asked) -> Refusal:
    """Return what a connection that failed means, or an answer that did not come."""
    sentence = f"Google gave no answer to {asked.what}: {reason}."
    if _CERTIFICATE in reason:
        problem = UnavailableError(
            sentence,
            "Something between here and Google shows a certificate of its own: name its authority "
            "in SSL_CERT_FILE and in GRPC_DEFAULT_SSL_ROOTS_FILE_PATH.",
        )
        return Refusal(problem)
    problem = UnavailableError(
        sentence,
        "See that this machine's network and proxy lead to googleapis.com, then try again.",
    )
    return Refusal(problem, temporary=True)


def _is_rate(said: Said) -> bool:
    # Of requests, not of things: "Quota exceeded for quota metric 'Read requests' and limit ..."
    return "for quota metric" in said.message and "per minute" in said.message.lower()


def _temporary(said: Said, asked: Asked, how: str) -> Refusal:
    problem = UnavailableError(
        f"Google {how} ({asked.what}): {said.message}.",
        "Try again in some minutes; https://status.cloud.google.com says what Google knows of.",
    )
    return Refusal(problem, temporary=True, pause_s=said.pause_s)


def _of_account(said: Said, asked: Asked) -> ProblemError | None:
    """Return what the project or the account lacks."""
    project = asked.project
    denied = said.code in ("PERMISSION_DENIED", "FAILED_PRECONDITION", "INVALID_ARGUMENT")
    if said.reasons & _BILLING or (denied and _BILLING_WORDS.search(said.message)):
        return BillingDisabledError(
            f"Project {project} has no open billing account: {said.message}.",
            f"Link one with gcloud billing projects link {project} --billing-account ACCOUNT "
            "(gcloud billing accounts list names them).",
        )
    if said.reasons & _API or (denied and _API_WORDS.search(said.message)):
        named = _SERVICE.search(said.message)
        service = said.facts.get("service") or (named[1] if named else asked.service)
        return ApiDisabledError(
            f"Project {project} has not enabled the API {service}.",
            f"Run gcloud services enable {service} --project {project} and wait a minute.",
        )
    if "USER_PROJECT_DENIED" in said.reasons:
        return DeniedError(
            f"The account may not use project {project} for {asked.what}: {said.message}.",
            "Have roles/serviceusage.serviceUsageConsumer granted to it, or run gcloud auth "
            f"application-default set-quota-project {project}.",
        )
    gone = said.code in ("NOT_FOUND", "PERMISSION_DENIED", "INVALID_ARGUMENT")
    if said.reasons & _NO_PROJECT or (gone and _NO_PROJECT_WORDS.search(said.message)):
        return NoProjectError(
            f"There is no project {project}, or the account may not see it: {said.message}.",
            "gcloud projects list names those that it may use.",
        )
    if _SCOPE in said.reasons:
        return CredentialsError(
            f"The credentials are not good for {asked.what}: {said.message}.",
            "Run gcloud auth application-default login --scopes "
            "https://www.googleapis.com/auth/cloud-platform.",
        )
    return None


def _of_thing(said: Said, asked: Asked) -> GoogleError | None:
    """Return what is the matter with the very thing that was asked for."""
    sentence = f"Google refused {asked.what}: {said.message}."
    busy = said.reasons & _BUSY or _BUSY_WORDS.search(said.message)
    if said.code == "ABORTED" or (
        busy and said.code in ("", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "ALREADY_EXISTS")
    ):
        return BusyError(sentence, "Another operation is at work on it: wait until it has ended.")
    match said.code:
        case "ALREADY_EXISTS":
            return ExistsError(sentence, "Choose another name, or delete what has it.")
        case "NOT_FOUND":
            return NotFoundError(sentence, "See that project, location and name are right.")
        case "PERMISSION_DENIED":
            return _denied(said, asked)
        case "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" | "UNIMPLEMENTED":
            return InvalidError(sentence, "Change what is asked for as Google's words say.")
    return None


def _denied(said: Said, asked: Asked) -> DeniedError:
    named = _PERMISSION.search(said.message)
    permission = said.facts.get("permission") or (named[1] if named else "")
    if not permission and "serviceAccountUser" in said.message:
        permission = "iam.serviceAccounts.actAs"
    who = asked.account or "The account"
    if not permission:
        return DeniedError(
            f"{who} is not allowed {asked.what}: {said.message}.",
            f"Have the role that allows it granted in project {asked.project}.",
        )
    member = member_of(asked.account)
    return DeniedError(
        f"{who} lacks the permission {permission} for {asked.what} in project {asked.project}.",
        f"Have it granted: gcloud projects add-iam-policy-binding {asked.project} "
        f"--member {member} --role {role_with(permission)}.",
    )
