"""Clusters that hand out a real Kubernetes: one for all of them, with the nodes it has."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.google.machines import Instance


@dataclass(frozen=True)
class RealCluster:
    """Its address and an administrator's token."""

    endpoint: str
    """Host and port."""
    ca_pem: str
    token: str


def real_cluster(kubeconfig: Path, token: str = "") -> RealCluster:
    """Read a kubeconfig whose user has a token, or take the one given.

    Raises: ValueError where there is no token or no CA.
    """
    import yaml

    document = yaml.safe_load(kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    user = document["users"][0]["user"]
    if "certificate-authority-data" in cluster:
        ca_pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
    elif "certificate-authority" in cluster:
        ca_pem = Path(cluster["certificate-authority"]).read_text()
    else:
        raise ValueError(f"{kubeconfig} names no certificate authority")
    token = token or str(user.get("token") or "")
    if not token:
        raise ValueError(f"the user of {kubeconfig} has no token")
    return RealCluster(cluster["server"].removeprefix("https://"), ca_pem, token)


class RealKube:
    """What a cluster of the stand-in hands out then. Its nodes come and go in the ledger only."""

    def __init__(self, real: RealCluster) -> None:
        self.endpoint = real.endpoint
        self.ca_pem = real.ca_pem

    def node_joined(self, instance: Instance, pool: Any) -> None:
        return

    def node_left(self, instance: Instance) -> None:
        return

    def close(self) -> None:
        return
