"""The stand-in as a process of its own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from tests.core.runs import ROOT


class Served:
    """A running stand-in."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.ledger_file = folder / "ledger.json"
        self._port_file = folder / "environment"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.google", "--port-file", str(self._port_file)),
                *("--ledger-file", str(self.ledger_file), *options),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        )

    def environment(self) -> dict[str, str]:
        give_up_at = time.monotonic() + 60
        while not self._port_file.exists():
            assert self.process.poll() is None, self.process.communicate()[1].decode()
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        words = shlex.split(self._port_file.read_text())
        return dict(word.split("=", 1) for word in words if word != "export")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(
        *(tmp_path, "--speed", "600", "--quota", "us-central1:NVIDIA_T4_GPUS:0"),
        *("--fault", "compute.projects.get:unavailable"),
    )
    yield server
    if server.process.poll() is None:
        server.process.kill()
    server.process.communicate()


def test_it_tells_a_shell_where_it_is_and_its_ledger_at_the_end(served: Served) -> None:
    environment = served.environment()
    credentials = service_account.Credentials.from_service_account_file(
        environment["GOOGLE_APPLICATION_CREDENTIALS"],
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
    )
    credentials.refresh(Request())
    headers = {"Authorization": f"Bearer {credentials.token}"}
    base = environment["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"]
    project = f"/compute/v1/projects/{environment['GOOGLE_CLOUD_PROJECT']}"
    with httpx.Client(base_url=base, headers=headers) as client:
        assert client.get(project).status_code == 503
        assert client.get(project).status_code == 200
        region = client.get(f"{project}/regions/us-central1").json()
    assert {"metric": "NVIDIA_T4_GPUS", "limit": 0.0, "usage": 0.0} in region["quotas"]
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    ledger = json.loads(served.ledger_file.read_text())
    assert (ledger["standing"], ledger["usd"]) == ([], 0)
    assert [call[1] for call in ledger["calls"]] == [
        *("token", "compute.projects.get", "compute.projects.get", "compute.regions.get")
    ]
    assert not Path(environment["GOOGLE_APPLICATION_CREDENTIALS"]).exists()
