"""A process that has everything imported and forks one child a run: a run's own process in a tenth
of a second instead of two.

Reads one JSON order a line on stdin; answers ``{"pid": N}`` at once and later
``{"ended": N, "status": S}``, a line each. See :meth:`tests.google.killing.Session.do`.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import sys
import traceback


def _import_everything() -> None:
    import aiohttp  # noqa: F401
    import anyio._backends._asyncio  # noqa: F401
    import docker  # noqa: F401
    import google.auth.transport.requests
    import google.oauth2.credentials
    import google.oauth2.service_account  # noqa: F401
    import httpcore  # noqa: F401
    import httpx  # noqa: F401
    import yaml  # noqa: F401
    from google.cloud import container_v1  # noqa: F401

    # Imports each model that they consist of.
    from kubernetes.aio.client import V1Job, V1Pod  # noqa: F401

    import tests.google.child  # noqa: F401

    # What lives on from here is never looked through again, nor copied for it.
    gc.freeze()


def _fork(order: dict[str, object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with open(os.devnull) as nothing, open(str(order["output"]), "ab") as output:
            os.dup2(nothing.fileno(), 0)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        from tests.google.child import work

        status = work(order)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def main() -> None:
    """Serve orders until stdin ends."""
    _import_everything()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    wake, signalled = os.pipe()
    os.set_blocking(signalled, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(signalled)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(wake, selectors.EVENT_READ)
    answers.write(json.dumps({"ready": True}) + "\n")
    rest = b""
    while True:
        for key, _events in selector.select():
            data = os.read(key.fd, 65536)
            if key.fd != 0:
                continue
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                answers.write(json.dumps({"pid": _fork(json.loads(line))}) + "\n")
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            code = os.waitstatus_to_exitcode(status)
            answers.write(json.dumps({"ended": pid, "status": code}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
