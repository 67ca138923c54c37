"""What holds for any evidence at all."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.attestation import Attestation, Evidence, Hypervisor, classify
from benchmark.attestation.model import EvidenceStatus

SOURCES = (
    "/sys/hypervisor/type",
    "/sys/hypervisor/guest_type",
    "/sys/hypervisor/uuid",
    "/sys/hypervisor/version/major",
    "/sys/hypervisor/version/minor",
    "/sys/hypervisor/version/extra",
    "/sys/hypervisor/properties/features",
    "/proc/xen/capabilities",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/class/dmi/id/product_name",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "/sys/devices/system/clocksource/clocksource0/available_clocksource",
    "/proc/cpuinfo",
    "/proc/cmdline",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/proc/device-tree/hypervisor/compatible",
    "systemd-detect-virt --vm",
    "systemd-detect-virt --container",
    "lscpu",
    "nvml virtualization mode",
    "cpuid",
    "cpuid 0x00000001",
    "cpuid 0x40000000",
    "cpuid 0x40000001",
    "cpuid 0x40000100",
    "cpuid 0x40000101",
    "cpuid forced",
    "cpuid forced 0x40000000",
    "cpuid forced 0x40000001",
)

WITHOUT_XEN = (
    "",
    "PV\n",
    "HVM\n",
    "PVH\n",
    "kvm\n",
    "none\n",
    "QEMU\n",
    "microsoft\n",
    "control_d\n",
    "000228f0\n",
    "00002705\n",
    "0000070f\n",
    "4\n",
    "17\n",
    ".amazon\n",
    "00000000-0000-0000-0000-000000000000\n",
    "tsc kvm-clock\n",
    "flags : fpu hypervisor\n",
    "flags : fpu\n",
    "Hypervisor vendor: KVM\n",
    "27 1 254:0 / / rw - ext4\n22 27 0:1 / /sys rw - sysfs\n",
    "the processor refused the instruction (SIGILL)",
    "eax=0x00000000 ebx=0x00000000 ecx=0x80000000 edx=0x00000000",
    "eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000000",
    'eax=0x40000001 ebx=0x4b4d564b ecx=0x564b4d56 edx=0x0000004d "KVMKVMKVM"',
    'eax=0x40000006 ebx=0x7263694d ecx=0x666f736f edx=0x76482074 "Microsoft Hv"',
)
WITH_XEN = (
    "xen\n",
    "Xen\n",
    "xen tsc\n",
    "Hypervisor vendor: Xen\n",
    'eax=0x40000004 ebx=0x566e6558 ecx=0x65584d4d edx=0x4d4d566e "XenVMMXenVMM"',
    "eax=0x00040011 ebx=0x00000000 ecx=0x00000000 edx=0x00000000",
)


def pieces(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[Evidence]]:
    piece = st.builds(
        Evidence.of,
        st.sampled_from(SOURCES),
        st.sampled_from(EvidenceStatus),
        texts,
    )
    return st.lists(piece, max_size=30)


def mentions_xen(piece: Evidence) -> bool:
    return "xen" in piece.text.lower()


# No deadline: the machine may be busy, and time is not what these tests are about.
SOME = settings(deadline=None)
MANY = settings(deadline=None, max_examples=300)

likely = st.sampled_from(WITHOUT_XEN + WITH_XEN)


@SOME
@given(pieces(st.one_of(likely, st.text())))
def test_classify_gives_an_attestation_for_any_text(evidence: list[Evidence]) -> None:
    attestation = classify(evidence)

    assert isinstance(attestation, Attestation)
    assert Attestation.model_validate_json(attestation.model_dump_json()) == attestation


@SOME
@given(
    st.lists(
        st.builds(
            Evidence.of,
            st.text(min_size=1, max_size=200),
            st.sampled_from(EvidenceStatus),
            st.binary(),
        )
    )
)
def test_classify_gives_an_attestation_for_any_source_and_any_bytes(
    evidence: list[Evidence],
) -> None:
    assert classify(evidence).hypervisor is not None


@MANY
@given(pieces(st.one_of(st.sampled_from(WITHOUT_XEN), st.text(alphabet='abcKVM019 :\n="'))))
def test_it_is_never_xen_when_no_evidence_mentions_xen(evidence: list[Evidence]) -> None:
    assert not any(mentions_xen(piece) for piece in evidence)

    assert not classify(evidence).is_xen


@SOME
@given(pieces(likely), st.randoms(use_true_random=False))
def test_the_order_of_evidence_does_not_matter(
    evidence: list[Evidence], shuffler: random.Random
) -> None:
    shuffled = list(evidence)
    shuffler.shuffle(shuffled)

    assert classify(shuffled) == classify(evidence)


@SOME
@given(pieces(likely))
def test_evidence_given_twice_weighs_no_more(evidence: list[Evidence]) -> None:
    assert classify([*evidence, *evidence]) == classify(evidence)


@SOME
@given(pieces(likely))
def test_classifying_an_attestations_evidence_again_gives_the_same(
    evidence: list[Evidence],
) -> None:
    attestation = classify(evidence)

    assert classify(attestation.evidence) == attestation


@MANY
@given(pieces(likely))
def test_xen_is_attested_only_with_the_processor_or_with_the_kernels_own_word(
    evidence: list[Evidence],
) -> None:
    attestation = classify(evidence)

    if attestation.is_xen:
        present = [p for p in evidence if p.status is EvidenceStatus.PRESENT]
        by_processor = any("XenVMMXenVMM" in p.text and "cpuid" in p.source for p in present)
        by_kernel = any(p.source == "/sys/hypervisor/type" and p.text == "xen\n" for p in present)
        assert by_processor or by_kernel
        assert by_processor or attestation.processor_agrees is None


@SOME
@given(pieces(likely))
def test_a_conclusion_always_has_an_explanation(evidence: list[Evidence]) -> None:
    attestation = classify(evidence)

    assert attestation.explanation
    if attestation.hypervisor is Hypervisor.UNKNOWN:
        assert attestation.processor_agrees is not True
        assert attestation.xen_version is None
