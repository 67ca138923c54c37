"""The session's side: the probes' process may fail, hang or be stopped without harm."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from benchmark.children import Interrupted, StopSwitch
from benchmark.estimate import Estimate
from benchmark.plan import load_profile
from benchmark.probing import LIMIT_S, run_block_probes
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


def test_a_stop_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run_block_probes(
            SPEC, tmp_path / "p", StopSwitch(turned=True), lambda _: None, Estimate(PLAN)
        )
    assert not (tmp_path / "p").exists()
