"""What an attestation is made of: evidence, and what was concluded from it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

TEXT_LIMIT: Final = 8192
"""The most characters of one source that are kept: `lscpu` on a large machine needs about 5,000."""


class Hypervisor(StrEnum):
    """What runs below the kernel that the measurement ran on."""

    BARE_METAL = "bare-metal"
    KVM = "kvm"
    XEN_PV = "xen-pv"
    XEN_PVH = "xen-pvh"
    XEN_HVM = "xen-hvm"
    XEN_DOM0 = "xen-dom0"
    OTHER = "other"
    UNKNOWN = "unknown"

    @property
    def is_xen(self) -> bool:
        """Whether this is one of the four ways to run on Xen."""
        return self.value.startswith("xen-")


class ContainerRuntime(StrEnum):
    """What the measurement was contained in. UNKNOWN: nothing that would tell could be read."""

    DOCKER = "docker"
    CONTAINERD = "containerd"
    PODMAN = "podman"
    KUBERNETES = "kubernetes"
    OTHER = "other"
    NONE = "none"
    UNKNOWN = "unknown"


class EvidenceStatus(StrEnum):
    """How asking one source ended.

    ABSENT is an answer ("asked, and it is not there"); UNREADABLE (no permission) and FAILED
    (anything else that went wrong) are none.
    """

    PRESENT = "present"
    ABSENT = "absent"
    UNREADABLE = "unreadable"
    FAILED = "failed"


class Evidence(BaseModel):
    """What one source said, verbatim."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1, max_length=200)
    """A path, a command or an instruction: `/sys/hypervisor/type`, `lscpu`, `cpuid 0x40000000`."""

    status: EvidenceStatus
    """How asking ended."""

    text: str = Field(default="", max_length=TEXT_LIMIT)
    """What the source said, or for any other status than PRESENT the reason."""

    truncated: bool = False
    """Whether the source said more than `text` holds."""

    @classmethod
    def of(cls, source: str, status: EvidenceStatus, said: bytes | str = "") -> Evidence:
        """Make evidence of raw output: undecodable bytes are escaped, and the length bounded."""
        text = said.decode("utf-8", "backslashreplace") if isinstance(said, bytes) else said
        # A lone surrogate (from an undecodable environment or file name) cannot be stored as UTF-8.
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        return cls(
            source=source,
            status=status,
            text=text[:TEXT_LIMIT],
            truncated=len(text) > TEXT_LIMIT,
        )


class Attestation(BaseModel):
    """Which hypervisor a measurement ran under, and why that is believed.

    `UNKNOWN` means neither "Xen" nor "not Xen": a comparison must not use it for either leg.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hypervisor: Hypervisor
    """The conclusion."""

    virtualization_detail: str | None = None
    """The conclusion in more words, as "Xen 4.17 PV guest, itself on QEMU (TCG)" or "VMware"."""

    processor_agrees: bool | None = None
    """Whether the processor itself (CPUID) confirms the conclusion.

    None: it could not be asked, or its answer does not bear on it, and the conclusion rests on
    text that the superuser of the guest could have written. False: it contradicts what the text
    says.
    """

    xen_version: str | None = None
    """Xen's version, as "4.17" (from the processor) or "4.17.5" (with the kernel's third part)."""

    guest_uuid: str | None = None
    """The domain's UUID as Xen gave it; all zeros in a usual dom0."""

    container: ContainerRuntime = ContainerRuntime.UNKNOWN
    """What the measurement was contained in."""

    nvml_virtualization: str | None = None
    """The GPU's virtualization mode as the driver gives it; NONE proves nothing."""

    clocksource: str | None = None
    """The kernel's current clocksource."""

    explanation: tuple[str, ...] = ()
    """Sentences that say which evidence led to the conclusion."""

    contradictions: tuple[str, ...] = ()
    """Sentences that say where two sources disagree."""

    evidence: tuple[Evidence, ...] = ()
    """Everything that was asked, by source."""

    @property
    def is_xen(self) -> bool:
        """Whether the measurement is attested to have run on Xen."""
        return self.hypervisor.is_xen
