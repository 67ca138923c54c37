"""The verdict on real measurements: a known slowdown injected into the real benchmark.

One session of the real benchmark on this machine's CPU; its blocks take turns at 0, 3, 7 and 15 %
of extra work a batch and at none at all, the leg that the others are compared with. What is true is
then known, and the verdicts must be right and the 90 % intervals must hold it.

    python -m tests.performance injected

``GPUBENCH_TEST_ROUNDS`` is the number of blocks of each leg (default 10, about 17 minutes). To tell
3 and 7 % from 5 % by so few, a pair's two blocks must not differ by more than about 2 %: the check
prints how much they do, and on a machine that is shared with other work it is several times that.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.plan import Plan, make_plan
from benchmark.results import Result, seal
from benchmark.session import Session
from core.verdict.comparison import Request, compare
from core.verdict.legs import Source
from core.verdict.model import Comparison, Endpoint, Question, Verdict
from tests.performance.injected_child import SHARES_VARIABLE, first_in_line
from tests.performance.pairs import Outcome

_ROUNDS = int(os.environ.get("GPUBENCH_TEST_ROUNDS", "10"))
_BARE = None
# The slowdowns nearest to the target run next to the leg that they are compared with.
_TURNS: tuple[float | None, ...] = (0.0, 0.03, _BARE, 0.07, 0.15)
_TRUE_VERDICTS = {
    0.0: Verdict.WITHIN,
    0.03: Verdict.WITHIN,
    0.07: Verdict.EXCEEDS,
    0.15: Verdict.EXCEEDS,
}
# Of 90 % intervals; those of one leg are not independent, so fewer may hold the truth by chance.
_LEAST_COVERED = 0.75


def check() -> Iterator[Outcome]:
    turns = [turn for number in range(_ROUNDS) for turn in _TURNS[:: 1 - 2 * (number % 2)]]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        result = _measured(turns, output)
        yield from _noise(result, turns)
        bare = Source(_leg(result, turns, _BARE), output)
        covered = []
        for share, true_verdict in _TRUE_VERDICTS.items():
            slowed = Source(_leg(result, turns, share), output)
            comparison = compare([bare], [slowed], Request(question=Question.NOISE))
            yield from _verdict_outcomes(share, comparison, true_verdict)
            for measurement, endpoint in _gating(comparison):
                outcome, holds = _interval_outcome(share, measurement, endpoint)
                covered.append(holds)
                yield outcome
        yield Outcome(
            f"90 % intervals that hold the true overhead, of {len(covered)}",
            statistics.fmean(covered),
            least=_LEAST_COVERED,
        )


def _plan(blocks: int) -> Plan:
    return make_plan(
        {
            "profile": "injected",
            "sample_count": 4,
            "device": "cpu",
            "execution": "eager",
            "weights": "random",
            # What else this machine does then disturbs one thread less than two that wait for
            # each other.
            "threads": 1,
            "repeats": blocks,
            "scenarios": [
                {"scenario": "SingleStream", "query_count": 64},
                {"scenario": "Offline", "batch_sizes": [2], "duration_s": 4},
            ],
            "warm_up": {"minimum_s": 0.5, "maximum_s": 1.0},
        },
        "the check's plan",
    )


def _measured(turns: Sequence[float | None], output: Path) -> Result:
    """Run the session: the real one, but for the module that its measuring processes run."""
    first_in_line()
    os.environ[SHARES_VARIABLE] = json.dumps([turn or 0.0 for turn in turns])
    return Session(
        plan=_plan(len(turns)),
        output=output,
        run_id="injected",
        leg="baseline",
        emit=lambda record: print(f"  {_told(record)}", flush=True) if _told(record) else None,
        child="tests.performance.injected_child",
    ).run()


def _told(record: object) -> str:
    from benchmark.progress import MeasurementFinished

    if not isinstance(record, MeasurementFinished) or record.throughput_samples_per_s is None:
        return ""
    void = f", void: {record.void_reasons[0]}" if record.void_reasons else ""
    return f"{record.name} block {record.block}: {record.throughput_samples_per_s:.3f}/s{void}"


def _leg(result: Result, turns: Sequence[float | None], turn: float | None) -> Result:
    """Return one leg's blocks as a result of its own."""
    blocks = {number for number, each in enumerate(turns, start=1) if each == turn}
    name = "bare" if turn is _BARE else f"{100 * turn:g}"
    fields = {field: getattr(result, field) for field in type(result).model_fields}
    measured = tuple(each for each in result.benchmarks if each.block in blocks)
    return seal({**fields, "run_id": f"injected-{name}", "benchmarks": measured})


def _noise(result: Result, turns: Sequence[float | None]) -> Iterator[Outcome]:
    """Print how much blocks of the bare leg differ: the CV that the verdicts have to do with."""
    for name in dict.fromkeys(each.name for each in result.benchmarks):
        rates = [
            each.throughput_samples_per_s
            for each in _leg(result, turns, _BARE).benchmarks
            if each.name == name and each.throughput_samples_per_s and not each.void
        ]
        yield Outcome(
            f"CV of {name}'s throughput over {len(rates)} blocks",
            statistics.stdev(rates) / statistics.fmean(rates),
        )


def _gating(comparison: Comparison) -> Iterator[tuple[str, Endpoint]]:
    for measurement in comparison.measurements:
        for endpoint in measurement.endpoints:
            if endpoint.gating and endpoint.estimate is not None:
                yield measurement.name, endpoint


def _verdict_outcomes(
    share: float, comparison: Comparison, true_verdict: Verdict
) -> Iterator[Outcome]:
    """Return whether the verdict is right, and whether it is at least not wrong: a machine that is
    too noisy for so few blocks keeps the first from being met, and nothing may break the second.
    """
    found = comparison.verdict
    yield Outcome(
        f"{share:.0%} extra work is called {true_verdict}",
        float(found is true_verdict),
        least=1,
        details=f"{found}: {comparison.reason}",
    )
    yield Outcome(
        f"{share:.0%} extra work is called nothing that is wrong",
        float(found in (true_verdict, Verdict.INCONCLUSIVE)),
        least=1,
    )


def _interval_outcome(share: float, measurement: str, endpoint: Endpoint) -> tuple[Outcome, bool]:
    """Return one interval beside the truth: a batch takes ``1 + share`` times as long."""
    estimate = endpoint.estimate
    assert estimate is not None
    truth = 100 * (1 - 1 / (1 + share) if endpoint.metric == "throughput" else share)
    low, high = estimate.interval_percent.low, estimate.interval_percent.high
    holds = low <= truth <= high
    outcome = Outcome(
        f"{share:.0%} extra work, {measurement} {endpoint.metric}: overhead in percent",
        estimate.overhead_percent,
        details=f"({low:.2f} to {high:.2f}; true {truth:.2f}{'' if holds else ': NOT HELD'}; "
        f"{estimate.method}, a unit differs by {estimate.noise_percent:.2f} %)",
    )
    return outcome, holds
