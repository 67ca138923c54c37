"""``python -m tests.google.everywhere kills``: kills the run's process at every point of a session,
and has it resumed, torn down, or swept without a journal.

A session is judged by what the stand-in's ledger says and by the run's own stream and log.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import functools
import logging
import multiprocessing
import shutil
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmark.results import read_result
from core.run.events import ResultsStored, RunState
from core.run.log import LOG_FILE
from core.run.view import RunView
from tests.google.killing import Kill, Session, Zygote, session

WAYS = ("resume", "teardown", "sweep")
_KILLED = -9
# Every so manieth point is one at which the process that takes over is killed too.
_SECOND_EVERY = 6


@dataclasses.dataclass(frozen=True)
class Point:
    """One session: where it is killed, and what then becomes of it."""

    kill: Kill
    way: str
    second: Kill | None = None
    """Where the process that takes over is killed; then there is another."""

    def __str__(self) -> str:
        return ",".join(map(str, filter(None, [self.kill, self.way, self.second])))

    @classmethod
    def of(cls, text: str) -> Point:
        """Read one that was printed."""
        kill, way, *second = text.split(",")
        return cls(Kill.of(kill), way, Kill.of(second[0]) if second else None)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one."""

    point: Point
    was_reached: bool
    wrong: tuple[str, ...]
    where: str = ""
    """What was under way when it was killed."""


def points(calls: int, writes: int, changes: int) -> list[Point]:
    """Return all points of a session of so many calls of Google, journal writes and changing
    requests to Kubernetes; which goes which way is always the same.
    """
    kills = [
        *(Kill("google", at, when) for at in _upto(calls) for when in ("before", "after", "late")),
        *(Kill("journal", at, when) for at in _upto(writes) for when in ("before", "after")),
        *(Kill("kube", at, when) for at in _upto(changes) for when in ("before", "after")),
    ]
    return [_point(kill) for kill in kills if kill.when != "late" or _number(kill, "late") % 3 == 0]


def _point(kill: Kill) -> Point:
    way = WAYS[_number(kill, "way") % len(WAYS)]
    number = _number(kill, "second")
    if number % _SECOND_EVERY or way == "sweep":
        return Point(kill, way)
    # A teardown makes fewer calls than what is left of a run.
    most = 90 if way == "resume" else 24
    what = ("google", "journal")[number // 7 % 2]
    when = ("before", "after")[number // 11 % 2]
    return Point(kill, way, Kill(what, 1 + number // 13 % most, when))  # type: ignore[arg-type]


def _number(kill: Kill, of_what: str) -> int:
    return zlib.crc32(f"{of_what} {kill}".encode())


def _upto(count: int) -> Iterable[int]:
    return range(1, count + 1)


async def judged(one: Session, point: Point) -> Outcome:
    """Play one session and say what is wrong with it."""
    one.create()
    status = await one.do("run", point.kill)
    was_reached = status == _KILLED
    wrong: list[str] = []
    if not was_reached and status:
        wrong.append(f"not reached, and the run's exit code is {status}")
    elif was_reached:
        wrong += await _taken_over(one, point)
    # Whatever is under way at Google's comes to its end.
    await one.world.clock.sleep(30)
    if standing := one.world.ledger.standing():
        wrong.append(f"left: {', '.join(map(str, standing))}")
    wrong += [f"double: {each}" for each in one.world.ledger.doubles()]
    gpus = [entry for entry in one.world.ledger.created("instance") if entry.gpus]
    if len(gpus) > 1:
        wrong.append(f"{len(gpus)} GPU nodes were created")
    if not was_reached or point.way == "resume":
        wrong += _of_run(one)
    if point.way == "teardown":
        view = one.view()
        wrong += [f"no proof of {key}" for key, each in view.resources.items() if not each.proof]
    return Outcome(point, was_reached, tuple(wrong), ", ".join(one.killed_at))


async def _taken_over(one: Session, point: Point) -> list[str]:
    if point.second is not None:
        status = await _take_over(one, point.way, point.second)
        if status not in (0, _KILLED):
            return [f"to be killed at {point.second}: exit code {status}: {_said(one, point.way)}"]
        if status == 0:
            return []
    status = await _take_over(one, point.way, None)
    return [f"{point.way}: exit code {status}: {_said(one, point.way)}"] if status else []


async def _take_over(one: Session, way: str, kill: Kill | None) -> int:
    if way == "resume":
        return await one.resume(kill)
    if way == "sweep":
        return await one.sweep(kill)
    return await one.do("teardown", kill)


def _said(one: Session, way: str) -> str:
    if way == "sweep":
        return (one.folder / "sweep.out").read_text()[-600:]
    view = one.view()
    left = view.torn_down.left if view.torn_down else ()
    return " ".join([view.sentence, *(f"{each.name}: {each.reason}" for each in left)])


def _of_run(one: Session) -> list[str]:
    """Say what is wrong with a run that must be done."""
    events = one.events()
    view = RunView.of(events)
    wrong = []
    if (view.state, view.exit_code) != (RunState.DONE, 0):
        wrong.append(f"the run is {view.state}: {view.sentence}")
    stored = sum(isinstance(event.record, ResultsStored) for event in events)
    if stored != 1:
        wrong.append(f"results stored {stored} times")
    else:
        result = read_result(Path(view.result_file))
        if result.run_id != one.run_id:
            wrong.append(f"results of {result.run_id}")
    keys = [(each.name, each.block) for each in view.measurements]
    if len(keys) != 4 or len(set(keys)) != 4:
        wrong.append(f"measurements {keys}")
    log = (Path(view.folder) / LOG_FILE).read_text()
    counted = Counter(line.partition("] ")[2] for line in log.splitlines() if "[benchmark]" in line)
    wrong += [f"logged {counted[line]} times: {line}" for line in one.said if counted[line] != 1]
    wrong += [f"no proof of {key}" for key, each in view.resources.items() if not each.proof]
    undone = [stage.stage for stage in view.stages.values() if stage.state != "done"]
    return wrong + [f"stage {stage} is not done" for stage in undone]


async def play(some: Sequence[Point], speed: float, verbose: bool) -> list[Outcome]:
    """Play these, one after the other; each failure is told at once."""
    outcomes = []
    base = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        async with Zygote() as zygote:
            for number, point in enumerate(some):
                outcome = await _played(zygote, base / str(number), point, speed)
                if outcome.wrong or verbose:
                    print(
                        f"{point} ({outcome.where}): {' | '.join(outcome.wrong) or 'well'}",
                        flush=True,
                    )
                outcomes.append(outcome)
                if not (number + 1) % 20:
                    print(f"{number + 1} of {len(some)}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return outcomes


async def _played(zygote: Zygote, folder: Path, point: Point, speed: float) -> Outcome:
    try:
        async with session(zygote, folder, speed=speed) as one:
            try:
                return await judged(one, point)
            except Exception as error:
                trace = traceback.format_exc(limit=-2)
                words = f"{error!r} {trace} {one.last_words(folder / 'run.out')}"
                return Outcome(point, True, (words,))
    except Exception as error:
        # Of the stand-in itself.
        return Outcome(point, True, (f"the stand-in: {error!r}",))


async def reference(speed: float) -> tuple[int, int, int]:
    """Return how many calls, journal writes and changing requests a session makes."""
    base = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        async with Zygote() as zygote, session(zygote, base / "0", speed=speed) as one:
            one.create()
            status = await one.do("run")
            assert status == 0, one.last_words(base / "0" / "run.out")
            assert not (wrong := _of_run(one)), wrong
            return one.calls, one.counts["journal"], one.counts["kube"]
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _work(some: Sequence[Point], speed: float, verbose: bool) -> list[Outcome]:
    # Whoever is killed cuts its connections; that is no news.
    logging.disable(logging.CRITICAL)
    return asyncio.run(play(some, speed, verbose))


def _everything(options: argparse.Namespace) -> list[Outcome]:
    if options.only:
        chosen = [Point.of(text) for text in options.only]
    else:
        counted = asyncio.run(reference(options.speed))
        # Whoever stops it half-way has seen half of each kind.
        every = sorted(points(*counted), key=lambda point: _number(point.kill, "order"))
        chosen = every[options.skip :: options.every]
        print(
            f"{len(chosen)} points of a session with {counted[0]} calls of Google, {counted[1]} "
            f"journal writes, {counted[2]} changes in Kubernetes",
            flush=True,
        )
    chunks = [chosen[at :: options.jobs] for at in range(options.jobs)]
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        work = functools.partial(_work, speed=options.speed, verbose=options.verbose)
        for some in pool.map(work, chunks):
            outcomes += some
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.google.everywhere", description=__doc__)
    parser.add_argument("what", choices=["kills"])
    parser.add_argument("--jobs", type=int, default=4, help="sessions at a time (%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="only every so manieth point")
    parser.add_argument("--skip", type=int, default=0, help="leave so many out at first")
    parser.add_argument("--speed", type=float, default=15.0, help="of time (%(default)s)")
    parser.add_argument("--verbose", action="store_true", help="tell what goes well too")
    parser.add_argument("--only", action="append", default=[], metavar="POINT", help="as printed")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    outcomes = _everything(options)
    _summarize(outcomes, time.monotonic() - began)
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


def _summarize(outcomes: Sequence[Outcome], seconds: float) -> None:
    ways: Counter[str] = Counter(outcome.point.way for outcome in outcomes)
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    missed = sum(not outcome.was_reached for outcome in outcomes)
    twice = sum(outcome.point.second is not None for outcome in outcomes)
    said: dict[str, Any] = {"points": len(outcomes), **ways, "killed twice": twice}
    said |= {"not reached": missed, "wrong": len(wrong), "minutes": round(seconds / 60, 1)}
    print(", ".join(f"{name} {count}" for name, count in said.items()))
    for outcome in sorted(wrong, key=lambda each: str(each.point)):
        print(f"python -m tests.google.everywhere kills --only {outcome.point}")


if __name__ == "__main__":
    sys.exit(main())
