"""How evidence is weighed where something says Xen, most of all where it is contradicted."""

from __future__ import annotations

import pytest

from benchmark.attestation import Evidence, Hypervisor, classify
from benchmark.attestation.model import ContainerRuntime, EvidenceStatus
from tests.benchmark.attestation.constructed import (
    BIT_CLEAR,
    BIT_SET,
    CLOCKSOURCE,
    CLOCKSOURCES,
    FEATURES,
    NOT_XEN_PV,
    PRODUCT,
    VENDOR,
    ZERO_UUID,
    absent,
    changed,
    hvm_guest,
    pv_guest,
    said,
    spelled,
    without,
)


def test_a_pv_guest_is_recognised_and_what_xen_itself_runs_on_is_told() -> None:
    attestation = classify(pv_guest())

    assert attestation.hypervisor is Hypervisor.XEN_PV
    assert attestation.processor_agrees is True
    assert attestation.xen_version == "4.17.5"
    assert attestation.guest_uuid == "5b0d1a9e-7c1f-4f6b-9a51-1f1f7a0c9d11"
    assert attestation.virtualization_detail == "Xen 4.17 PV guest, itself on KVM"
    assert attestation.contradictions == ()


def test_an_hvm_guest_is_recognised() -> None:
    attestation = classify(hvm_guest())

    assert attestation.hypervisor is Hypervisor.XEN_HVM
    assert attestation.virtualization_detail == "Xen 4.17 HVM guest"
    assert attestation.contradictions == ()


def test_a_pvh_guest_is_recognised_without_guest_type_by_what_only_hvm_has() -> None:
    evidence = changed(
        without(hvm_guest(), "/sys/hypervisor/guest_type", "/sys/class/dmi"),
        said(FEATURES, "00012305\n"),
        absent(VENDOR),
    )

    assert classify(evidence).hypervisor is Hypervisor.XEN_PVH


def test_a_xen_guest_on_arm_has_neither_cpuid_nor_dmi_and_goes_by_the_kernels_word() -> None:
    evidence = [
        Evidence.of("cpuid", EvidenceStatus.ABSENT, "not applicable: the processor is aarch64"),
        said("/sys/hypervisor/type", "xen\n"),
        said("/sys/hypervisor/guest_type", "HVM\n"),
        absent(VENDOR),
        said("systemd-detect-virt --vm", "xen\n"),
    ]

    attestation = classify(evidence)

    assert attestation.hypervisor is Hypervisor.XEN_HVM
    assert attestation.processor_agrees is None


def test_a_dom0_whose_machine_is_itself_a_xen_guest_is_still_a_dom0() -> None:
    evidence = changed(
        without(pv_guest(), "cpuid 0x4", "/proc/xen", "/sys/hypervisor/uuid"),
        spelled("XenVMMXenVMM"),
        said(FEATURES, "000228f0\n"),
        said(VENDOR, "Xen\n"),
        said(PRODUCT, "HVM domU\n"),
    )

    assert classify(evidence).hypervisor is Hypervisor.XEN_DOM0


@pytest.mark.parametrize(
    "mark",
    [
        [said(FEATURES, "000228f0\n"), said("/proc/xen/capabilities", "control_d\n")],
        [said(FEATURES, "000228f0\n"), absent("/proc/xen/capabilities")],
    ],
)
def test_a_dom0_is_recognised_by_either_mark(mark: list[Evidence]) -> None:
    evidence = changed(pv_guest(), *mark, said("/sys/hypervisor/uuid", ZERO_UUID))

    attestation = classify([*evidence, said("systemd-detect-virt --vm", "kvm\n")])

    assert attestation.hypervisor is Hypervisor.XEN_DOM0
    assert attestation.virtualization_detail == "Xen 4.17 dom0 (PV), itself on KVM"
    assert attestation.contradictions == ()


def test_marks_of_dom0_and_of_a_guest_at_once_attest_nothing() -> None:
    evidence = changed(pv_guest(), said("/proc/xen/capabilities", "control_d\n"))

    attestation = classify(evidence)

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert any("dom0" in sentence for sentence in attestation.contradictions)


def test_guest_type_against_the_processor_attests_nothing() -> None:
    attestation = classify(changed(pv_guest(), said("/sys/hypervisor/guest_type", "HVM\n")))

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert any("kind of domain" in sentence for sentence in attestation.contradictions)


def test_text_that_says_xen_where_the_processor_says_kvm_attests_nothing() -> None:
    evidence = [*without(pv_guest(), "cpuid forced"), NOT_XEN_PV]

    attestation = classify(evidence)

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert attestation.processor_agrees is False
    assert any("neither form" in sentence for sentence in attestation.contradictions)


def test_an_hvm_guest_by_text_that_plain_cpuid_does_not_name_attests_nothing() -> None:
    attestation = classify(without(hvm_guest(), "cpuid 0x4", "cpuid forced"))

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert attestation.processor_agrees is False


def test_text_alone_is_believed_only_with_the_warning_that_it_is_text_alone() -> None:
    attestation = classify(without(pv_guest(), "cpuid"))

    assert attestation.hypervisor is Hypervisor.XEN_PV
    assert attestation.processor_agrees is None
    assert any("superuser" in sentence for sentence in attestation.explanation)


def test_the_word_xen_in_one_file_is_not_enough() -> None:
    attestation = classify([said("/sys/hypervisor/type", "xen\n")])

    assert attestation.hypervisor is Hypervisor.UNKNOWN


def test_a_mount_over_sys_hypervisor_is_seen_and_its_text_not_believed() -> None:
    mounts = (
        "27 1 254:0 / / rw - ext4\n"
        "22 27 0:21 / /sys rw - sysfs\n"
        "90 22 254:0 /tmp/fake /sys/hypervisor rw - ext4\n"
    )
    evidence = [*without(pv_guest(), "cpuid"), said("/proc/self/mountinfo", mounts)]

    attestation = classify(evidence)

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert any("covered by a mount" in sentence for sentence in attestation.contradictions)


def test_a_bind_mount_of_another_kernel_directory_is_seen_too() -> None:
    mounts = (
        "27 1 254:0 / / rw - ext4\n"
        "22 27 0:21 / /sys rw - sysfs\n"
        "90 22 0:21 /fs/fake /sys/hypervisor rw - sysfs\n"
    )
    attestation = classify([*hvm_guest(), said("/proc/self/mountinfo", mounts)])

    assert attestation.hypervisor is Hypervisor.UNKNOWN


def test_the_kernels_own_mounts_are_no_ground_for_suspicion() -> None:
    mounts = (
        "22 27 0:21 / /proc rw - proc\n"
        "23 27 0:22 / /sys rw - sysfs\n"
        "27 1 254:0 / / rw - overlay\n"
        "60 22 0:50 / /proc/xen rw - xenfs\n"
    )
    attestation = classify([*pv_guest(), said("/proc/self/mountinfo", mounts)])

    assert attestation.hypervisor is Hypervisor.XEN_PV
    assert attestation.container is ContainerRuntime.OTHER


def test_a_container_that_covers_only_cpuinfo_is_still_judged_by_the_processor() -> None:
    mounts = (
        "22 27 0:21 / /proc rw - proc\n"
        "27 1 254:0 / / rw - zfs\n"
        "61 22 0:50 /proc/cpuinfo /proc/cpuinfo rw - fuse.lxcfs\n"
    )
    attestation = classify(
        [
            said("cpuid 0x00000001", BIT_SET),
            spelled("KVMKVMKVM"),
            said("/proc/cpuinfo", "flags\t\t: fpu vme\n"),
            said("/proc/self/mountinfo", mounts),
        ]
    )

    assert attestation.hypervisor is Hypervisor.KVM
    assert attestation.contradictions == ()
    assert any("lxcfs" in sentence for sentence in attestation.explanation)


@pytest.mark.parametrize(
    ("piece", "word"),
    [
        (spelled("KVMKVMKVM", 0x40000100), "KVM"),
        (said(CLOCKSOURCES, "xen tsc kvm-clock\n"), "kvm-clock"),
        (said(FEATURES, "0000070f\n"), "imitation"),
        (said(VENDOR, "QEMU\n"), "QEMU"),
        (said("/sys/hypervisor/version/extra", ".amazon\n"), "Nitro"),
        (said("/sys/hypervisor/type", "kvm\n"), "kvm"),
        (said("cpuid 0x00000001", BIT_CLEAR), "bit is clear"),
    ],
)
def test_a_sign_that_xen_is_imitated_attests_nothing(piece: Evidence, word: str) -> None:
    evidence = [
        *hvm_guest(),
        said("/sys/hypervisor/version/major", "4\n"),
        said("/sys/hypervisor/version/minor", "17\n"),
    ]

    attestation = classify(changed(evidence, piece))

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert any(word in sentence for sentence in attestation.contradictions)


def test_a_xen_version_that_differs_is_told_and_the_processors_is_kept() -> None:
    attestation = classify(changed(pv_guest(), said("/sys/hypervisor/version/minor", "19\n")))

    assert attestation.xen_version == "4.17"
    assert any("4.19.5" in sentence for sentence in attestation.contradictions)


def test_xen_named_only_by_tools_and_firmware_leaves_kvm_in_doubt() -> None:
    kvm = [said("cpuid 0x00000001", BIT_SET), spelled("KVMKVMKVM"), NOT_XEN_PV]

    for stray in (
        said(CLOCKSOURCE, "xen\n"),
        said(VENDOR, "Xen\n"),
        said("systemd-detect-virt --vm", "xen\n"),
        said("lscpu", "Hypervisor vendor:  Xen\n"),
        said("/proc/xen", "exists"),
    ):
        attestation = classify([*kvm, stray])
        assert attestation.hypervisor is Hypervisor.UNKNOWN
        assert attestation.processor_agrees is False


def test_a_sentence_quotes_hostile_text_without_its_control_characters() -> None:
    hostile = "xe\x1b[2Jn\x9b31m\n" + "A" * 5000

    attestation = classify(changed(hvm_guest(), said("/sys/hypervisor/type", hostile)))

    for sentence in (*attestation.explanation, *attestation.contradictions):
        assert sentence.isprintable()
        assert len(sentence) < 400
