"""From evidence to an attestation. Pure: the same evidence, in any order, gives the same answer.

How much a source weighs:

1. The processor. Text can be covered by a mount, or come with an image; CPUID cannot, short of a
   changed hypervisor. Behind Xen's prefix it answers in a Xen PV domain alone; plainly it names
   Xen in PVH and HVM domains, and in a PV domain whatever Xen lets through.
2. The kernel's text (/sys/hypervisor, /proc/xen, clocksources), where no mount covers it.
3. Firmware text (DMI), which the owner of a virtual machine chooses.
4. Tools (systemd-detect-virt, lscpu), which read the above and are known to mislead: they decide
   only where nothing else speaks, and never for Xen.

What no rule can see from inside: a hypervisor that imitates Xen in every detail, and a superuser
who changes this program itself.

Where two sources disagree on whether it is Xen, on which kind of domain, or on whether there is a
hypervisor at all, the answer is "unknown": Xen is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.attestation.containers import container_runtime
from benchmark.attestation.judgement import Judgement, quote
from benchmark.attestation.model import Attestation, Evidence, Hypervisor
from benchmark.attestation.rules_other import judge_without_xen
from benchmark.attestation.rules_xen import judge_xen, xen_by_processor, xen_by_text
from benchmark.attestation.signs import Signs


def classify(evidence: Iterable[Evidence]) -> Attestation:
    """Conclude from evidence which hypervisor it was gathered under.

    Never raises for valid evidence, whatever its text. `classify(attestation.evidence)` gives the
    same attestation again, so a stored one can be checked by anybody.
    """
    pieces = sorted(set(evidence), key=_order)
    signs = Signs.read(pieces)
    judgement = _judge(signs)
    found_xen = judgement.hypervisor.is_xen
    agrees = judgement.processor_agrees
    if agrees and judgement.hypervisor is Hypervisor.UNKNOWN:
        agrees = None  # there is no conclusion that it could confirm
    return Attestation(
        hypervisor=judgement.hypervisor,
        virtualization_detail=judgement.detail,
        processor_agrees=agrees,
        xen_version=_xen_version(signs) if found_xen else None,
        guest_uuid=signs.guest_uuid if found_xen else None,
        container=container_runtime(signs),
        nvml_virtualization=signs.nvml,
        clocksource=signs.clocksource,
        explanation=tuple(judgement.explanation),
        contradictions=tuple(judgement.contradictions),
        evidence=tuple(pieces),
    )


def _order(piece: Evidence) -> tuple[str, str, str, bool]:
    return piece.source, piece.status, piece.text, piece.truncated


def _judge(signs: Signs) -> Judgement:
    judgement = Judgement()
    for source in signs.conflicting:
        judgement.forbids(f"{source} was asked more than once and did not say the same.")
    _set_covered_aside(signs, judgement)
    if xen_by_processor(signs) or xen_by_text(signs):
        judge_xen(signs, judgement)
    else:
        judge_without_xen(signs, judgement)
    return judgement


def _set_covered_aside(signs: Signs, judgement: Judgement) -> None:
    for source, filesystem in signs.covered.items():
        sentence = (
            f"{source} is covered by a mount ({quote(filesystem)}), so its text was not used."
        )
        if source.startswith(("/sys/hypervisor", "/proc/xen")):
            # Nothing lays a mount there by itself: somebody wanted another text to be read.
            judgement.forbids(sentence)
        else:
            judgement.because(sentence)


def _xen_version(signs: Signs) -> str | None:
    processor, kernel = signs.xen_version_by_processor, signs.xen_version_by_kernel
    if kernel and (processor is None or _same_version(processor, kernel)):
        return kernel
    return processor


def _same_version(processor: str, kernel: str) -> bool:
    return kernel.split(".")[:2] == processor.split(".")
