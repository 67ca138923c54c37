"""``python -m tests.google``: the stand-in as a process, until it is told to end.

It writes a file that a shell can source (``--port-file``), and on SIGTERM or SIGINT what its
ledger says, as JSON (``--ledger-file``; also whenever it gets SIGUSR1).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shlex
import signal
from pathlib import Path
from typing import Any

from tests.google.clock import Durations
from tests.google.faults import FAULT_KINDS
from tests.google.real_cluster import RealCluster, real_cluster
from tests.google.world import PROJECT, GoogleWorld


def main() -> None:
    """Serve until the end."""
    options = _parser().parse_args()
    real: RealCluster | None = None
    if options.kubernetes == "real":
        real = real_cluster(Path(options.kubeconfig), options.kube_token)
    asyncio.run(_serve(options, real))


async def _serve(options: argparse.Namespace, real: RealCluster | None) -> None:
    world = GoogleWorld(
        speed=options.speed,
        project=options.project,
        durations=Durations(**{name: float(value) for name, value in options.duration}),
        real=real,
    )
    for zone, gpu in options.stockout:
        world.capacity.sold_out(zone, gpu, tuple(options.hint))
    for region, metric, limit in options.quota:
        world.capacity.quotas[region, metric] = float(limit)
    for metric, limit in options.global_quota:
        world.capacity.global_quotas[metric] = float(limit)
    for call, kind, times, skip in options.fault:
        world.faults.add(call, kind, int(times), int(skip))
    world.project.services -= set(options.disabled)
    world.project.missing_permissions |= set(options.denied)
    world.project.billing_enabled = not options.no_billing
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    async with world:
        if options.ledger_file:
            ledger_file = Path(options.ledger_file)
            loop.add_signal_handler(signal.SIGUSR1, lambda: _write_ledger(world, ledger_file))
        _write_whole(Path(options.port_file), _sourced(world))
        await over.wait()
        if options.ledger_file:
            _write_ledger(world, ledger_file)


def _sourced(world: GoogleWorld) -> str:
    values = world.environment()
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def _write_ledger(world: GoogleWorld, path: Path) -> None:
    _write_whole(path, json.dumps(world.summary(), indent=1) + "\n")


def _write_whole(path: Path, text: str) -> None:
    """Whoever waits for the file finds all of it."""
    part = path.with_name(f"{path.name}.part")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)


def _parts(count: int, separator: str = ":") -> type[object]:
    class Parts(tuple[str, ...]):
        """``A:B``, taken apart."""

        def __new__(cls, text: str) -> Parts:
            words = text.split(separator)
            if len(words) != count:
                raise argparse.ArgumentTypeError(f"{text!r} has not {count} parts")
            return super().__new__(cls, words)

    return Parts


def _fault(text: str) -> tuple[str, str, str, str]:
    call, kind, times, skip, *_ = [*text.split(":"), "1", "0"][:4]
    if kind not in FAULT_KINDS:
        raise argparse.ArgumentTypeError(f"{kind!r} is none of {', '.join(FAULT_KINDS)}")
    return call, kind, times, skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.google", description=__doc__)
    add = parser.add_argument
    add("--port-file", required=True, help="written when all is ready; a shell can source it")
    add("--ledger-file", default="", help="where the ledger is written to")
    add("--speed", type=float, default=1.0, help="Google's seconds in one of ours")
    add("--project", default=PROJECT)
    several: dict[str, Any] = {"action": "append", "default": []}
    add("--stockout", metavar="ZONE:GPU", type=_parts(2), **several)
    add("--hint", metavar="ZONE", help="zones that stockouts name", **several)
    add("--quota", metavar="REGION:METRIC:LIMIT", type=_parts(3), **several)
    add("--global-quota", metavar="METRIC:LIMIT", type=_parts(2), **several)
    add("--duration", metavar="NAME=SECONDS", type=_parts(2, "="), **several)
    add("--fault", metavar="CALL:KIND[:TIMES[:SKIP]]", type=_fault, **several)
    add("--disabled", metavar="SERVICE", help="API that is not enabled", **several)
    add("--denied", metavar="PERMISSION", **several)
    add("--no-billing", action="store_true")
    add("--kubernetes", choices=("stand-in", "real"), default="stand-in")
    add("--kubeconfig", default="", help="of the real cluster")
    add("--kube-token", default="", help="administrator's, where the kubeconfig has none")
    return parser


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
