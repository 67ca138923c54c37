"""What a result says of where it was measured, and which files it left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from core.text import harmless
from tui.widgets.drawing import MUTED

if TYPE_CHECKING:
    from benchmark.results import Result

_LABEL = 22


def evidence_content(result: Result) -> Content:
    """Return attestation, environment and configuration."""
    attestation = result.attestation
    lines = [
        _head("Attestation"),
        _pair("hypervisor", attestation.virtualization_detail or str(attestation.hypervisor)),
        _pair("the processor agrees", _yes(attestation.processor_agrees)),
        *([_pair("Xen version", attestation.xen_version)] if attestation.xen_version else []),
        *(_pair("because", sentence) for sentence in attestation.explanation),
        *(
            Content.styled(f"contradiction: {harmless(sentence)}", "$text-warning")
            for sentence in attestation.contradictions
        ),
        Content(""),
        _head("Environment"),
    ]
    environment = result.environment
    for name, value in environment.model_dump(mode="json").items():
        if name == "cpu":
            cpu = environment.cpu
            lines.append(_pair("cpu", f"{cpu.model}, {cpu.usable} of {cpu.count} usable"))
            lines.append(_pair("cpu governor", cpu.governor or "unknown"))
        elif value is not None and name != "torch_build":
            lines.append(_pair(name.replace("_", " "), str(value)))
    lines += [Content(""), _head("Configuration")]
    lines += [
        _pair(name.replace("_", " "), str(value))
        for name, value in result.configuration.model_dump(mode="json").items()
    ]
    lines += [Content(""), _head("What each source said")]
    lines += [
        Content.assemble(
            (f"{harmless(entry.source)}  ", "bold"),
            (f"{entry.status}  ", MUTED),
            harmless(" ".join(entry.text.split())[:400]),
        )
        for entry in attestation.evidence
    ]
    return Content("\n").join(lines)


def files_content(result: Result, folder: Path) -> Content:
    """Return the raw files with their sizes and what they hold."""
    lines = [_pair("folder", str(folder)), _pair("content sha256", result.content_sha256)]
    for measurement in result.benchmarks:
        lines += [Content(""), _head(f"{measurement.name}, block {measurement.block}")]
        for raw in measurement.raw_files:
            lines.append(
                Content.assemble(
                    f"{harmless(raw.path)}  ",
                    (f"{raw.bytes:,} bytes  {harmless(raw.holds)}", MUTED),
                )
            )
    return Content("\n").join(lines)


def _head(text: str) -> Content:
    return Content.styled(harmless(text), "bold $primary")


def _pair(name: str, value: str) -> Content:
    return Content.assemble((f"{harmless(name):<{_LABEL}}", MUTED), harmless(value))


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "it could not be asked"}[value]
