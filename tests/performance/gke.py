"""The reference session at the stand-in of Google, with Google's real durations: when its Job
starts, what it has billed, and the same of the reference's own commands typed one after the other.

    python -m tests.performance gke

Google's clock goes several times as fast as ours and this program does not, so all that it takes
itself counts that many times: a machine that is busy otherwise spoils the first two figures. Takes
six and a half minutes.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from core.gcp.specs import RUN_LABEL
from core.run.cost_events import CostWarned
from tests.google.clock import Durations
from tests.google.killing import Zygote, session
from tests.google.reference import both, longest_path_s, measured, needed_gpu_seconds
from tests.performance.pairs import Outcome

_TIMES = Durations()
_SPEED = 5.0
_LIMITED_SPEED = 12.0
_BUDGET_USD = 0.17
"""The least that preflight lets pass: the benchmark would take it to its end by a hair."""
_LIMIT_S = 900.0


def check() -> Iterator[Outcome]:
    # The stand-in's server tells of every client that goes away.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        yield from asyncio.run(_check(Path(folder)))


async def _check(folder: Path) -> list[Outcome]:
    async with Zygote() as zygote:
        outcomes = await _reference(zygote, folder / "reference")
        return [*outcomes, *await _limited(zygote, folder / "limited")]


async def _reference(zygote: Zygote, folder: Path) -> list[Outcome]:
    build_s = _TIMES.build
    async with session(zygote, folder, speed=_SPEED, durations=_TIMES, build_s=build_s) as one:
        one.create(prices="live")
        run = one.do("run", limit_s=_LIMIT_S)
        code, plain = await both(one.world, folder, build_s, run)
        if code:
            raise RuntimeError(one.last_words(folder / "run.out"))
        ours = measured(one.world, one.run_id, one.events())
        cost = one.view().cost
        live = cost.spent_usd if cost is not None else 0.0
        left = len(one.world.ledger.standing())
    path = longest_path_s(_TIMES, build_s)
    needed = needed_gpu_seconds(_TIMES, ours.collection_s)
    print(f"the clock {_SPEED:g} times as fast; session {ours.ended_s:.0f} s, ${ours.usd:.4f}")
    return [
        Outcome(
            "command to Job start / longest path",
            ours.job_started_s / path,
            most=1.05,
            details=f"{ours.job_started_s:.0f} s against {path:.0f} s",
        ),
        Outcome(
            "the same of one step after the other",
            plain.job_started_s / path,
            details=f"{plain.job_started_s:.0f} s",
        ),
        Outcome(
            "GPU-seconds billed / (driver + benchmark + collection)",
            ours.gpu_seconds / needed,
            most=1.10,
            details=f"{ours.gpu_seconds:.0f} against {needed:.0f}",
        ),
        Outcome(
            "the same without the node's boot in it",
            ours.gpu_seconds / (needed - _TIMES.node_boot),
            details=f"the boot is {_TIMES.node_boot:.0f} s",
        ),
        Outcome(
            "the same of one step after the other",
            plain.gpu_seconds / needed,
            details=f"{plain.gpu_seconds:.0f}",
        ),
        Outcome(
            "dollars / those of one step after the other",
            ours.usd / plain.usd,
            most=1.0,
            details=f"${ours.usd:.4f} against ${plain.usd:.4f}",
        ),
        Outcome(
            "the run's own total / the ledger's",
            live / ours.usd,
            least=0.99,
            most=1.01,
            details=f"${live:.5f} against ${ours.usd:.5f}",
        ),
        Outcome("left in the ledger", left, most=0),
    ]


async def _limited(zygote: Zygote, folder: Path) -> list[Outcome]:
    """A benchmark without end, and a budget."""
    endless = Durations(benchmark=3 * _TIMES.benchmark)
    async with session(
        zygote, folder, speed=_LIMITED_SPEED, durations=endless, build_s=_TIMES.build
    ) as one:
        one.create(prices="live", budget=_BUDGET_USD)
        code = await one.do("run", limit_s=_LIMIT_S)
        if code != 1:
            raise RuntimeError(one.last_words(folder / "run.out"))
        usd = one.world.ledger.usd(label=(RUN_LABEL, one.run_id))
        warned = [e.record.share for e in one.events() if isinstance(e.record, CostWarned)]
        left = len(one.world.ledger.standing())
    return [
        Outcome(
            "a run that its budget ends: dollars in the ledger / budget",
            usd / _BUDGET_USD,
            most=1.0,
            details=f"${usd:.4f} of ${_BUDGET_USD}; warned at {warned}",
        ),
        Outcome("left in the ledger", left, most=0),
    ]
