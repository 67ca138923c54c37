"""What this machine is said to be: GPUs by a made-up /, an engine that stands in, kubeconfigs."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.targets.machine import Finding, findings
from tests.core.records import HOSTILE


def looked(
    root: Path, environment: dict[str, str] | None = None, hypervisor: str = "kvm"
) -> dict[str, Finding]:
    """What was found, by name; nothing of the machine that the test runs on."""
    given = {"HOME": str(root), "DOCKER_HOST": f"unix://{root}/nothing.sock"}
    found = findings(given | (environment or {}), root, lambda: hypervisor)
    assert [finding.name for finding in found] == [
        *("benchmark", "GPU", "hypervisor", "container engine", "cluster access")
    ]
    return {finding.name: finding for finding in found}


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


class TestGpu:
    def test_nothing_in_the_tree_is_no_gpu_and_says_what_that_means(self, tmp_path: Path) -> None:
        found = looked(tmp_path)["GPU"]
        assert not found.found
        assert "measured on the CPU" in found.detail

    def test_the_driver_names_the_gpus(self, tmp_path: Path) -> None:
        for number, model in enumerate(("Tesla T4", "NVIDIA A100-SXM4-40GB")):
            write(
                tmp_path / f"proc/driver/nvidia/gpus/0000:0{number}:00.0/information",
                f"Model: \t\t {model}\nIRQ:   \t\t 24\nGPU UUID: \t GPU-1\n",
            )
        found = looked(tmp_path)["GPU"]
        assert (found.found, found.detail) == (True, "Tesla T4, NVIDIA A100-SXM4-40GB")

    @pytest.mark.parametrize("text", ["", "Model:\nIRQ: 24\n", "\x00\xff"])
    def test_a_gpu_without_a_model_is_one_of_unknown_model(self, tmp_path: Path, text: str) -> None:
        write(tmp_path / "proc/driver/nvidia/gpus/0000:00:04.0/information", text)
        found = looked(tmp_path)["GPU"]
        assert (found.found, found.detail) == (True, "NVIDIA GPU of unknown model")

    @pytest.mark.parametrize(("device_class", "seen"), [("0x030200", True), ("0x030000", True),
                                                        ("0x040300", False)])  # fmt: skip
    def test_a_device_without_a_driver_is_seen_on_the_bus(
        self, tmp_path: Path, device_class: str, seen: bool
    ) -> None:
        # The sound device of an NVIDIA card is no GPU.
        device = tmp_path / "sys/bus/pci/devices/0000:00:04.0"
        write(device / "vendor", "0x10de\n")
        write(device / "class", f"{device_class}\n")
        found = looked(tmp_path)["GPU"]
        assert not found.found
        assert ("without a driver" in found.detail) == seen
        assert ("Install the NVIDIA driver" in found.remedy) == seen

    def test_another_vendors_device_is_none(self, tmp_path: Path) -> None:
        device = tmp_path / "sys/bus/pci/devices/0000:00:02.0"
        write(device / "vendor", "0x1234\n")
        write(device / "class", "0x030000\n")
        assert "none" in looked(tmp_path)["GPU"].detail

    def test_a_bus_that_cannot_be_read_is_no_gpu(self, tmp_path: Path) -> None:
        (tmp_path / "sys/bus/pci/devices/0000:00:02.0/vendor").mkdir(parents=True)
        assert not looked(tmp_path)["GPU"].found


@pytest.mark.parametrize(
    ("kind", "found"),
    [("kvm", True), ("xen-pvh", True), ("bare-metal", False), ("unknown", False)],
)
def test_the_hypervisor_is_what_the_attestation_says(
    tmp_path: Path, kind: str, found: bool
) -> None:
    assert looked(tmp_path, hypervisor=kind)["hypervisor"] == Finding("hypervisor", found, kind)


def test_the_machine_that_the_tests_run_on_is_attested() -> None:
    found = {finding.name: finding for finding in findings({"HOME": "/nowhere"})}
    assert found["hypervisor"].detail != ""


@contextmanager
def engine(place: Path, answer: bytes) -> Iterator[str]:
    """Stands for a container engine: gives every connection the same answer."""
    path = place / "e.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _address = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"unix://{path}"
        thread.join(60)


OK = "HTTP/1.1 200 OK\r\nServer: {}\r\nContent-Length: 2\r\n\r\nOK"


@pytest.fixture
def near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose sockets have short names: a socket's may have 107 characters."""
    monkeypatch.chdir(tmp_path)
    return Path()


class TestEngine:
    def engine_with(self, tmp_path: Path, near: Path, answer: bytes) -> Finding:
        with engine(near, answer) as address:
            return looked(tmp_path, {"DOCKER_HOST": address})["container engine"]

    def test_one_that_answers_is_named(self, tmp_path: Path, near: Path) -> None:
        answer = OK.format("Docker/27.3.1 (linux)").encode()
        found = self.engine_with(tmp_path, near, answer)
        assert (found.found, found.detail) == (True, "Docker/27.3.1 (linux) at e.sock")

    def test_one_without_a_name_is_an_engine(self, tmp_path: Path, near: Path) -> None:
        found = self.engine_with(tmp_path, near, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert (found.found, found.detail) == (True, "an engine at e.sock")

    @pytest.mark.parametrize(
        "answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\xff" * 70_000, b"HTTP/1.1 200 OK\r\nX: "]
    )
    def test_something_else_at_its_place_is_none(
        self, tmp_path: Path, near: Path, answer: bytes
    ) -> None:
        found = self.engine_with(tmp_path, near, answer)
        if answer.startswith(b"HTTP"):
            assert found.detail == "an engine at e.sock"
        else:
            assert (found.found, found.detail) == (False, "none answers at e.sock")

    @pytest.mark.parametrize("text", HOSTILE)
    def test_its_name_only_prints(self, tmp_path: Path, near: Path, text: str) -> None:
        answer = OK.format(text.replace("\r", "").replace("\n", "")).encode("utf-8")
        assert self.engine_with(tmp_path, near, answer).detail.isprintable()

    @pytest.mark.parametrize(
        "address", ["unix://", "unix:///nowhere/at/all.sock", f"unix:///{'x' * 200}"]
    )
    def test_none_is_said_with_the_place_that_was_asked(self, tmp_path: Path, address: str) -> None:
        found = looked(tmp_path, {"DOCKER_HOST": address})["container engine"]
        assert not found.found
        assert found.detail == f"none answers at {address.removeprefix('unix://')}"

    def test_one_on_another_machine_is_not_asked(self, tmp_path: Path) -> None:
        found = looked(tmp_path, {"DOCKER_HOST": "tcp://10.0.0.1:2376"})["container engine"]
        assert (found.found, found.detail) == (True, "tcp://10.0.0.1:2376 (not asked)")


CONFIG = "apiVersion: v1\nkind: Config\ncurrent-context: {}\npreferences: {{}}\n"


class TestClusterAccess:
    def context_of(self, tmp_path: Path, text: str) -> str:
        write(tmp_path / ".kube/config", text)
        found = looked(tmp_path)["cluster access"]
        if not found.found:
            assert found.detail == "no kubeconfig with a current context"
            return ""
        return found.detail.removeprefix("context ")

    @pytest.mark.parametrize(
        ("value", "context"),
        [
            ("gke_project_zone_cluster", "gke_project_zone_cluster"),
            ('"quoted"', "quoted"),
            ("'single'", "single"),
            ("minikube   ", "minikube"),
            ("minikube # mine", "minikube"),
            ("arn:aws:eks:eu/a#1", "arn:aws:eks:eu/a#1"),
            ('""', ""),
            ("", ""),
            ("# none", ""),
        ],
    )
    def test_the_current_context_is_named(self, tmp_path: Path, value: str, context: str) -> None:
        assert self.context_of(tmp_path, CONFIG.format(value)) == context

    def test_one_with_the_line_ends_of_another_system_is_read(self, tmp_path: Path) -> None:
        assert self.context_of(tmp_path, CONFIG.format("kind").replace("\n", "\r\n")) == "kind"

    def test_only_the_key_itself_counts(self, tmp_path: Path) -> None:
        assert self.context_of(tmp_path, "note: current-context: no\n") == ""

    @pytest.mark.parametrize("text", HOSTILE)
    def test_its_name_only_prints(self, tmp_path: Path, text: str) -> None:
        assert self.context_of(tmp_path, CONFIG.format(f"x{text}")).isprintable()

    def test_the_variable_names_several_files_and_the_first_with_a_context_counts(
        self, tmp_path: Path
    ) -> None:
        write(tmp_path / "one", "kind: Config\n")
        write(tmp_path / "two", CONFIG.format("second"))
        write(tmp_path / ".kube/config", CONFIG.format("not-asked"))
        files = os.pathsep.join(str(tmp_path / name) for name in ("nowhere", "one", "two"))
        found = looked(tmp_path, {"KUBECONFIG": files})["cluster access"]
        assert found.detail == "context second"
        assert not looked(tmp_path, {"KUBECONFIG": str(tmp_path / "one")})["cluster access"].found

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
    def test_what_is_no_file_is_none_and_holds_nothing_up(
        self, tmp_path: Path, make: Callable[[Path], None]
    ) -> None:
        (tmp_path / ".kube").mkdir()
        make(tmp_path / ".kube/config")
        assert not looked(tmp_path)["cluster access"].found
