"""The session's side: the probes' process may fail, hang or be stopped without harm."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from benchmark.children import Interrupted, StopSwitch, end_group, run_child
from benchmark.errors import MeasurementError, WorkError
from benchmark.estimate import Estimate
from benchmark.plan import load_profile
from benchmark.probing import GRACE_S, LIMIT_S, run_block_probes
from benchmark.progress import ProgressRecord, Remarked
from benchmark.protocol import ProbeSpec
from tests.benchmark.probes.test_run import configuration

PLAN = load_profile("reference")
SPEC = ProbeSpec(plan=PLAN, configuration=configuration(), block=4)


def test_probes_that_hang_are_ended_and_the_session_goes_on(tmp_path: Path) -> None:
    said: list[ProgressRecord] = []
    # The clock stands at the start, and beyond the limit when it is next looked at.
    times: Iterator[float] = chain([0.0], repeat(LIMIT_S + 1))
    found = run_block_probes(
        SPEC, tmp_path / "p", StopSwitch(), said.append, Estimate(PLAN), lambda: next(times)
    )
    assert found == ()
    (remark,) = said
    assert isinstance(remark, Remarked)
    assert remark.message == (
        "The probes of block 4 gave nothing: they took longer than 120 s and were ended."
    )
    assert not (tmp_path / "p").exists()


def test_a_process_that_no_signal_ends_is_not_waited_for_and_the_session_is_told(
    tmp_path: Path,
) -> None:
    said: list[ProgressRecord] = []
    stop = StopSwitch()
    deaf: list[subprocess.Popen[str]] = []

    def halt(child: subprocess.Popen[str]) -> None:
        # Stopped, it stands still as in uninterruptible sleep, in which no signal reaches it.
        deaf.append(child)
        os.killpg(child.pid, signal.SIGSTOP)

    times: Iterator[float] = chain([0.0, LIMIT_S + 1], repeat(LIMIT_S + GRACE_S + 1))
    try:
        with pytest.raises(WorkError, match=r"probes of block 4 hang.*is not free") as gave_up:
            run_block_probes(
                SPEC,
                tmp_path / "p",
                stop,
                said.append,
                Estimate(PLAN),
                lambda: next(times),
                halt,
            )
        assert not isinstance(gave_up.value, MeasurementError)
        assert len(deaf) == 1
        assert deaf[0].poll() is None
        assert stop.child is None
        assert said == []
    finally:
        for child in deaf:
            end_group(child)
            child.wait()


def test_one_that_closed_its_output_and_does_not_end_is_given_up_as_well(tmp_path: Path) -> None:
    stop = StopSwitch()
    children: list[subprocess.Popen[str]] = []

    def give_up() -> None:
        assert stop.child is not None
        children.append(stop.child)
        raise WorkError("The limit has passed.")

    with pytest.raises(WorkError, match="The limit has passed"):
        run_child(
            stop, tmp_path / "p", SPEC, lambda _: None, give_up, "tests.benchmark.probes.mute_child"
        )
    (child,) = children
    assert child.stdout is not None
    assert child.poll() is None
    end_group(child)
    child.wait()


def test_a_stop_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run_block_probes(
            SPEC, tmp_path / "p", StopSwitch(turned=True), lambda _: None, Estimate(PLAN)
        )
    assert not (tmp_path / "p").exists()
