"""The rules for a machine where something says Xen."""

from __future__ import annotations

from typing import Final

from benchmark.attestation.judgement import Judgement, quote
from benchmark.attestation.model import EvidenceStatus, Hypervisor
from benchmark.attestation.signs import SIGNATURES, Signs

# Bits of /sys/hypervisor/properties/features, by Xen's public header features.h.
WRITABLE_DESCRIPTOR_TABLES: Final = 1 << 1
AUTO_TRANSLATED_PHYSMAP: Final = 1 << 2
SUPERVISOR_MODE_KERNEL: Final = 1 << 3
HVM_PIRQS: Final = 1 << 10
DOM0: Final = 1 << 11

ZERO_UUID: Final = "00000000-0000-0000-0000-000000000000"

_NAMES: Final = {
    Hypervisor.XEN_PV: "PV guest",
    Hypervisor.XEN_PVH: "PVH guest",
    Hypervisor.XEN_HVM: "HVM guest",
    Hypervisor.XEN_DOM0: "dom0",
}


def xen_by_processor(signs: Signs) -> bool:
    """Whether CPUID names Xen, in either form."""
    return signs.forced_xen_base is not None or signs.plain_xen_base is not None


def xen_by_text(signs: Signs) -> bool:
    """Whether the kernel itself says that it runs on Xen."""
    return signs.kernel_type == "xen"


def judge_xen(signs: Signs, judgement: Judgement) -> None:
    """Conclude which kind of Xen domain this is, or why nothing can be attested."""
    if xen_by_processor(signs):
        _hear_processor(signs, judgement)
    else:
        _weigh_text_alone(signs, judgement)
    is_dom0 = _is_dom0(signs, judgement)
    kind = _kind(signs, judgement)
    _look_for_imitation(signs, judgement, is_dom0=is_dom0, kind=kind)
    _hear_tools(signs, judgement, is_dom0=is_dom0)
    if kind is None:
        judgement.because("It is Xen, but nothing tells PV, PVH and HVM apart.")
        return
    hypervisor = Hypervisor.XEN_DOM0 if is_dom0 else kind
    judgement.conclude(hypervisor, _detail(signs, hypervisor, kind))


def _hear_processor(signs: Signs, judgement: Judgement) -> None:
    judgement.processor_agrees = True
    version = signs.xen_version_by_processor or "of a version it does not give"
    if signs.forced_xen_base is not None:
        judgement.because(
            f"CPUID behind the prefix that only Xen knows answers XenVMMXenVMM, {version}: "
            "a PV domain."
        )
    if signs.plain_xen_base is not None:
        judgement.because(f"CPUID 0x{signs.plain_xen_base:08x} answers XenVMMXenVMM, {version}.")
        if signs.hypervisor_bit is False:
            judgement.forbids("CPUID names Xen although its hypervisor bit is clear.")
    if signs.kernel_type not in (None, "xen"):
        judgement.forbids(
            f"The processor says Xen, /sys/hypervisor/type says {quote(signs.kernel_type or '')}."
        )
    kernel = signs.xen_version_by_kernel
    by_processor = signs.xen_version_by_processor
    if kernel and by_processor and kernel.split(".")[:2] != by_processor.split("."):
        judgement.differs(
            f"The processor gives Xen {by_processor}, /sys/hypervisor/version gives {kernel}."
        )


def _weigh_text_alone(signs: Signs, judgement: Judgement) -> None:
    judgement.because('/sys/hypervisor/type says "xen".')
    looks_pv = signs.guest_type == "PV" or (
        signs.features is not None and not signs.features & AUTO_TRANSLATED_PHYSMAP
    )
    if signs.forced_denied:
        judgement.processor_agrees = False
        judgement.forbids(
            "/sys/hypervisor/type says Xen, but the processor names it in neither form of CPUID."
        )
    elif signs.hypervisor_bit is not None and not looks_pv:
        judgement.processor_agrees = False
        judgement.forbids(
            "/sys/hypervisor/type says Xen, but CPUID does not name it, "
            "as it does in every PVH and HVM domain."
        )
    elif signs.guest_type is None and signs.features is None:
        judgement.forbids(
            "/sys/hypervisor/type says Xen, but neither the processor nor any other text of "
            "the kernel bears it out."
        )
    else:
        judgement.because(
            "The processor was not asked in the form that Xen answers, so this rests on text, "
            "which the superuser of the machine could have written."
        )


def _is_dom0(signs: Signs, judgement: Judgement) -> bool:
    says: dict[str, bool] = {}
    if signs.features is not None:
        is_set = bool(signs.features & DOM0)
        state = "set" if is_set else "clear"
        says[f"/sys/hypervisor/properties/features {signs.features:08x} (dom0 bit {state})"] = (
            is_set
        )
    if signs.control_domain is not None:
        name = '"control_d"' if signs.control_domain else "no control_d"
        says[f"/proc/xen/capabilities ({name})"] = signs.control_domain
    if signs.guest_uuid == ZERO_UUID:
        says["/sys/hypervisor/uuid (all zeros)"] = True
    for_dom0 = [source for source, is_dom0 in says.items() if is_dom0]
    against = [source for source, is_dom0 in says.items() if not is_dom0]
    if for_dom0 and against:
        judgement.forbids(
            f"{' and '.join(for_dom0)} say dom0, {' and '.join(against)} say a guest."
        )
    elif for_dom0:
        judgement.because(f"It is dom0 by {' and '.join(for_dom0)}.")
    elif against:
        judgement.because(f"It is a guest by {' and '.join(against)}.")
    else:
        judgement.because("Nothing that would mark dom0 can be read, so it is taken for a guest.")
    return bool(for_dom0)


def _kind(signs: Signs, judgement: Judgement) -> Hypervisor | None:
    """PV, PVH or HVM by all that tells; None where nothing does."""
    says: dict[str, frozenset[Hypervisor]] = {}
    pv, pvh, hvm = (
        frozenset({kind}) for kind in (Hypervisor.XEN_PV, Hypervisor.XEN_PVH, Hypervisor.XEN_HVM)
    )
    if signs.guest_type is not None:
        by_name = {"PV": pv, "PVH": pvh, "HVM": hvm}
        says[f"/sys/hypervisor/guest_type {quote(signs.guest_type)}"] = by_name[signs.guest_type]
    if signs.forced_xen_base is not None:
        says["the forced form of CPUID"] = pv
    elif signs.plain_xen_base is not None and signs.forced_denied:
        says["the refused forced form of CPUID"] = pvh | hvm
    if signs.features is not None:
        translated = bool(signs.features & AUTO_TRANSLATED_PHYSMAP)
        state = "set" if translated else "clear"
        source = f"features {signs.features:08x} (auto_translated_physmap {state})"
        says[source] = pvh | hvm if translated else pv
    if signs.guest_type is None and signs.forced_xen_base is None and says:
        says |= _kind_by_firmware(signs, pvh, hvm)
    possible = pv | pvh | hvm
    for kinds in says.values():
        possible &= kinds
    if says and not possible:
        told = "; ".join(
            f"{source}: {' or '.join(sorted(kinds))}" for source, kinds in says.items()
        )
        judgement.forbids(f"The sources disagree on the kind of domain ({told}).")
    if len(possible) != 1:
        return None
    (kind,) = possible
    judgement.because(f"It is {kind.value.removeprefix('xen-').upper()} by {', '.join(says)}.")
    return kind


def _kind_by_firmware(
    signs: Signs, pvh: frozenset[Hypervisor], hvm: frozenset[Hypervisor]
) -> dict[str, frozenset[Hypervisor]]:
    """PVH or HVM on a kernel that does not say: Xen's firmware loader serves HVM domains alone.

    Only there, because a dom0 sees the firmware of what it runs on, which can be another Xen.
    """
    if signs.dmi_maker == "Xen":
        return {"DMI text of Xen": hvm}
    if signs.features is not None and signs.features & HVM_PIRQS:
        return {f"features {signs.features:08x} (hvm_pirqs set)": hvm}
    if signs.status("/sys/class/dmi/id/sys_vendor") is EvidenceStatus.ABSENT:
        return {"the absence of DMI": pvh | frozenset({Hypervisor.XEN_PV})}
    return {}


def _look_for_imitation(
    signs: Signs, judgement: Judgement, *, is_dom0: bool, kind: Hypervisor | None
) -> None:
    """Look for signs that another hypervisor imitates Xen, as QEMU does on KVM."""
    others = signs.announced - {"Xen", "Hyper-V"}
    if signs.plain_xen_base is not None and others:
        judgement.forbids(
            f"CPUID names Xen and also {' and '.join(sorted(others))}: "
            "real Xen announces nobody beside itself but Hyper-V's interface."
        )
    foreign_clocks = sorted(c for c in signs.clocksources if c.startswith("kvm"))
    if foreign_clocks:
        judgement.forbids(f"The kernel offers {foreign_clocks[0]}, which no Xen domain has.")
    features = signs.features
    wrong_bits = WRITABLE_DESCRIPTOR_TABLES | SUPERVISOR_MODE_KERNEL
    if features is not None and features & AUTO_TRANSLATED_PHYSMAP and features & wrong_bits:
        judgement.forbids(
            f"Xen does not give an HVM or PVH domain the features {features:08x}; "
            "QEMU's imitation of Xen on KVM does."
        )
    if kind is not Hypervisor.XEN_PV and not is_dom0 and signs.dmi_maker not in (None, "Xen"):
        judgement.forbids(f"The firmware (DMI) is that of {signs.dmi_maker}, not Xen's.")
    version = signs.xen_version_by_kernel or signs.dmi.get("product_version", "")
    if "amazon" in version.lower():
        judgement.forbids(
            f"The version is Amazon's ({quote(version)}), and since 2021 Amazon also serves Xen's "
            "interface from its KVM-based Nitro hypervisor; from inside the two look alike."
        )


def _hear_tools(signs: Signs, judgement: Judgement, *, is_dom0: bool) -> None:
    said = signs.detect_virt
    if said in (None, "xen"):
        return
    sentence = f"systemd-detect-virt says {quote(said or '')}"
    if is_dom0:
        judgement.because(f"{sentence}, which is to be expected in dom0: it looks below Xen.")
    elif signs.forced_xen_base is not None or "Hyper-V" in signs.announced:
        judgement.because(f"{sentence}; it is misled by what CPUID shows beside Xen.")
    else:
        judgement.differs(f"{sentence}, the other evidence says Xen.")


def _detail(signs: Signs, hypervisor: Hypervisor, kind: Hypervisor) -> str:
    version = signs.xen_version_by_processor or signs.xen_version_by_kernel
    words = f"Xen {version} {_NAMES[hypervisor]}" if version else f"Xen {_NAMES[hypervisor]}"
    if hypervisor is Hypervisor.XEN_DOM0:
        words += f" ({kind.value.removeprefix('xen-').upper()})"
    if signs.plain_xen_base is None:
        below = sorted(SIGNATURES[s] for s in set(signs.signatures.values()))
        if below:
            words += f", itself on {' and '.join(dict.fromkeys(below))}"
    elif "Hyper-V" in signs.announced:
        words += " with Hyper-V's interface"
    return words
