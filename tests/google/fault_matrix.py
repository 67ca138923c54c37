"""``python -m tests.google.fault_matrix``: what becomes of a session when any one of its calls of
Google's meets any fault, once or for good.

It must end in success, or in one right sentence, with nothing left; or it names exactly what is
left, and a teardown removes that once Google is well again.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from core.run.cost_events import BillingEnded
from core.run.events import Left, RunState, Stage, StageFailed
from core.run.log import LOG_FILE
from core.run.view import RunView
from tests.google.fault_points import (
    SCENES,
    SPEED,
    Point,
    calls_of,
    lift_faults,
    play,
    points_of,
)
from tests.google.killing import Session, Zygote, session
from tests.google.ledger import Billed

_CHUNK = 6
_FAULT = "fault of this program"
_NOT_MET = "the fault was not met"


@dataclass(frozen=True)
class Outcome:
    """What came of one point."""

    point: Point
    ending: str
    """``done``, or the sentence that it ended with."""
    wrong: tuple[str, ...]
    seconds: float
    """Of our clock."""
    minutes: float
    """Of the run's clock, to the end of its teardown."""


async def judged(one: Session, point: Point) -> Outcome:
    """Play one session with its fault and say what is wrong with how it ends."""
    began, virtual = time.monotonic(), one.world.clock.now()
    scene = SCENES[point.scene]
    status = await play(one, scene, point)
    minutes = (one.world.clock.now() - virtual) / 60
    met = sum(fault.met for fault in one.world.faults.ordered)
    wrong = [] if met else [_NOT_MET]
    view = one.view()
    wrong += wrong_ending(one, view, status, scene.codes)
    left = view.torn_down.left if view.torn_down else ()
    # Whatever is under way at Google's comes to its end.
    await one.world.clock.sleep(30)
    wrong += wrong_left(one, left)
    wrong += [f"double: {each}" for each in one.world.ledger.doubles()]
    if left:
        lift_faults(one)
        await one.world.clock.sleep(10)
        if again := await one.do("teardown", limit_s=200):
            finished = one.view().torn_down
            words = [f"{each.name}: {each.reason}" for each in finished.left] if finished else []
            wrong.append(f"teardown with nothing wrong any more: exit code {again}: {words}")
        if standing := one.world.ledger.standing():
            wrong.append(f"after that teardown: {', '.join(map(str, standing))}")
    ending = _ending(view, status, left)
    return Outcome(point, ending, tuple(wrong), time.monotonic() - began, minutes)


def wrong_ending(one: Session, view: RunView, status: int, good: Sequence[int] = (0,)) -> list[str]:
    """Say what is wrong with how a run says that it ended."""
    wrong = []
    failed = [
        event.record
        for event in one.events()
        if isinstance(event.record, StageFailed) and event.stage is not Stage.TEARDOWN
    ]
    if view.state is RunState.FAILED:
        if len(failed) != 1 and "passes its" not in view.sentence:
            wrong.append(f"{len(failed)} stages failed: {[each.sentence for each in failed]}")
        if not view.sentence or not view.remedy:
            wrong.append(f"no sentence or no remedy: {view.sentence!r} {view.remedy!r}")
        if status not in (1, 2):
            wrong.append(f"failed with exit code {status}")
    elif failed:
        wrong.append(f"{view.state}, and {[each.sentence for each in failed]}")
    elif status not in (*good, 5):
        wrong.append(f"{view.state} with exit code {status}: {view.sentence}")
    texts = [f"{each.sentence} {each.remedy}" for each in failed]
    texts += [f"{view.sentence} {view.remedy}"]
    texts += [f"{each.reason}" for each in (view.torn_down.left if view.torn_down else ())]
    log = Path(view.folder) / LOG_FILE
    texts += [log.read_text() if log.exists() else "", (one.folder / "run.out").read_text()]
    for text in texts:
        at = max(text.find(_FAULT), text.find("watches over the run failed"))
        if at >= 0:
            wrong.append(f"a fault: {text[max(0, at - 200) : at + 300]}")
    ended = sum(isinstance(event.record, BillingEnded) for event in one.events())
    if (told := texts[-2].count("is billed no longer")) != ended:
        wrong.append(f"{ended} ends of billing, told {told} times")
    if "Traceback" in texts[-1]:
        wrong.append(texts[-1][-500:])
    return wrong


def wrong_left(one: Session, left: Sequence[Left]) -> list[str]:
    """Say where what is named as left and what the ledger has are not the same."""
    standing = one.world.ledger.standing()
    wrong = [
        f"not named: {entry}"
        for entry in standing
        if not any(_names(each, entry, standing) for each in left)
    ]
    if any(not build.is_over for build in one.world.builds.builds.values()):
        wrong += (
            [] if any(each.kind == "build" for each in left) else ["a build goes on, not named"]
        )
    images = [entry for entry in one.world.ledger.standing(apart=True) if entry.kind == "image"]
    for each in left:
        known = any(_names(each, entry, standing) for entry in (*standing, *images))
        unknowable = "It is still there" not in each.reason
        if not known and not unknowable:
            wrong.append(f"named, and gone: {each}")
        if not each.delete_command or not each.reason:
            wrong.append(f"no command or no reason: {each}")
    return wrong


def _names(left: Left, entry: Billed, standing: Sequence[Billed]) -> bool:
    """Return whether something that is left is an entry of the ledger, or takes it along."""
    if left.kind == "node pool":
        cluster, _, pool = left.name.partition("/")
        names = ("goog-k8s-node-pool-name", "goog-k8s-cluster-name")
        marks = tuple(entry.labels.get(name) for name in names)
        return entry.name in (pool, f"{cluster}/{pool}") or marks == (pool, cluster)
    if left.kind == "cluster":
        # What it holds goes with it. What it has left behind is named by itself.
        stands = any((each.kind, each.name) == (left.kind, left.name) for each in standing)
        return stands or f"{entry.kind} {entry.name}" in left.reason
    return left.kind == entry.kind and (entry.name in left.name or left.name in entry.name)


def _ending(view: RunView, status: int, left: Sequence[Left]) -> str:
    names = f" LEFT {', '.join(f'{each.kind}: {each.reason}' for each in left)}" if left else ""
    sentence = "" if view.state is RunState.DONE else f" {view.sentence} >> {view.remedy}"
    return f"{status} {view.state}{sentence}{names}"


async def played(zygote: Zygote, folder: Path, point: Point, speed: float = SPEED) -> Outcome:
    """Play a point in a stand-in of its own; once more where its fault was not met."""
    outcome = await _played(zygote, folder / "first", point, speed)
    if outcome.wrong != (_NOT_MET,):
        return outcome
    # On a busy machine preflight may find that Google takes too long.
    return await _played(zygote, folder / "second", point, speed)


async def _played(zygote: Zygote, folder: Path, point: Point, speed: float) -> Outcome:
    try:
        build_s = SCENES[point.scene].build_s
        async with session(zygote, folder, speed=speed, build_s=build_s) as one:
            try:
                return await judged(one, point)
            except Exception as error:
                trace = traceback.format_exc(limit=-2)
                words = f"{error!r} {trace} {one.last_words(folder / 'run.out')}"
                return Outcome(point, "", (words,), 0.0, 0.0)
    except Exception as error:
        # Of the stand-in itself.
        return Outcome(point, "", (f"the stand-in: {error!r}",), 0.0, 0.0)


async def _play_all(some: Sequence[Point]) -> list[Outcome]:
    outcomes = []
    base = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        async with Zygote() as zygote:
            for number, point in enumerate(some):
                outcome = await played(zygote, base / str(number), point)
                outcomes.append(outcome)
                minutes, seconds = outcome.minutes, outcome.seconds
                told = [f"{point} ({minutes:.0f} min, {seconds:.0f} s): {outcome.ending}"]
                told += [f"  WRONG {wrong}" for wrong in outcome.wrong]
                print("\n".join(told), flush=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return outcomes


async def _references(scenes: Sequence[str]) -> dict[str, list[str]]:
    base = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        async with Zygote() as zygote:
            found = [await calls_of(zygote, base / name, name) for name in scenes]
            return dict(zip(scenes, found, strict=True))
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _how_telling(point: Point) -> tuple[bool, bool, bool]:
    """Sort first what tells most: what changes something or persists, and no kind like another."""
    words = ("create", "delete", "insert", "set", "cancel")
    reads = not any(word in point.call.lower() for word in words)
    alike = reads and point.kind in ("deadline", "internal", "resource exhausted", "cut after")
    return alike, reads and "container" not in point.call, point.times == "once"


def _work(some: Sequence[Point]) -> list[Outcome]:
    return asyncio.run(_play_all(some))


def _chosen(options: argparse.Namespace) -> list[Point]:
    if options.point:
        return [Point.of(text) for text in options.point]
    every = points_of(asyncio.run(_references(list(SCENES))))
    every.sort(key=_how_telling)
    print(f"{len(every)} points, {len({point.call for point in every})} calls", flush=True)
    if options.only:
        every = [
            point for point in every if any(fnmatchcase(point.call, name) for name in options.only)
        ]
    every = [
        point for point in every if not any(fnmatchcase(point.call, name) for name in options.but)
    ]
    return every[options.skip :: options.every]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 when anything is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.google.fault_matrix", description=__doc__
    )
    parser.add_argument("--jobs", type=int, default=3, help="sessions at a time (%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="only every so manieth point")
    parser.add_argument("--skip", type=int, default=0, help="leave so many out at first")
    parser.add_argument("--only", action="append", default=[], metavar="CALL", help="with * and ?")
    parser.add_argument("--except", action="append", default=[], dest="but", metavar="CALL")
    parser.add_argument("--point", action="append", default=[], help="as printed")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    chosen = _chosen(options)
    chunks = [chosen[at : at + _CHUNK] for at in range(0, len(chosen), _CHUNK)]
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(_work, chunk) for chunk in chunks]
        for future in as_completed(futures):
            outcomes += future.result()
            print(f"{len(outcomes)} of {len(chosen)}", file=sys.stderr, flush=True)
    return _summarized(outcomes, time.monotonic() - began)


def _summarized(outcomes: Sequence[Outcome], seconds: float) -> int:
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    endings = Counter(
        "left" if " LEFT " in each.ending else each.ending.partition(" ")[2].partition(" ")[0]
        for each in outcomes
    )
    told = ", ".join(f"{count} {name or 'broken'}" for name, count in endings.items())
    longest = max((each.minutes for each in outcomes), default=0.0)
    print(
        f"{len(outcomes)} points: {told}; {len(wrong)} wrong; the longest took {longest:.0f} of "
        f"Google's minutes; {seconds / 60:.1f} minutes"
    )
    for outcome in wrong:
        print(f"python -m tests.google.fault_matrix --point '{outcome.point}'")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
