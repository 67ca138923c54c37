"""Captured machines, each a folder of fixtures that stands for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmark.attestation import Attestation, classify, collect
from benchmark.attestation.cpuid import (
    CpuidFailedError,
    CpuidLeaf,
    CpuidTrappedError,
    parse_leaves,
)
from benchmark.attestation.model import EvidenceStatus

FIXTURES = Path(__file__).with_name("fixtures")


@dataclass(frozen=True)
class CapturedMachine:
    """A folder with SOURCE, root/, commands/, cpuid.txt and cpuid-forced.txt.

    Of a machine that was captured in part (the first line of SOURCE says so) only what is there is
    evidence: a file that nobody captured was not therefore absent.
    """

    folder: Path

    @property
    def is_whole(self) -> bool:
        return (self.folder / "SOURCE").read_text().startswith("whole\n")

    def run(self, command: Sequence[str]) -> bytes:
        return (self.folder / "commands" / " ".join(command)).read_bytes()

    def cpuid(self, *, forced: bool) -> tuple[CpuidLeaf, ...]:
        file = self.folder / ("cpuid-forced.txt" if forced else "cpuid.txt")
        if not file.exists():
            raise CpuidFailedError("not captured")
        text = file.read_text()
        if text == "SIGILL\n":
            raise CpuidTrappedError("the processor refused the instruction (SIGILL)")
        return parse_leaves(text)

    def attest(self, **given: str) -> Attestation:
        attestation = collect(
            root=self.folder / "root",
            run=self.run,
            cpuid=self.cpuid,
            environment={},
            nvml_virtualization=given.get("nvml_virtualization"),
        )
        if self.is_whole:
            return attestation
        refused = ("cpuid forced",)
        return classify(
            piece
            for piece in attestation.evidence
            if piece.status is EvidenceStatus.PRESENT or piece.source in refused
        )


@pytest.fixture
def machine() -> Callable[[str], CapturedMachine]:
    """Find a captured machine by the name of its folder."""

    def find(name: str) -> CapturedMachine:
        return CapturedMachine(FIXTURES / name)

    return find
