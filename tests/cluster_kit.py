"""A real cluster for tests: the user's own, or the test kit's on this machine.

``GPUBENCH_E2E_KUBECONFIG`` names the user's (``GPUBENCH_E2E_CONTEXT``: which context of it, else
the current one; ``GPUBENCH_E2E_NAMESPACE``: where to work, else a fresh namespace a test). Else the
kit in ``GPUBENCH_CLUSTER_KIT`` or beside the checkout is used where it can run; compiling its
binaries takes minutes and is done only with ``GPUBENCH_CLUSTER_BUILD=1``.
"""

from __future__ import annotations

import os
import platform
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.kube.cluster import Access, Cluster, Query
from core.kube.errors import NotFoundError
from tests.core.runs import ROOT

SMALL_IMAGE = "busybox:latest"
"""Public, and in the kit's registry too."""
TOLERATE_ALL = [{"operator": "Exists"}]
_PROGRAMS = (
    *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"),
)


class Kit:
    """The scripts that bring a one-node cluster up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = Path(os.environ.get("CLUSTER_CACHE", "/var/cache/test-cluster"))
        self.state = Path(os.environ.get("CLUSTER_STATE", "/var/lib/test-cluster"))

    @property
    def kubectl(self) -> Path:
        return self.cache / "bin" / "kubectl"

    def kubeconfig(self, who: str) -> Path:
        return self.state / "etc" / f"{who}.kubeconfig"

    def lacks(self) -> str:
        """Why it cannot be used here; empty when it can."""
        if not (self.folder / "up").is_file():
            return f"there is no cluster kit at {self.folder} and no GPUBENCH_E2E_KUBECONFIG"
        if sys.platform != "linux" or platform.machine() != "x86_64":
            return "the cluster kit runs on Linux x86-64 only"
        if os.geteuid():
            return "the cluster kit needs root"
        if all((self.cache / "bin" / each).is_file() for each in _PROGRAMS):
            return ""
        if os.environ.get("GPUBENCH_CLUSTER_BUILD") == "1":
            self._run("build", timeout_s=3600)
            return ""
        return "the cluster kit's programs are not built (GPUBENCH_CLUSTER_BUILD=1 builds them)"

    def is_up(self) -> bool:
        admin = self.kubeconfig("admin")
        asked = [str(self.kubectl), f"--kubeconfig={admin}", "--request-timeout=5s", "get", "node"]
        return admin.is_file() and not subprocess.run(asked, capture_output=True).returncode

    def up(self) -> None:
        self._run("up", timeout_s=300, DOCKER="1")

    def down(self) -> None:
        self._run("down", "--wipe", timeout_s=120)

    def restart_api_server(self) -> None:
        """Kill it as a crash would, and have it back."""
        pid, _started = (self.state / "pids" / "kube-apiserver").read_text().split()
        os.kill(int(pid), signal.SIGKILL)
        self.up()

    def _run(self, script: str, *arguments: str, timeout_s: float, **extra: str) -> None:
        done = subprocess.run(
            [self.folder / script, *arguments],
            env={**os.environ, **extra},
            stdin=subprocess.DEVNULL,
            # The cluster's processes inherit the descriptors: a pipe would never end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
        )
        if done.returncode:
            raise RuntimeError(f"{self.folder / script} ended with {done.returncode}")


def kit() -> Kit:
    """The kit of this machine, there or not."""
    beside = ROOT.parent / "shared" / "tools" / "cluster"
    return Kit(Path(os.environ.get("GPUBENCH_CLUSTER_KIT") or beside))


@pytest.fixture(scope="session")
def real_cluster_access() -> Iterator[Access]:
    """Administrator's access to a real cluster; the kit is stopped again if this started it."""
    own = os.environ.get("GPUBENCH_E2E_KUBECONFIG")
    if own:
        context = os.environ.get("GPUBENCH_E2E_CONTEXT") or _current_context(Path(own))
        yield Access(own, context, os.environ.get("GPUBENCH_E2E_NAMESPACE") or "default")
        return
    tools = kit()
    if why := tools.lacks():
        pytest.skip(why)
    was_up = tools.is_up()
    if not was_up:
        try:
            tools.up()
        except (RuntimeError, subprocess.SubprocessError) as error:
            pytest.skip(f"the cluster kit does not come up here: {error}")
    try:
        admin = tools.kubeconfig("admin")
        yield Access(str(admin), _current_context(admin), "default")
    finally:
        if not was_up:
            tools.down()


@pytest.fixture
def real_viewer_access(real_cluster_access: Access) -> Access:
    """Access with the cluster role ``view`` only; the kit has it ready."""
    viewer = kit().kubeconfig("viewer")
    if os.environ.get("GPUBENCH_E2E_KUBECONFIG") or not viewer.is_file():
        pytest.skip("only the cluster kit has a viewer's kubeconfig")
    return replace(real_cluster_access, kubeconfig=str(viewer))


@pytest.fixture
async def real_namespace(real_cluster_access: Access) -> AsyncIterator[str]:
    """A namespace of the test's own; its removal is asked for and not waited for."""
    own = os.environ.get("GPUBENCH_E2E_NAMESPACE")
    if own and os.environ.get("GPUBENCH_E2E_KUBECONFIG"):
        yield own
        return
    name = f"gpubench-test-{secrets.token_hex(4)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    try:
        async with Cluster(real_cluster_access) as cluster:
            await cluster.request("POST", "/api/v1/namespaces", body=body)
            # Until its account is there the API server refuses pods.
            accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
            query: Query = {"watch": True, "fieldSelector": "metadata.name=default"}
            async with cluster.stream(accounts, query=query) as lines:
                await lines.readline()
        yield name
    finally:
        async with Cluster(real_cluster_access) as cluster:
            try:
                await cluster.request("DELETE", f"/api/v1/namespaces/{name}")
            except NotFoundError:
                # The test removed it itself.
                return


def _current_context(kubeconfig: Path) -> str:
    import yaml

    return str(yaml.safe_load(kubeconfig.read_text())["current-context"])
