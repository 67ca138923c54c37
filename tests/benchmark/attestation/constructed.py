"""Evidence made up for tests: never take it for a capture."""

from __future__ import annotations

from benchmark.attestation import Evidence
from benchmark.attestation.model import EvidenceStatus

BIT_SET = "eax=0x00000000 ebx=0x00000000 ecx=0x80000000 edx=0x00000000"
BIT_CLEAR = "eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000000"
ZERO_UUID = "00000000-0000-0000-0000-000000000000"
CLOCKSOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
CLOCKSOURCES = "/sys/devices/system/clocksource/clocksource0/available_clocksource"
VENDOR = "/sys/class/dmi/id/sys_vendor"
PRODUCT = "/sys/class/dmi/id/product_name"
FEATURES = "/sys/hypervisor/properties/features"

NOT_XEN_PV = Evidence(
    source="cpuid forced",
    status=EvidenceStatus.ABSENT,
    text="the processor refused the instruction (SIGILL)",
)


def said(source: str, text: str) -> Evidence:
    return Evidence.of(source, EvidenceStatus.PRESENT, text)


def absent(source: str) -> Evidence:
    return Evidence.of(source, EvidenceStatus.ABSENT, "does not exist")


def spelled(name: str, base: int = 0x40000000, form: str = "cpuid") -> Evidence:
    raw = name.encode().ljust(12, b"\0")
    ebx, ecx, edx = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4, 8))
    text = f'eax=0x{base + 5:08x} ebx=0x{ebx:08x} ecx=0x{ecx:08x} edx=0x{edx:08x} "{name}"'
    return said(f"{form} 0x{base:08x}", text)


def version(number: int, base: int = 0x40000000, form: str = "cpuid") -> Evidence:
    text = f"eax=0x{number:08x} ebx=0x00000000 ecx=0x00000000 edx=0x00000000"
    return said(f"{form} 0x{base + 1:08x}", text)


def pv_guest() -> list[Evidence]:
    return [
        said("cpuid 0x00000001", BIT_SET),
        spelled("KVMKVMKVM"),
        spelled("XenVMMXenVMM", form="cpuid forced"),
        version(0x00040011, form="cpuid forced"),
        said("/sys/hypervisor/type", "xen\n"),
        said("/sys/hypervisor/guest_type", "PV\n"),
        said(FEATURES, "000220f0\n"),
        said("/proc/xen/capabilities", ""),
        said("/sys/hypervisor/uuid", "5b0d1a9e-7c1f-4f6b-9a51-1f1f7a0c9d11\n"),
        said("/sys/hypervisor/version/major", "4\n"),
        said("/sys/hypervisor/version/minor", "17\n"),
        said("/sys/hypervisor/version/extra", ".5\n"),
        absent(VENDOR),
    ]


def hvm_guest() -> list[Evidence]:
    return [
        said("cpuid 0x00000001", BIT_SET),
        spelled("XenVMMXenVMM"),
        version(0x00040011),
        NOT_XEN_PV,
        said("/sys/hypervisor/type", "xen\n"),
        said("/sys/hypervisor/guest_type", "HVM\n"),
        said(FEATURES, "00002705\n"),
        said(VENDOR, "Xen\n"),
        said(PRODUCT, "HVM domU\n"),
    ]


def without(evidence: list[Evidence], *sources: str) -> list[Evidence]:
    return [piece for piece in evidence if not piece.source.startswith(sources)]


def changed(evidence: list[Evidence], *pieces: Evidence) -> list[Evidence]:
    replaced = {piece.source for piece in pieces}
    return [*(piece for piece in evidence if piece.source not in replaced), *pieces]
