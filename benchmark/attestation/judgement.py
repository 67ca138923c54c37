"""A judgement in the making: what was concluded so far, from what, and what speaks against it."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmark.attestation.model import Hypervisor


@dataclass
class Judgement:
    """The conclusion with its reasons. Only `classify` and its rules touch it."""

    hypervisor: Hypervisor = Hypervisor.UNKNOWN
    detail: str | None = None
    processor_agrees: bool | None = None
    explanation: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    undecidable: bool = False

    def because(self, sentence: str) -> None:
        """Note evidence that led to the conclusion, or why a piece of it was set aside."""
        self.explanation.append(sentence)

    def differs(self, sentence: str) -> None:
        """Note that two sources disagree where the conclusion does not depend on it."""
        self.contradictions.append(sentence)

    def forbids(self, sentence: str) -> None:
        """Note a disagreement that leaves no honest conclusion but "unknown"."""
        self.contradictions.append(sentence)
        self.undecidable = True

    def conclude(self, hypervisor: Hypervisor, detail: str | None) -> None:
        """Conclude, unless something forbids it."""
        if self.undecidable:
            self.because(
                f"Without the contradictions this would be {hypervisor}; "
                "with them nothing is attested."
            )
            return
        self.hypervisor = hypervisor
        self.detail = detail


def quote(text: str) -> str:
    """Quote a source's words for a sentence: one line, bounded, control characters escaped."""
    words = text.strip().encode("unicode_escape").decode("ascii")
    return f'"{words}"' if len(words) <= 60 else f'"{words[:57]}..."'
