"""Which layer each leg ran under is proved by the evidence in its file, or refused."""

from __future__ import annotations

import pytest

from benchmark.attestation import Attestation, classify
from benchmark.attestation.model import Evidence, Hypervisor
from benchmark.results import Result
from core.verdict.attested import Attested
from core.verdict.comparison import Request, compare
from core.verdict.legs import Source
from core.verdict.model import Comparison, Question, Verdict
from tests.benchmark.attestation.constructed import (
    VENDOR,
    changed,
    hvm_guest,
    said,
    version,
    without,
)
from tests.core.verdict.machine import attested, evidence_of
from tests.core.verdict.scene import a_leg, legs, resealed

BLOCKS = [100.0, 101.0, 99.0, 100.5]
METAL, KVM, OTHER = Hypervisor.BARE_METAL, Hypervisor.KVM, Hypervisor.OTHER
HVM, PV, UNKNOWN = Hypervisor.XEN_HVM, Hypervisor.XEN_PV, Hypervisor.UNKNOWN


def compared(
    first: Hypervisor,
    second: Hypervisor,
    labels: tuple[str, str] = ("baseline", "xen"),
    question: Question = Question.OVERHEAD,
) -> Comparison:
    sides = legs(
        BLOCKS,
        BLOCKS,
        labels=labels,
        of_first={"hypervisor": first},
        of_second={"hypervisor": second},
    )
    return compare(*sides, Request(question=question))


def described(first: list[Evidence], second: list[Evidence], labels: tuple[str, str]) -> Comparison:
    """Compare legs with this evidence, each in a boot of its own."""
    return compare(
        *legs(
            BLOCKS,
            BLOCKS,
            labels=labels,
            of_first={"attestation": classify(first)},
            of_second={"attestation": classify(second), "environment": {"boot_id": "other"}},
        )
    )


def hvm(number: str | None) -> list[Evidence]:
    """Return evidence of a Xen HVM guest of this version; None: it does not tell."""
    if number is None:
        return without(hvm_guest(), version(0).source)
    major, minor = map(int, number.split("."))
    return changed(hvm_guest(), version(major << 16 | minor))


def keys(found: Comparison) -> list[str]:
    return list(dict.fromkeys(each.key for each in found.refusals))


def sentences(found: Comparison) -> str:
    return " ".join(each.sentence for each in found.refusals)


class TestBaselineAgainstXen:
    """The pair of labels that the product is for."""

    @pytest.mark.parametrize("first", [METAL, KVM, OTHER])
    @pytest.mark.parametrize("second", [HVM, PV])
    def test_proved_legs_are_compared(self, first: Hypervisor, second: Hypervisor) -> None:
        assert compared(first, second).refusals == ()

    @pytest.mark.parametrize("second", [KVM, METAL, UNKNOWN])
    def test_an_unproved_xen_is_refused(self, second: Hypervisor) -> None:
        found = compared(METAL, second)
        assert found.verdict is Verdict.REFUSED
        assert "attestation" in keys(found)

    def test_a_xen_that_is_kvm_is_told_what_it_is(self) -> None:
        assert "is not attested as Xen: it ran under kvm (KVM (QEMU))" in sentences(
            compared(METAL, KVM)
        )

    def test_a_baseline_under_xen_is_refused(self) -> None:
        found = compared(PV, HVM)
        assert keys(found) == ["attestation"]
        assert "so it is no baseline" in sentences(found)

    def test_an_unknown_baseline_is_refused(self) -> None:
        found = compared(UNKNOWN, HVM)
        assert keys(found) == ["attestation"]

    def test_both_under_one_layer_is_nothing_to_compare(self) -> None:
        found = compared(KVM, KVM)
        assert keys(found) == ["attestation", "layer"]
        assert "both legs ran under the same layer" in sentences(found).lower()

    def test_many_runs_with_one_problem_are_one_refusal(self) -> None:
        (refusal,) = compared(METAL, KVM).refusals
        assert f"and {len(BLOCKS) - 1} more" in refusal.sentence

    def test_a_baseline_that_is_no_bare_metal_says_what_is_compared(self) -> None:
        (warning,) = [each for each in compared(KVM, HVM).warnings if "bare metal" in each]
        assert "xen-hvm (Xen 4.17 HVM guest) against kvm (KVM (QEMU))" in warning
        assert not any("bare metal" in each for each in compared(METAL, HVM).warnings)

    def test_xen_on_another_hypervisor_is_told(self) -> None:
        assert any("on another hypervisor" in each for each in compared(METAL, PV).warnings)
        assert not any("on another hypervisor" in each for each in compared(METAL, HVM).warnings)


class TestOtherLabels:
    """Other layers may be compared, when they are known and differ."""

    LABELS = ("bare", "virtual")

    def test_two_known_layers_are_compared(self) -> None:
        assert compared(METAL, KVM, self.LABELS).refusals == ()

    def test_one_layer_is_not(self) -> None:
        assert keys(compared(KVM, KVM, self.LABELS)) == ["layer"]

    @pytest.mark.parametrize("layers", [(UNKNOWN, KVM), (KVM, UNKNOWN)])
    def test_an_unknown_one_is_not(self, layers: tuple[Hypervisor, Hypervisor]) -> None:
        assert keys(compared(*layers, self.LABELS)) == ["attestation"]

    def test_a_layer_that_is_described_otherwise_is_the_same(self) -> None:
        """Whether DMI could be read is no layer."""
        found = described(evidence_of(KVM), evidence_of(KVM)[:-1], self.LABELS)
        assert keys(found) == ["layer"]
        assert "kvm (KVM (QEMU)) and kvm" in sentences(found)

    def test_a_leg_under_several_layers_is_none(self) -> None:
        first, second = legs(BLOCKS, BLOCKS, labels=self.LABELS, of_second={"hypervisor": KVM})
        odd = second[0].result
        environment = odd.environment.model_copy(update={"boot_id": "another"})
        odd = resealed(odd, attestation=attested(OTHER), environment=environment)
        mixed = (Source(odd), *second[1:])
        found = compare(first, mixed)
        assert keys(found) == ["layer"]
        assert "several layers" in sentences(found)


class TestLabels:
    """What a label promises is held against the layer, whatever else it says."""

    @pytest.mark.parametrize("label", ["xen-hvm", "my-xen-4.17", "xen-baseline"])
    def test_every_kind_of_xen_must_be_xen(self, label: str) -> None:
        found = compared(METAL, KVM, ("bare", label))
        assert keys(found) == ["attestation"]
        assert "is not attested as Xen" in sentences(found)

    @pytest.mark.parametrize("label", ["baseline-a", "baseline2"])
    def test_no_kind_of_baseline_may_be_xen(self, label: str) -> None:
        found = compared(HVM, KVM, (label, "other"))
        assert keys(found) == ["attestation"]
        assert "so it is no baseline" in sentences(found)


class TestVersions:
    """A version tells layers apart where both know it."""

    @staticmethod
    def pooled(number: str | None) -> Comparison:
        """A leg whose first run knows Xen 4.17, and the others this version."""
        first, second = legs(BLOCKS, BLOCKS)
        odd = second[0].result
        attestation = classify(hvm(number))
        return compare(first, (Source(resealed(odd, attestation=attestation)), *second[1:]))

    @pytest.mark.parametrize("number", [None, "4.17"])
    def test_runs_that_know_less_are_of_one_layer(self, number: str | None) -> None:
        assert self.pooled(number).refusals == ()

    def test_another_description_is_told(self) -> None:
        assert any("not described alike" in each for each in self.pooled(None).warnings)
        assert not any("not described alike" in each for each in self.pooled("4.17").warnings)

    def test_another_version_is_another_layer(self) -> None:
        found = self.pooled("4.18")
        assert keys(found) == ["attestation", "layer"]

    @pytest.mark.parametrize(
        ("versions", "are_one"),
        [
            (("4.17", "4.17.5"), True),
            (("4.17.5", None), True),
            (("4.17", "4.18"), False),
            (("4.1", "4.17"), False),
        ],
    )
    def test_the_kernels_third_part_is_none(
        self, versions: tuple[str, str | None], are_one: bool
    ) -> None:
        (run,) = a_leg([100.0])
        one, other = (
            Attested(run.result, attested(HVM).model_copy(update={"xen_version": each}))
            for each in versions
        )
        assert one.same_layer(other) is other.same_layer(one) is are_one


class TestBoots:
    """What a kernel runs under does not change while it runs."""

    def test_one_boot_under_two_layers_is_refused(self) -> None:
        found = compare(*legs(BLOCKS, BLOCKS, environment={"boot_id": "the-one"}))
        assert keys(found) == ["attestation"]
        assert "of one boot of a kernel" in sentences(found)

    def test_unknown_boots_prove_nothing(self) -> None:
        assert compare(*legs(BLOCKS, BLOCKS, environment={"boot_id": None})).refusals == ()


class TestNoise:
    """In A/A both legs are one, and what they are called does not matter."""

    @pytest.mark.parametrize("layer", [METAL, HVM, UNKNOWN])
    @pytest.mark.parametrize("labels", [("baseline", "baseline"), ("baseline", "xen")])
    def test_the_same_layer_twice(self, layer: Hypervisor, labels: tuple[str, str]) -> None:
        assert compared(layer, layer, labels, Question.NOISE).refusals == ()

    def test_two_layers_are_no_noise(self) -> None:
        assert keys(compared(METAL, KVM, question=Question.NOISE)) == ["layer"]


class TestEvidence:
    """The conclusion in a file is not believed; its evidence is classified again."""

    @staticmethod
    def forged(attestation: Attestation) -> Comparison:
        first, second = legs(BLOCKS, BLOCKS)

        def change(result: Result) -> Source:
            return Source(resealed(result, attestation=attestation))

        return compare(first, tuple(change(each.result) for each in second))

    def test_a_conclusion_that_was_edited_is_refused(self) -> None:
        edited = attested(KVM).model_copy(update={"hypervisor": HVM})
        found = self.forged(edited)
        assert "says that it ran under xen-hvm, and its own evidence says kvm" in sentences(found)

    def test_a_processor_that_was_made_to_agree_is_refused(self) -> None:
        text = [said("/sys/hypervisor/type", "xen\n"), said("/sys/hypervisor/guest_type", "HVM\n")]
        honest = classify(text)
        assert honest.processor_agrees is not True
        found = self.forged(honest.model_copy(update={"processor_agrees": True}))
        assert keys(found) == ["attestation"]
        assert "the processor confirms what it ran under, and its own evidence" in sentences(found)

    def test_a_conclusion_without_evidence_is_refused(self) -> None:
        found = self.forged(Attestation(hypervisor=HVM))
        assert "has no evidence of it" in sentences(found)

    def test_contradictions_refuse_though_they_were_struck_out(self) -> None:
        evidence = [*evidence_of(METAL), said(VENDOR, "QEMU\n")]
        doubtful = classify(evidence)
        assert doubtful.contradictions
        struck = doubtful.model_copy(update={"contradictions": ()})
        for attestation in (doubtful, struck):
            assert "contradicts itself" in sentences(self.forged(attestation))

    def test_a_layer_that_rests_on_text_alone_is_told(self) -> None:
        found = self.forged(
            classify(
                [
                    said("/sys/hypervisor/type", "xen\n"),
                    said("/sys/hypervisor/guest_type", "HVM\n"),
                    said("/sys/hypervisor/properties/features", "00002705\n"),
                ]
            )
        )
        assert found.refusals == ()
        assert any("the processor did not confirm it" in each for each in found.warnings)

    def test_a_leg_says_what_it_ran_under_and_why(self) -> None:
        found = compared(METAL, HVM)
        assert found.second.hypervisor == "xen-hvm (Xen 4.17 HVM guest)"
        assert "CPUID" in found.second.evidence
