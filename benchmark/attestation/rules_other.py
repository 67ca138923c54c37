"""The rules for a machine where neither the processor nor the kernel names Xen."""

from __future__ import annotations

from typing import Final

from benchmark.attestation.judgement import Judgement, quote
from benchmark.attestation.model import EvidenceStatus, Hypervisor
from benchmark.attestation.signs import HYPER_V, KVM, SIGNATURES, Signs

_HYPER_V_OR_LIKE_IT: Final = "Hyper-V, or a hypervisor that shows its interface"
_TOOL_NAMES: Final = {
    "kvm": (Hypervisor.KVM, "KVM"),
    "amazon": (Hypervisor.OTHER, "Amazon EC2"),
    "google": (Hypervisor.OTHER, "Google Compute Engine"),
    "qemu": (Hypervisor.OTHER, "QEMU"),
    "microsoft": (Hypervisor.OTHER, _HYPER_V_OR_LIKE_IT),
    "vmware": (Hypervisor.OTHER, "VMware"),
    "oracle": (Hypervisor.OTHER, "VirtualBox"),
}
_CLOUDS: Final = ("amazon", "google")
_GUEST_GPU_MODES: Final = ("PASSTHROUGH", "VGPU")


def judge_without_xen(signs: Signs, judgement: Judgement) -> None:
    """Conclude what a machine is that does not present itself as Xen."""
    if signs.hypervisor_bit is not None:
        judgement.processor_agrees = True
    _refuse_stray_xen(signs, judgement)
    if signs.hypervisor_bit is not None:
        if signs.hypervisor_bit:
            if 1 in signs.plain_leaves:
                judgement.because("CPUID's hypervisor bit is set.")
            _judge_announced(signs, judgement)
        else:
            judgement.because("CPUID's hypervisor bit is clear.")
            _judge_bare_metal(signs, judgement)
    elif signs.flag is not None:
        if signs.flag:
            judgement.because("/proc/cpuinfo has the hypervisor flag; the processor was not asked.")
            _judge_by_tools(signs, judgement)
        else:
            judgement.because(
                "/proc/cpuinfo lacks the hypervisor flag; the processor was not asked."
            )
            _judge_bare_metal(signs, judgement)
    else:
        judgement.because("No processor flag can be read.")
        _judge_by_tools(signs, judgement)


def _refuse_stray_xen(signs: Signs, judgement: Judgement) -> None:
    """Xen named only where it decides nothing: enough to doubt, too little to believe."""
    named = {
        f"DMI ({quote(signs.dmi.get('sys_vendor', ''))})": signs.dmi_maker == "Xen",
        "the clocksource xen": "xen" in signs.clocksources,
        "/sys/hypervisor/guest_type": signs.guest_type is not None,
        "/sys/hypervisor/properties/features": signs.features is not None,
        "/proc/xen": signs.status("/proc/xen") is EvidenceStatus.PRESENT,
        "/proc/xen/capabilities": signs.control_domain is not None,
        "the device tree": "xen" in (signs.device_tree or "").lower(),
        "systemd-detect-virt": signs.detect_virt == "xen",
        "lscpu": (signs.lscpu_vendor or "").lower() == "xen",
    }
    sources = [source for source, says_xen in named.items() if says_xen]
    if sources:
        judgement.processor_agrees = None if signs.hypervisor_bit is None else False
        asked = "CPUID does not" if signs.hypervisor_bit is not None else "CPUID was not asked"
        judgement.forbids(
            f"Xen is named by {', '.join(sources)}; {asked}, and /sys/hypervisor/type does not."
        )


def _judge_announced(signs: Signs, judgement: Judgement) -> None:
    names = set(signs.signatures.values())
    for base, name in signs.signatures.items():
        judgement.because(f"CPUID 0x{base:08x} answers {quote(name)}.")
    # KVM and others can show Hyper-V's interface to please Windows, and keep their own beside it.
    makers = {SIGNATURES[name] for name in names - ({HYPER_V} if len(names) > 1 else set())}
    if len(makers) > 1:
        judgement.forbids(f"CPUID names {' and '.join(sorted(makers))} at once.")
    if makers & {"KVM"} and names & KVM:
        _conclude_kvm(signs, judgement)
    elif makers == {"Hyper-V"} and signs.dmi_maker != "Hyper-V":
        judgement.conclude(Hypervisor.OTHER, _HYPER_V_OR_LIKE_IT)
    elif makers:
        judgement.conclude(Hypervisor.OTHER, " and ".join(sorted(makers)))
    else:
        first = signs.plain_leaves.get(0x40000000)
        spelled = quote(first.signature) if first and first.signature else "nothing"
        judgement.because(f"CPUID 0x40000000 spells {spelled}, which names no known hypervisor.")
        judgement.conclude(Hypervisor.OTHER, _hidden_name(signs))
    if signs.flag is False:
        judgement.differs("CPUID's hypervisor bit is set, /proc/cpuinfo lacks the flag.")


def _conclude_kvm(signs: Signs, judgement: Judgement) -> None:
    maker = signs.dmi_maker
    if maker == "VirtualBox":
        judgement.because("The firmware (DMI) is VirtualBox's, which can speak KVM's interface.")
        judgement.conclude(Hypervisor.OTHER, "VirtualBox with KVM's interface")
        return
    if maker in ("VMware", "Hyper-V", "bhyve", "Parallels", "Apple Virtualization"):
        judgement.forbids(f"CPUID names KVM, the firmware (DMI) is that of {maker}.")
    judgement.conclude(Hypervisor.KVM, _kvm_detail(signs))


def _kvm_detail(signs: Signs) -> str:
    vendor = signs.dmi.get("sys_vendor", "")
    for beginning, name in (
        ("Google", "KVM (Google Compute Engine)"),
        ("Amazon EC2", "KVM (Amazon EC2, Nitro)"),
        ("QEMU", "KVM (QEMU)"),
    ):
        if vendor.startswith(beginning):
            return name
    words = (signs.said("/proc/cmdline") or "").split()
    no_firmware = signs.status("/sys/class/dmi/id/sys_vendor") is EvidenceStatus.ABSENT
    # Firecracker has neither firmware nor a signature of its own; these are its default arguments.
    if no_firmware and {"reboot=k", "panic=1"} <= set(words):
        return "KVM (a micro virtual machine, probably Firecracker)"
    return "KVM"


def _hidden_name(signs: Signs) -> str:
    hint = signs.dmi_maker or signs.detect_virt or signs.lscpu_vendor
    if hint in (None, "none", "vm-other"):
        return "a hypervisor that does not give its name"
    return f"a hypervisor that does not give its name (by other signs {quote(hint or '')})"


def _judge_bare_metal(signs: Signs, judgement: Judgement) -> None:
    signs_of_a_guest = {
        f"the firmware (DMI) is that of {signs.dmi_maker}": signs.dmi_maker is not None,
        f"systemd-detect-virt says {quote(signs.detect_virt or '')}": signs.detect_virt
        not in (None, "none", *_CLOUDS),
        f"lscpu says {quote(signs.lscpu_vendor or '')}": signs.lscpu_vendor is not None,
        "the kernel offers a hypervisor's clocksource": any(
            name.startswith(("kvm", "hyperv")) for name in signs.clocksources
        ),
        f"the GPU is in mode {quote(signs.nvml or '')}": (signs.nvml or "").upper()
        in _GUEST_GPU_MODES,
        "CPUID names " + " and ".join(sorted(signs.announced)): bool(signs.announced),
        "/proc/cpuinfo has the flag": bool(signs.flag),
        f"/sys/hypervisor/type says {quote(signs.kernel_type or '')}": bool(signs.kernel_type),
    }
    for sign, is_there in signs_of_a_guest.items():
        if is_there:
            judgement.forbids(f"The hypervisor bit is clear, but {sign}.")
    if not judgement.undecidable:
        judgement.because("Nothing else names a hypervisor.")
    judgement.conclude(Hypervisor.BARE_METAL, None)


def _judge_by_tools(signs: Signs, judgement: Judgement) -> None:
    """The last resort, for a processor that cannot be asked (ARM) or a forbidden CPUID."""
    said = signs.detect_virt
    if said in _TOOL_NAMES:
        hypervisor, detail = _TOOL_NAMES[said or ""]
        if said != "microsoft" and signs.dmi_maker not in (None, "QEMU", "KVM", detail):
            judgement.forbids(
                f"systemd-detect-virt says {quote(said or '')}, the firmware (DMI) is that of "
                f"{signs.dmi_maker}."
            )
        judgement.because(f"systemd-detect-virt says {quote(said or '')}; this rests on text.")
        judgement.conclude(hypervisor, detail)
    elif signs.flag:
        judgement.conclude(Hypervisor.OTHER, _hidden_name(signs))
    elif said == "none" and signs.dmi.get("sys_vendor") and signs.flag is None:
        judgement.because(
            f'systemd-detect-virt says "none" and the firmware (DMI) is that of '
            f"{quote(signs.dmi['sys_vendor'])}; this rests on text."
        )
        _judge_bare_metal(signs, judgement)
    else:
        judgement.because("What can be read is too little for a conclusion.")
