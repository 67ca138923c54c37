"""Which predefined role has a permission, for the remedy of a refusal.

Source: https://cloud.google.com/iam/docs/roles-permissions, the smallest predefined role that has
the permission and suits a user of this program.
"""

from __future__ import annotations

_ROLES = (
    ("iam.serviceAccounts.actAs", "roles/iam.serviceAccountUser"),
    ("iam.serviceAccounts.getAccessToken", "roles/iam.serviceAccountTokenCreator"),
    ("iam.serviceAccounts.", "roles/iam.serviceAccountViewer"),
    ("container.clusters.connect", "roles/container.developer"),
    ("container.clusters.get", "roles/container.viewer"),
    ("container.clusters.list", "roles/container.viewer"),
    ("container.clusters.", "roles/container.admin"),
    ("container.operations.", "roles/container.viewer"),
    ("container.", "roles/container.developer"),
    ("compute.disks.delete", "roles/compute.instanceAdmin.v1"),
    ("compute.instances.delete", "roles/compute.instanceAdmin.v1"),
    ("compute.disks.", "roles/compute.viewer"),
    ("compute.addresses.delete", "roles/compute.networkAdmin"),
    ("compute.globalAddresses.delete", "roles/compute.networkAdmin"),
    ("compute.forwardingRules.delete", "roles/compute.loadBalancerAdmin"),
    ("compute.networks.", "roles/compute.networkViewer"),
    ("compute.subnetworks.", "roles/compute.networkUser"),
    ("compute.", "roles/compute.viewer"),
    ("artifactregistry.repositories.create", "roles/artifactregistry.admin"),
    ("artifactregistry.repositories.delete", "roles/artifactregistry.admin"),
    ("artifactregistry.repositories.uploadArtifacts", "roles/artifactregistry.writer"),
    ("artifactregistry.versions.delete", "roles/artifactregistry.repoAdmin"),
    ("artifactregistry.repositories.deleteArtifacts", "roles/artifactregistry.repoAdmin"),
    ("artifactregistry.", "roles/artifactregistry.reader"),
    ("cloudbuild.", "roles/cloudbuild.builds.editor"),
    ("storage.buckets.", "roles/storage.admin"),
    ("storage.", "roles/storage.objectAdmin"),
    ("serviceusage.services.enable", "roles/serviceusage.serviceUsageAdmin"),
    ("serviceusage.", "roles/serviceusage.serviceUsageConsumer"),
    ("billing.", "roles/billing.viewer"),
    ("resourcemanager.projects.", "roles/browser"),
)


def member_of(account: str) -> str:
    """Return an account as IAM names a member; what to put there where it is not known."""
    if "@" not in account:
        return "user:E-MAIL"
    kind = "serviceAccount" if account.endswith(".gserviceaccount.com") else "user"
    return f"{kind}:{account}"


def role_with(permission: str) -> str:
    """Return the predefined role to ask for; the first part of the name decides where no nearer
    entry does.
    """
    for beginning, role in _ROLES:
        if permission.startswith(beginning):
            return role
    return f"ROLE-WITH-{permission}"
