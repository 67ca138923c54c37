"""Whether the project, and the account in it, can do what a run asks of Google."""

from __future__ import annotations

from dataclasses import dataclass

from core.gcp import artifacts, gcloud, projects, storage
from core.gcp.artifacts import ImagePlace
from core.gcp.errors import (
    CredentialsError,
    GoogleError,
    NoProjectError,
    NotFoundError,
)
from core.gcp.roles import member_of, role_with
from core.run.events import StageChecked
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.permitting import wanted


@dataclass(frozen=True, slots=True)
class Means:
    """How the image comes about."""

    in_cloud: bool
    """By Cloud Build, as no engine is there."""
    registry: ImagePlace | None
    """In Artifact Registry; None: the image is elsewhere."""

    @property
    def apis(self) -> tuple[str, ...]:
        """Return the APIs that the run uses."""
        names = ["compute", "container"]
        names += ["artifactregistry"] if self.registry else []
        names += ["cloudbuild", "storage"] if self.in_cloud else []
        return tuple(f"{name}.googleapis.com" for name in names)


async def check_credentials(deployment: GkeDeployment) -> StageChecked:
    """Look who we are; without that nothing else can be asked."""
    google = deployment.google()
    try:
        await google.token()
    except (CredentialsError, GoogleError) as problem:
        return StageChecked(
            name="credentials",
            passed=False,
            detail=problem.sentence.rstrip("."),
            remedy=problem.remedy,
        )
    settings = deployment.settings
    whose = f"as {google.account}"
    if settings.impersonate:
        whose = f"as {settings.impersonate}, impersonated"
    source = f", by {settings.credentials}" if settings.credentials else ""
    return StageChecked(name="credentials", passed=True, detail=f"{whose}{source}")


async def check_project(deployment: GkeDeployment) -> tuple[StageChecked, str]:
    """Return whether the project is there, and its number where it is known."""
    try:
        found = await projects.project(deployment.google())
    except (NotFoundError, NoProjectError) as problem:
        check = StageChecked(
            name="project",
            passed=False,
            detail=problem.sentence.rstrip("."),
            remedy=problem.remedy,
        )
        return check, ""
    except GoogleError as problem:
        return unasked("project", problem), ""
    return (
        StageChecked(
            name="project",
            passed=found.is_active,
            detail=f"{found.id} (number {found.number})"
            + ("" if found.is_active else " is being deleted"),
            remedy=""
            if found.is_active
            else f"gcloud projects undelete {found.id} brings it back; or take another --project.",
        ),
        found.number,
    )


async def check_billing(deployment: GkeDeployment) -> list[StageChecked]:
    """Look whether somebody pays."""
    try:
        found = await projects.billing(deployment.google())
    except GoogleError as problem:
        return [unasked("billing", problem)]
    if found.is_enabled:
        return [StageChecked(name="billing", passed=True, detail=f"paid by {found.account}")]
    return [
        StageChecked(
            name="billing",
            passed=False,
            detail=f"project {deployment.project} has no open billing account",
            remedy="Link one: gcloud billing projects link "
            f"{deployment.project} --billing-account ACCOUNT (gcloud billing accounts list).",
        )
    ]


async def check_apis(deployment: GkeDeployment, means: Means) -> list[StageChecked]:
    """Look which of the APIs that are needed the project has enabled."""
    try:
        enabled = await projects.enabled(deployment.google())
    except GoogleError as problem:
        return [unasked("APIs", problem)]
    missing = [name for name in means.apis if name not in enabled]
    if not missing:
        names = ", ".join(name.partition(".")[0] for name in means.apis)
        return [StageChecked(name="APIs", passed=True, detail=f"enabled: {names}")]
    return [
        StageChecked(
            name="API",
            passed=False,
            detail=f"{name} is not enabled in project {deployment.project}",
            remedy=f"Run {gcloud.shown(gcloud.enable_api(deployment.project, name))}; it takes a "
            "minute or two.",
        )
        for name in missing
    ]


async def check_permissions(deployment: GkeDeployment, means: Means) -> list[StageChecked]:
    """Look for each permission that is needed."""
    google = deployment.google()
    asked = wanted(
        deployment.settings,
        deployment.project,
        means.registry,
        in_cloud=means.in_cloud,
        counted_on=google.quota_project,
    )
    names = (*asked.needed, *asked.useful)
    try:
        held = await projects.held(google, names)
    except GoogleError as problem:
        return [unasked("permissions", problem)]
    if held.issuperset(names):
        return [StageChecked(name="permissions", passed=True, detail="all that are needed")]
    return [
        StageChecked(
            name="permission",
            passed=False,
            detail=f"{google.account} lacks {each} in project {deployment.project}"
            + asked.useful.get(each, ""),
            remedy=f"Have {role_with(each)} granted: "
            + gcloud.shown(
                (
                    *("gcloud", "projects", "add-iam-policy-binding", deployment.project),
                    *("--member", member_of(google.account), "--role", role_with(each)),
                )
            ),
            required=each not in asked.useful,
        )
        for each in names
        if each not in held
    ]


async def check_repository(deployment: GkeDeployment, place: ImagePlace) -> list[StageChecked]:
    """Look where the image goes."""
    region, project, name = place.region, place.project, place.repository
    if project != deployment.project:
        return [
            StageChecked(
                name="repository", passed=True, detail=f"{name} of project {project} in {region}"
            )
        ]
    found = await artifacts.find_repository(deployment.google(), region, name)
    if found is not None and found.format != "DOCKER":
        return [
            StageChecked(
                name="repository",
                passed=False,
                detail=f"{name} in {region} holds {found.format} packages, no images",
                remedy="Name another with --image.",
            )
        ]
    state = "is there" if found is not None else "will be created, and stays"
    return [StageChecked(name="repository", passed=True, detail=f"{name} in {region} {state}")]


async def check_cloud_build(deployment: GkeDeployment, number: str) -> list[StageChecked]:
    """Look whether Cloud Build has a place for the image's source. ``number`` is the project's;
    empty: it could not be asked.
    """
    if not number:
        api = gcloud.enable_api(deployment.project, "cloudresourcemanager.googleapis.com")
        return [
            StageChecked(
                name="Cloud Build",
                passed=False,
                detail="it is to build the image, and the project's number, which it needs for "
                "that, could not be asked",
                remedy=f"Run {gcloud.shown(api)}, or start a container engine here.",
            )
        ]
    bucket = await storage.choose_bucket(deployment.google(), number)
    state = "is there" if bucket.exists else "will be created, and stays"
    return [
        StageChecked(
            name="Cloud Build", passed=True, detail=f"source in {bucket.name}, which {state}"
        )
    ]


async def check_node_account(deployment: GkeDeployment) -> list[StageChecked]:
    """Look whether the nodes' service account is there, where one was named."""
    email = deployment.settings.node_account or ""
    try:
        there = await projects.service_account_exists(deployment.google(), email)
    except GoogleError as problem:
        return [unasked("node account", problem)]
    return [
        StageChecked(
            name="node account",
            passed=there,
            detail=email if there else f"project {deployment.project} has no active {email}",
            remedy="" if there else "Mend --node-account, or leave it out.",
        )
    ]


def unasked(name: str, problem: GoogleError) -> StageChecked:
    """Return a check that could not be made, and need not be."""
    return StageChecked(
        name=name,
        passed=False,
        detail=problem.sentence.rstrip("."),
        remedy=problem.remedy,
        required=False,
    )
