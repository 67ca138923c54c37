"""What the evidence says, read into typed signs. Here nothing is concluded yet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from benchmark.attestation.cpuid import CpuidLeaf
from benchmark.attestation.model import Evidence, EvidenceStatus
from benchmark.attestation.mounts import covered_paths

XEN: Final = "XenVMMXenVMM"
HYPER_V: Final = "Microsoft Hv"
KVM: Final = frozenset({"KVMKVMKVM", "Linux KVM Hv"})

SIGNATURES: Final = {
    XEN: "Xen",
    **dict.fromkeys(KVM, "KVM"),
    HYPER_V: "Hyper-V",
    "VMwareVMware": "VMware",
    "TCGTCGTCGTCG": "QEMU software emulation (TCG)",
    "VBoxVBoxVBox": "VirtualBox",
    "bhyve bhyve ": "bhyve",
    "ACRNACRNACRN": "ACRN",
    "QNXQVMBSQG": "QNX",
    "SRESRESRESRE": "LMHS SRE",
    "Apple VZ": "Apple Virtualization",
    " lrpepyh  vr": "Parallels",
    "Jailhouse": "Jailhouse",
    "EVMMEVMMEVMM": "Intel KGT",
}
"""Names that hypervisors spell in CPUID."""

DMI_MAKERS: Final = (
    ("QEMU", "QEMU"),
    ("KVM", "KVM"),
    ("RHEV", "KVM"),
    ("KubeVirt", "KVM"),
    ("VMware", "VMware"),
    ("innotek GmbH", "VirtualBox"),
    ("VirtualBox", "VirtualBox"),
    ("Bochs", "Bochs"),
    ("Parallels", "Parallels"),
    ("BHYVE", "bhyve"),
    ("Apple Virtualization", "Apple Virtualization"),
    ("Xen", "Xen"),
)
"""How the DMI text of a virtual machine begins. Clouds that also rent bare metal (Amazon, Google,
Oracle) are left out: their name says nothing of a hypervisor."""

_LEAF_SOURCE: Final = re.compile(r"(cpuid|cpuid forced) 0x([0-9a-f]{8})")
_LEAF_TEXT: Final = re.compile(
    r"eax=0x([0-9a-f]{8}) ebx=0x([0-9a-f]{8}) ecx=0x([0-9a-f]{8}) edx=0x([0-9a-f]{8})(?: \".*\")?"
)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HYPERVISOR_BIT: Final = 1 << 31
_CLOCKSOURCE: Final = "/sys/devices/system/clocksource/clocksource0/"


@dataclass(frozen=True)
class Signs:
    """The evidence by source, and what each piece of it says."""

    by_source: dict[str, Evidence]
    conflicting: tuple[str, ...]
    """Sources that were given more than once and did not say the same."""

    @classmethod
    def read(cls, evidence: Iterable[Evidence]) -> Signs:
        """Sort evidence by source; a source that contradicts itself says nothing at all."""
        by_source: dict[str, Evidence] = {}
        conflicting: set[str] = set()
        for piece in evidence:
            if by_source.setdefault(piece.source, piece) != piece:
                conflicting.add(piece.source)
        kept = {source: piece for source, piece in by_source.items() if source not in conflicting}
        return cls(kept, tuple(sorted(conflicting)))

    @cached_property
    def covered(self) -> dict[str, str]:
        """Sources that a mount hides, with the filesystem that lies there instead."""
        mounts = self.by_source.get("/proc/self/mountinfo")
        if mounts is None or mounts.status is not EvidenceStatus.PRESENT:
            return {}
        present = (s for s, e in self.by_source.items() if e.status is EvidenceStatus.PRESENT)
        return covered_paths(mounts.text, present)

    def said(self, source: str) -> str | None:
        """What a source said, stripped; None where it said nothing or a mount hides it."""
        piece = self.by_source.get(source)
        if piece is None or piece.status is not EvidenceStatus.PRESENT or source in self.covered:
            return None
        return piece.text.strip()

    def status(self, source: str) -> EvidenceStatus | None:
        """How asking a source ended; None where it was not asked."""
        piece = self.by_source.get(source)
        return piece.status if piece else None

    # --- the processor ---------------------------------------------------------------------

    def _leaves(self, prefix: str) -> dict[int, CpuidLeaf]:
        leaves = {}
        for source in self.by_source:
            named = _LEAF_SOURCE.fullmatch(source)
            text = self.said(source) or ""
            if named and named[1] == prefix and (read := _LEAF_TEXT.fullmatch(text)):
                leaf = int(named[2], 16)
                leaves[leaf] = CpuidLeaf(leaf, *(int(part, 16) for part in read.groups()))
        return leaves

    @cached_property
    def plain_leaves(self) -> dict[int, CpuidLeaf]:
        """What CPUID answered, by leaf."""
        return self._leaves("cpuid")

    @cached_property
    def forced_leaves(self) -> dict[int, CpuidLeaf]:
        """What CPUID answered behind the prefix that only Xen knows."""
        return self._leaves("cpuid forced")

    @cached_property
    def signatures(self) -> dict[int, str]:
        """Hypervisors that announce themselves in plain CPUID, by base leaf."""
        found = {base: leaf.signature for base, leaf in self.plain_leaves.items() if _is_base(base)}
        return {base: name for base, name in sorted(found.items()) if name in SIGNATURES}

    @cached_property
    def announced(self) -> frozenset[str]:
        """The names in plain CPUID, in words."""
        return frozenset(SIGNATURES[name] for name in self.signatures.values())

    @cached_property
    def forced_xen_base(self) -> int | None:
        """Where Xen answered the forced form; it answers only a PV domain."""
        bases = sorted(b for b, leaf in self.forced_leaves.items() if leaf.signature == XEN)
        return bases[0] if bases else None

    @cached_property
    def plain_xen_base(self) -> int | None:
        """Where Xen announces itself in plain CPUID."""
        return next((base for base, name in self.signatures.items() if name == XEN), None)

    @property
    def forced_denied(self) -> bool:
        """Whether the forced form was tried on a processor that has CPUID, and found no Xen."""
        if self.forced_leaves:
            return self.forced_xen_base is None
        piece = self.by_source.get("cpuid forced")
        return (
            piece is not None and piece.status is EvidenceStatus.ABSENT and "SIGILL" in piece.text
        )

    @property
    def hypervisor_bit(self) -> bool | None:
        """CPUID's "there is a hypervisor" bit; None where the processor was not asked.

        A name in CPUID stands for the bit where only that leaf was recorded.
        """
        leaf = self.plain_leaves.get(1)
        if leaf is None:
            return True if self.signatures else None
        return bool(leaf.ecx & _HYPERVISOR_BIT)

    @property
    def xen_version_by_processor(self) -> str | None:
        """Xen's version as CPUID gives it, "4.17"."""
        for base, leaves in (
            (self.forced_xen_base, self.forced_leaves),
            (self.plain_xen_base, self.plain_leaves),
        ):
            leaf = None if base is None else leaves.get(base + 1)
            if leaf is not None:
                return f"{leaf.eax >> 16}.{leaf.eax & 0xFFFF}"
        return None

    # --- the kernel ------------------------------------------------------------------------

    @property
    def flag(self) -> bool | None:
        """The kernel's `hypervisor` processor flag; None where there is no list of flags (ARM)."""
        for line in (self.said("/proc/cpuinfo") or "").splitlines():
            name, separator, flags = line.partition(":")
            if separator and name.strip() == "flags":
                return "hypervisor" in flags.split()
        return None

    @property
    def kernel_type(self) -> str | None:
        """The hypervisor by /sys/hypervisor/type."""
        return self.said("/sys/hypervisor/type")

    @property
    def guest_type(self) -> str | None:
        """PV, PVH or HVM by /sys/hypervisor/guest_type (Linux 4.13 and later)."""
        said = self.said("/sys/hypervisor/guest_type")
        return said if said in ("PV", "PVH", "HVM") else None

    @property
    def features(self) -> int | None:
        """Xen's feature bits."""
        said = self.said("/sys/hypervisor/properties/features") or ""
        return int(said, 16) if re.fullmatch(r"[0-9a-fA-F]{1,16}", said) else None

    @property
    def control_domain(self) -> bool | None:
        """Whether /proc/xen/capabilities names the control domain; None where it is not there."""
        said = self.said("/proc/xen/capabilities")
        return None if said is None else "control_d" in re.split(r"[,\s]+", said)

    @property
    def guest_uuid(self) -> str | None:
        """The domain's UUID."""
        said = (self.said("/sys/hypervisor/uuid") or "").lower()
        return said if _UUID.fullmatch(said) else None

    @property
    def xen_version_by_kernel(self) -> str | None:
        """Xen's version as the kernel gives it, "4.17.5"."""
        major = self.said("/sys/hypervisor/version/major") or ""
        minor = self.said("/sys/hypervisor/version/minor") or ""
        extra = self.said("/sys/hypervisor/version/extra") or ""
        if not all(re.fullmatch(r"[0-9]{1,5}", part) for part in (major, minor)):
            return None
        return f"{major}.{minor}{extra if re.fullmatch(r'[.+A-Za-z0-9_-]{1,32}', extra) else ''}"

    @property
    def clocksource(self) -> str | None:
        """The current clocksource."""
        said = self.said(f"{_CLOCKSOURCE}current_clocksource") or ""
        return said if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", said) else None

    @cached_property
    def clocksources(self) -> frozenset[str]:
        """Every clocksource the kernel offers, the current one too."""
        offered = (self.said(f"{_CLOCKSOURCE}available_clocksource") or "").split()
        return frozenset([*offered, *([self.clocksource] if self.clocksource else [])])

    @cached_property
    def dmi(self) -> dict[str, str]:
        """DMI texts by name, those that say something."""
        names = ("sys_vendor", "product_name", "board_vendor", "bios_vendor", "product_version")
        texts = {name: self.said(f"/sys/class/dmi/id/{name}") for name in names}
        return {name: text for name, text in texts.items() if text}

    @cached_property
    def dmi_maker(self) -> str | None:
        """The maker of a virtual machine by DMI; None for a physical machine or a cloud's name."""
        for name in ("product_name", "sys_vendor", "board_vendor", "bios_vendor"):
            for beginning, maker in DMI_MAKERS:
                if self.dmi.get(name, "").startswith(beginning):
                    return maker
        # Microsoft also builds laptops, so the vendor alone does not make a virtual machine.
        if (self.dmi.get("sys_vendor"), self.dmi.get("product_name")) == (
            "Microsoft Corporation",
            "Virtual Machine",
        ):
            return "Hyper-V"
        return None

    @property
    def device_tree(self) -> str | None:
        """The hypervisor that an ARM machine's device tree names, as "xen,xen-4.17"."""
        said = self.said("/proc/device-tree/hypervisor/compatible")
        return said.replace("\0", " ").strip() if said else None

    # --- tools that read the same and conclude for themselves ----------------------------------

    @property
    def detect_virt(self) -> str | None:
        """What systemd-detect-virt takes the machine for; "none" for bare metal."""
        return self.said("systemd-detect-virt --vm") or None

    @property
    def lscpu_vendor(self) -> str | None:
        """The hypervisor by lscpu; None also where lscpu sees none."""
        for line in (self.said("lscpu") or "").splitlines():
            name, separator, vendor = line.partition(":")
            if separator and name.strip() == "Hypervisor vendor":
                return vendor.strip() or None
        return None

    @property
    def nvml(self) -> str | None:
        """The GPU's virtualization mode."""
        return self.said("nvml virtualization mode") or None


def _is_base(leaf: int) -> bool:
    return 0x40000000 <= leaf < 0x40010000 and leaf % 0x100 == 0
