"""What captured machines are attested to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmark.attestation import Attestation, Evidence, Hypervisor, classify
from benchmark.attestation.model import ContainerRuntime, EvidenceStatus

Find = Callable[[str], Any]

CONCLUSIONS = {
    "bare-metal-dell-xps": Hypervisor.BARE_METAL,
    "bare-metal-hp-dl585": Hypervisor.BARE_METAL,
    "hyper-v-wsl2": Hypervisor.OTHER,
    "kvm-firecracker": Hypervisor.KVM,
    "kvm-google": Hypervisor.KVM,
    "kvm-imitating-xen": Hypervisor.UNKNOWN,
    "kvm-nutanix": Hypervisor.OTHER,
    "qemu-tcg": Hypervisor.OTHER,
    "xen-amazon-c3-large": Hypervisor.UNKNOWN,
    "xen-amazon-dmi": Hypervisor.UNKNOWN,
    "xen-dom0": Hypervisor.XEN_DOM0,
    "xen-dom0-amd": Hypervisor.UNKNOWN,
    "xen-hvm": Hypervisor.XEN_HVM,
    "xen-hvm-4.8": Hypervisor.XEN_HVM,
    "xen-hvm-viridian": Hypervisor.XEN_HVM,
    "xen-hvm-viridian-4.17": Hypervisor.XEN_HVM,
    "xen-pv": Hypervisor.XEN_PV,
    "xen-pv-el5": Hypervisor.UNKNOWN,
    "xen-pvh": Hypervisor.XEN_PVH,
}


@pytest.mark.parametrize(("name", "hypervisor"), CONCLUSIONS.items())
def test_a_captured_machine_is_attested_to_be_what_it_was(
    machine: Find, name: str, hypervisor: Hypervisor
) -> None:
    attestation = machine(name).attest()

    assert attestation.hypervisor is hypervisor, attestation.contradictions
    assert attestation.is_xen == hypervisor.value.startswith("xen-")
    assert attestation.explanation


@pytest.mark.parametrize("name", CONCLUSIONS)
def test_an_attestation_survives_storage_and_can_be_concluded_again_from_its_evidence(
    machine: Find, name: str
) -> None:
    attestation = machine(name).attest(nvml_virtualization="NONE")

    stored = Attestation.model_validate_json(attestation.model_dump_json())

    assert stored == attestation
    assert classify(stored.evidence) == attestation


def test_every_captured_machine_is_tried_and_tells_its_source(machine: Find) -> None:
    folders = machine("xen-pv").folder.parent.iterdir()

    assert {folder.name for folder in folders} == set(CONCLUSIONS)
    for name in CONCLUSIONS:
        assert (machine(name).folder / "SOURCE").read_text().startswith(("whole\n", "partial\n"))


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("xen-dom0", "Xen 4.17 dom0 (PV), itself on QEMU software emulation (TCG)"),
        ("xen-pv", "Xen 4.17 PV guest, itself on QEMU software emulation (TCG)"),
        ("xen-pvh", "Xen 4.17 PVH guest"),
        ("xen-hvm", "Xen 4.17 HVM guest"),
        ("xen-hvm-viridian-4.17", "Xen 4.17 HVM guest with Hyper-V's interface"),
    ],
)
def test_a_real_xen_is_attested_by_the_processor_and_without_contradiction(
    machine: Find, name: str, detail: str
) -> None:
    attestation = machine(name).attest()

    assert attestation.processor_agrees is True
    assert attestation.contradictions == ()
    assert attestation.virtualization_detail == detail
    assert attestation.xen_version == "4.17.5"
    assert attestation.guest_uuid is not None
    assert attestation.container is ContainerRuntime.NONE


def test_a_dom0_is_recognised_although_systemd_detect_virt_says_qemu(machine: Find) -> None:
    captured = machine("xen-dom0")

    attestation = captured.attest()

    assert captured.run(["systemd-detect-virt", "--vm"]) == b"qemu\n"
    assert attestation.hypervisor is Hypervisor.XEN_DOM0
    assert any('"qemu"' in sentence for sentence in attestation.explanation)


@pytest.mark.parametrize("name", ["xen-dom0", "xen-pv", "xen-pvh", "xen-hvm"])
def test_in_a_container_without_proc_xen_a_real_xen_is_still_attested(
    machine: Find, name: str
) -> None:
    """A container with default rights reads /sys/hypervisor and CPUID, and no /proc/xen."""
    whole = machine(name).attest()
    seen = [piece for piece in whole.evidence if not piece.source.startswith("/proc/xen")]
    docker = Evidence(source="/.dockerenv", status=EvidenceStatus.PRESENT, text="exists")

    inside = classify([*(p for p in seen if p.source != docker.source), docker])

    assert inside.hypervisor is whole.hypervisor
    assert inside.processor_agrees is True
    assert inside.container is ContainerRuntime.DOCKER


@pytest.mark.parametrize("name", ["xen-dom0", "xen-pv", "xen-pvh", "xen-hvm"])
def test_the_text_of_a_real_xen_on_a_processor_that_says_kvm_attests_nothing(
    machine: Find, name: str
) -> None:
    """Somebody copied every file of a Xen guest onto a KVM guest."""
    text = [p for p in machine(name).attest().evidence if not p.source.startswith("cpuid")]
    processor = [
        p for p in machine("kvm-firecracker").attest().evidence if p.source.startswith("cpuid")
    ]

    attestation = classify([*text, *processor])

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert attestation.processor_agrees is False


def test_a_firecracker_guest_is_kvm_in_a_docker_image_and_the_detail_says_what_it_looks_like(
    machine: Find,
) -> None:
    attestation = machine("kvm-firecracker").attest()

    assert attestation.processor_agrees is True
    assert attestation.container is ContainerRuntime.DOCKER
    assert attestation.clocksource == "tsc"
    assert "Firecracker" in (attestation.virtualization_detail or "")
    assert attestation.contradictions == ()


def test_bare_metal_without_cpuid_says_that_it_rests_on_text(machine: Find) -> None:
    attestation = machine("bare-metal-hp-dl585").attest()

    assert attestation.processor_agrees is None
    assert any("not asked" in sentence for sentence in attestation.explanation)


def test_a_viridian_guest_is_xen_although_systemd_detect_virt_says_microsoft(
    machine: Find,
) -> None:
    attestation = machine("xen-hvm-viridian").attest()

    assert attestation.xen_version == "4.7"
    assert attestation.contradictions == ()
    assert any('"microsoft"' in sentence for sentence in attestation.explanation)


def test_kvm_that_imitates_xen_is_not_taken_for_xen(machine: Find) -> None:
    attestation = machine("kvm-imitating-xen").attest()

    assert not attestation.is_xen
    assert any("0000070f" in sentence for sentence in attestation.contradictions)
    assert any("QEMU" in sentence for sentence in attestation.contradictions)


def test_lscpu_or_dmi_alone_do_not_make_a_xen(machine: Find) -> None:
    for name in ("xen-pv-el5", "xen-amazon-dmi"):
        assert any("Xen is named" in s for s in machine(name).attest().contradictions)


def test_what_was_said_is_kept_verbatim(machine: Find) -> None:
    attestation = machine("kvm-firecracker").attest()
    by_source = {piece.source: piece for piece in attestation.evidence}

    folder = machine("kvm-firecracker").folder
    assert by_source["lscpu"].text == (folder / "commands" / "lscpu").read_text()
    assert by_source["cpuid 0x40000000"].text == (
        'eax=0x40000001 ebx=0x4b4d564b ecx=0x564b4d56 edx=0x0000004d "KVMKVMKVM"'
    )
    assert by_source["/sys/hypervisor/type"].status is EvidenceStatus.ABSENT
