"""What is concluded where nothing says Xen, and which container is named."""

from __future__ import annotations

import pytest

from benchmark.attestation import Evidence, Hypervisor, classify
from benchmark.attestation.model import ContainerRuntime, EvidenceStatus
from tests.benchmark.attestation.constructed import (
    BIT_CLEAR,
    BIT_SET,
    CLOCKSOURCE,
    PRODUCT,
    VENDOR,
    pv_guest,
    said,
    spelled,
)


@pytest.mark.parametrize(
    ("signatures", "vendor", "hypervisor", "detail"),
    [
        (["KVMKVMKVM"], "QEMU", Hypervisor.KVM, "KVM (QEMU)"),
        (["KVMKVMKVM"], "Amazon EC2", Hypervisor.KVM, "KVM (Amazon EC2, Nitro)"),
        (["Microsoft Hv", "KVMKVMKVM"], "QEMU", Hypervisor.KVM, "KVM (QEMU)"),
        (["Linux KVM Hv"], "QEMU", Hypervisor.KVM, "KVM (QEMU)"),
        (["KVMKVMKVM"], "innotek GmbH", Hypervisor.OTHER, "VirtualBox with KVM's interface"),
        (["VMwareVMware"], "VMware, Inc.", Hypervisor.OTHER, "VMware"),
        (["bhyve bhyve "], "BHYVE", Hypervisor.OTHER, "bhyve"),
    ],
)
def test_another_hypervisor_is_named(
    signatures: list[str], vendor: str, hypervisor: Hypervisor, detail: str
) -> None:
    named = [spelled(name, 0x40000000 + 0x100 * at) for at, name in enumerate(signatures)]

    attestation = classify([said("cpuid 0x00000001", BIT_SET), *named, said(VENDOR, vendor)])

    assert (attestation.hypervisor, attestation.virtualization_detail) == (hypervisor, detail)
    assert attestation.processor_agrees is True


def test_real_hyper_v_is_told_from_its_interface_by_the_firmware() -> None:
    attestation = classify(
        [
            said("cpuid 0x00000001", BIT_SET),
            spelled("Microsoft Hv"),
            said(VENDOR, "Microsoft Corporation\n"),
            said(PRODUCT, "Virtual Machine\n"),
        ]
    )

    assert attestation.virtualization_detail == "Hyper-V"


def test_two_hypervisors_at_once_attest_nothing() -> None:
    evidence = [said("cpuid 0x00000001", BIT_SET), spelled("KVMKVMKVM")]

    attestation = classify([*evidence, spelled("VMwareVMware", 0x40000100)])

    assert attestation.hypervisor is Hypervisor.UNKNOWN


def test_an_unknown_name_in_cpuid_is_other_and_the_name_is_quoted() -> None:
    attestation = classify([said("cpuid 0x00000001", BIT_SET), spelled("HomeBrewHV")])

    assert attestation.hypervisor is Hypervisor.OTHER
    assert any('"HomeBrewHV"' in sentence for sentence in attestation.explanation)


def test_a_hypervisor_that_hides_its_name_for_a_gpu_driver_is_other() -> None:
    evidence = [said("cpuid 0x00000001", BIT_SET), spelled(""), said(VENDOR, "QEMU\n")]

    attestation = classify(evidence)

    assert attestation.hypervisor is Hypervisor.OTHER
    assert "QEMU" in (attestation.virtualization_detail or "")


@pytest.mark.parametrize(
    "sign",
    [
        said(VENDOR, "QEMU\n"),
        said("systemd-detect-virt --vm", "kvm\n"),
        said("lscpu", "Hypervisor vendor:     KVM\n"),
        said(CLOCKSOURCE, "kvm-clock\n"),
        said("nvml virtualization mode", "PASSTHROUGH"),
        said("nvml virtualization mode", "vgpu"),
        said("/proc/cpuinfo", "flags : fpu hypervisor\n"),
    ],
)
def test_bare_metal_with_a_sign_of_a_guest_attests_nothing(sign: Evidence) -> None:
    bare_metal = said("cpuid 0x00000001", BIT_CLEAR)
    assert classify([bare_metal]).hypervisor is Hypervisor.BARE_METAL

    attestation = classify([bare_metal, sign])

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert attestation.contradictions


def test_bare_metal_that_a_cloud_rents_is_bare_metal() -> None:
    attestation = classify(
        [
            said("cpuid 0x00000001", BIT_CLEAR),
            said(VENDOR, "Google\n"),
            said(PRODUCT, "Google Compute Engine\n"),
            said("systemd-detect-virt --vm", "google\n"),
            said("nvml virtualization mode", "NONE"),
        ]
    )

    assert attestation.hypervisor is Hypervisor.BARE_METAL
    assert attestation.nvml_virtualization == "NONE"


def test_garbage_that_intel_returns_for_unknown_leaves_is_no_hypervisor() -> None:
    text = "eax=0x0000076c ebx=0x00000e10 ecx=0x00000064 edx=0x00000000"

    attestation = classify([said("cpuid 0x00000001", BIT_CLEAR), said("cpuid 0x40000000", text)])

    assert attestation.hypervisor is Hypervisor.BARE_METAL


def test_an_arm_machine_is_judged_by_text_and_says_so() -> None:
    not_applicable = Evidence.of(
        "cpuid", EvidenceStatus.ABSENT, "not applicable: the processor is aarch64"
    )
    metal = [not_applicable, said("systemd-detect-virt --vm", "none\n"), said(VENDOR, "HPE\n")]

    assert classify(metal).hypervisor is Hypervisor.BARE_METAL
    assert classify(metal).processor_agrees is None
    kvm = [not_applicable, said("systemd-detect-virt --vm", "kvm\n"), said(VENDOR, "QEMU\n")]
    assert classify(kvm).hypervisor is Hypervisor.KVM
    assert classify([not_applicable]).hypervisor is Hypervisor.UNKNOWN


def test_nothing_readable_is_unknown_and_no_contradiction() -> None:
    attestation = classify([])

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert attestation.contradictions == ()
    assert attestation.container is ContainerRuntime.UNKNOWN


def test_a_source_that_says_two_things_attests_nothing() -> None:
    attestation = classify([*pv_guest(), said("/sys/hypervisor/type", "kvm\n")])

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert any("more than once" in sentence for sentence in attestation.contradictions)


@pytest.mark.parametrize(
    ("evidence", "runtime"),
    [
        ([said("/.dockerenv", "exists")], ContainerRuntime.DOCKER),
        ([said("/run/.containerenv", "exists")], ContainerRuntime.PODMAN),
        (
            [said("/.dockerenv", "exists"), said("environment KUBERNETES_SERVICE_HOST", "set")],
            ContainerRuntime.KUBERNETES,
        ),
        (
            [said("/proc/self/cgroup", "0::/kubepods.slice/cri-containerd-4fa.scope\n")],
            ContainerRuntime.KUBERNETES,
        ),
        (
            [said("/proc/self/cgroup", "0::/system.slice/cri-containerd-4fa.scope\n")],
            ContainerRuntime.CONTAINERD,
        ),
        (
            [
                said("/proc/self/cgroup", "0::/system.slice/containerd.service\n"),
                said("systemd-detect-virt --container", "none\n"),
            ],
            ContainerRuntime.NONE,
        ),
        ([said("systemd-detect-virt --container", "lxc\n")], ContainerRuntime.OTHER),
        ([said("/proc/self/cgroup", "0::/\n")], ContainerRuntime.UNKNOWN),
    ],
)
def test_the_container_runtime_is_named(
    evidence: list[Evidence], runtime: ContainerRuntime
) -> None:
    assert classify(evidence).container is runtime
    assert classify([*pv_guest(), *evidence]).hypervisor is Hypervisor.XEN_PV
