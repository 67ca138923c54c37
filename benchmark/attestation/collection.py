"""Gathering all the evidence and classifying it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from benchmark.attestation.classification import classify
from benchmark.attestation.cpuid import ReadCpuid, read_cpuid
from benchmark.attestation.model import Attestation
from benchmark.attestation.probes import (
    Run,
    probe_command_line,
    probe_commands,
    probe_environment,
    probe_existence,
    probe_files,
    probe_mounts,
    probe_nvml,
    probe_processor,
    probe_processor_flags,
    run_command,
)


def collect(
    *,
    root: Path = Path("/"),
    nvml_virtualization: str | None = None,
    run: Run = run_command,
    cpuid: ReadCpuid = read_cpuid,
    environment: Mapping[str, str] | None = None,
) -> Attestation:
    """Attest which hypervisor this process runs under. Needs no privilege and never raises.

    `root` stands for / when files are read; `run` executes commands and `cpuid` the processor's
    instruction, by default both in child processes; `environment` is os.environ by default.
    `nvml_virtualization` is the GPU's virtualization mode by name, as "NONE" or "PASSTHROUGH".
    Takes about 0.2 s, which belongs before or after a measurement and never inside it.
    """
    return classify(
        (
            *probe_files(root),
            *probe_existence(root),
            *probe_processor_flags(root),
            *probe_command_line(root),
            *probe_mounts(root),
            *probe_environment(os.environ if environment is None else environment),
            *probe_commands(run),
            *probe_processor(cpuid),
            *probe_nvml(nvml_virtualization),
        )
    )
