"""Whether the legs ran under the layers that their labels claim.

The conclusion that a result stores is not believed: its evidence is in the same record, and is
classified again here (benchmark.attestation), so that a conclusion that was edited, or evidence
that was taken away, is seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, combinations, product

from benchmark.attestation import Attestation, Hypervisor, classify
from benchmark.results import Result
from core.verdict.legs import Leg
from core.verdict.model import Question, Refusal

_NESTED = "itself on"
_CONFIRMS = {True: "confirms", False: "contradicts", None: "does not confirm"}


@dataclass(frozen=True, slots=True)
class Attested:
    """One result with what its evidence says now."""

    result: Result
    found: Attestation

    def same_layer(self, other: Attested) -> bool:
        """Whether both ran under one layer, as far as both know it.

        A description in more words is as long as what could be read, so it tells no layers apart.
        """
        return self.found.hypervisor is other.found.hypervisor and _one_version(
            self.found.xen_version, other.found.xen_version
        )

    @property
    def text(self) -> str:
        """The layer in words: ``xen-hvm (Xen 4.17 HVM guest)``."""
        detail = self.found.virtualization_detail
        hypervisor = str(self.found.hypervisor)
        return f"{hypervisor} ({detail})" if detail else hypervisor


Layers = tuple[Attested, ...]
"""Every result of a leg, in time order."""


def attested(leg: Leg) -> Layers:
    """Classify the evidence of every result of a leg again."""
    return tuple(Attested(result, classify(result.attestation.evidence)) for result in leg.results)


def layer_text(results: Layers) -> str:
    """Return the layer, or all of them, that a leg ran under."""
    return ", ".join(dict.fromkeys(each.text for each in results))


def evidence_text(results: Layers) -> str:
    """Return why that is believed, in a sentence or two."""
    return " ".join(results[0].found.explanation[:2])


def refusals(
    both: tuple[Layers, Layers], called: tuple[str, str], question: Question
) -> list[Refusal]:
    """Return every reason not to compare that lies in the layers; ``called`` names the legs."""
    shown = layer_text(both[0]), layer_text(both[1])
    found = []
    for label, results in zip(called, both, strict=True):
        found += [
            Refusal("attestation", sentence, *shown)
            for sentence in _problems(label, results, question)
        ]
    found += [Refusal("attestation", sentence, *shown) for sentence in _shared_boots(both)]
    for label, results in zip(called, both, strict=True):
        if _several(combinations(results, 2)):
            sentence = f"Runs of {label} ran under several layers: {layer_text(results)}."
            found.append(Refusal("layer", sentence, *shown))
    if question is Question.NOISE and _several(product(*both)):
        sentence = f"Not the same layer twice: {called[0]}: {shown[0]}; {called[1]}: {shown[1]}."
        found.append(Refusal("layer", sentence, *shown))
    if question is Question.OVERHEAD and any(one.same_layer(two) for one, two in product(*both)):
        sentence = (
            f"Both legs ran under the same layer, {_of_both(shown)}, so there is no overhead of "
            "one to find; --same asks how far apart equal legs come out."
        )
        found.append(Refusal("layer", sentence, *shown))
    return found


def warnings(both: tuple[Layers, Layers], called: tuple[str, str], question: Question) -> list[str]:
    """Return what a reader must know of the layers."""
    found = []
    below = both[0][0].found.hypervisor
    if question is Question.OVERHEAD and below not in (Hypervisor.BARE_METAL, Hypervisor.UNKNOWN):
        found.append(
            f"{called[0]} did not run on bare metal: what is compared is {layer_text(both[1])} "
            f"against {layer_text(both[0])}."
        )
    for label, results in zip(called, both, strict=True):
        if any(_NESTED in (each.found.virtualization_detail or "") for each in results):
            found.append(
                f"{label} ran on Xen on another hypervisor ({layer_text(results)}): its overhead "
                "is that of both."
            )
        if len({each.text for each in results}) > 1:
            found.append(
                f"What runs of {label} ran under is not described alike: {layer_text(results)}."
            )
        unconfirmed = [each for each in results if each.found.processor_agrees is None]
        if unconfirmed:
            found.append(
                f"The layer of {label} rests on text that the superuser could have written: the "
                "processor did not confirm it."
            )
        if question is Question.NOISE:
            found += [
                f"Attestation of {label}: {each.found.contradictions[0]}"
                for each in results[:1]
                if each.found.contradictions
            ]
    if question is Question.NOISE and layer_text(both[0]) != layer_text(both[1]):
        found.append(
            f"What the legs ran under is not described alike: {layer_text(both[0])}; "
            f"{layer_text(both[1])}."
        )
    return found


def differing_layers(first: Layers, second: Layers) -> str:
    """Return both layers where they are not the same one, as a sentence; else nothing."""
    if not _several(product(first, second)):
        return ""
    return f"The layer is not the same: {layer_text(first)}; {layer_text(second)}."


def _several(pairs: Iterable[tuple[Attested, Attested]]) -> bool:
    return any(not one.same_layer(other) for one, other in pairs)


def _one_version(first: str | None, second: str | None) -> bool:
    """Whether two versions may be one: the processor says ``4.17``, the kernel ``4.17.5``."""
    if first is None or second is None:
        return True
    parts = zip(first.split("."), second.split("."), strict=False)
    return all(one == other for one, other in parts)


def _of_both(shown: tuple[str, str]) -> str:
    return " and ".join(dict.fromkeys(shown))


def _shared_boots(both: tuple[Layers, Layers]) -> list[str]:
    """Return a sentence for a boot of a kernel that is said to have run under two layers: what a
    kernel runs under does not change while it runs.
    """
    known: dict[str, Attested] = {}
    for each in chain(*both):
        boot = each.result.environment.boot_id
        if boot is None or each.found.hypervisor is Hypervisor.UNKNOWN:
            continue
        other = known.setdefault(boot, each)
        if not each.same_layer(other):
            return [
                f"Runs {other.result.run_id} and {each.result.run_id} are of one boot of a kernel "
                f"and say that it ran under {other.text} and under {each.text}."
            ]
    return []


def _problems(label: str, results: Layers, question: Question) -> list[str]:
    """Return a sentence for each kind of problem, naming the first run that has it."""
    found: dict[str, list[str]] = {}
    for each in results:
        if problem := _problem(each, question):
            found.setdefault(problem, []).append(each.result.run_id)
    sentences = []
    for problem, runs in found.items():
        more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
        sentences.append(f"{label} (run {runs[0]}{more}) {problem}")
    return sentences


def _problem(each: Attested, question: Question) -> str:
    stored, found = each.result.attestation, each.found
    if not stored.evidence and stored.hypervisor is not Hypervisor.UNKNOWN:
        return f"says that it ran under {stored.hypervisor}, and has no evidence of it."
    if stored.hypervisor is not found.hypervisor:
        return (
            f"says that it ran under {stored.hypervisor}, and its own evidence says "
            f"{found.hypervisor}."
        )
    if stored.processor_agrees is not found.processor_agrees:
        return (
            f"says that the processor {_CONFIRMS[stored.processor_agrees]} what it ran under, and "
            f"its own evidence says that it {_CONFIRMS[found.processor_agrees]} it."
        )
    if question is Question.NOISE:
        return ""
    if found.contradictions:
        return f"has evidence that contradicts itself: {found.contradictions[0]}"
    label = each.result.leg
    if "xen" in label and not found.is_xen:
        return f"is not attested as Xen: it ran under {each.text}."
    if label.startswith("baseline") and found.is_xen:
        return f"ran under {each.text}, so it is no baseline."
    if found.hypervisor is Hypervisor.UNKNOWN:
        return "does not know which layer it ran under."
    return ""
