"""The session's side of the probes: a child process that may fail without harm."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.children import StopSwitch, end_group, run_child
from benchmark.errors import MeasurementError, WorkError
from benchmark.estimate import Estimate
from benchmark.probes import ProbeResult
from benchmark.progress import Emit, ProbesFinished, Remarked
from benchmark.protocol import OUTCOME_FILE, Probed, ProbeSpec

LIMIT_S = 120.0
"""A probe that hangs, as a sick GPU makes a copy hang, must not keep the measurements waiting."""
GRACE_S = 10.0
"""How long one that was ended is waited for: in uninterruptible sleep no signal reaches it."""


def run_block_probes(
    spec: ProbeSpec,
    folder: Path,
    stop: StopSwitch,
    emit: Emit,
    estimate: Estimate,
    clock: Callable[[], float] = time.monotonic,
    end: Callable[[subprocess.Popen[str]], None] = end_group,
) -> tuple[ProbeResult, ...]:
    """Run a block's probes in ``folder``, which is gone afterwards, and say what came of them.

    Raises:
        Interrupted: the stop switch was turned.
        DiskFullError, OutputError: the folder cannot be written, nor can results be.
        WorkError: the probes' process hangs and cannot be ended, so that it keeps the device.
    """
    started = clock()

    def end_if_stuck() -> None:
        seconds = clock() - started
        if seconds > LIMIT_S + GRACE_S:
            raise WorkError(
                f"The probes of block {spec.block} hang, and their process cannot be ended: it "
                "waits in the kernel, and the device is not free for the measurements.",
                "The kernel's log (dmesg) tells what it waits for; restart the machine, or reset "
                "the device, before the next run.",
            )
        if seconds > LIMIT_S and stop.child is not None:
            end(stop.child)

    try:
        run_child(stop, folder, spec, lambda _message: None, end_if_stuck)
        probes = Probed.model_validate_json((folder / OUTCOME_FILE).read_bytes()).probes
    except MeasurementError as error:
        reason = f"they took longer than {LIMIT_S:.0f} s and were ended"
        if clock() - started <= LIMIT_S:
            reason = error.sentence.rstrip(".")
        emit(Remarked(message=f"The probes of block {spec.block} gave nothing: {reason}."))
        probes = ()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = clock() - started
    estimate.probed(seconds)
    if probes:
        emit(
            ProbesFinished(
                block=spec.block,
                seconds=round(seconds, 1),
                count=sum(probe.count > 0 for probe in probes),
                problems=_problems(probes),
            )
        )
    return probes


def _problems(probes: Sequence[ProbeResult]) -> tuple[str, ...]:
    """Return each reason once, with the probes that it kept from running."""
    names: dict[str, list[str]] = {}
    for probe in probes:
        if probe.problem:
            names.setdefault(probe.problem, []).append(probe.name)
    return tuple(f"{', '.join(kept)}: {reason}" for reason, kept in names.items())
