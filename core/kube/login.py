"""Address and credentials from a kubeconfig into the client's configuration."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from core.kube.errors import KubeconfigError
from core.text import harmless

_NO_CONTEXT = "kubectl config get-contexts lists what there is; name one with --context."
_NO_LOGIN = "Log in again as for kubectl; kubectl --context {context} get pods must work."


LIMIT_S = 60.0
"""How long a login program may take; one that asks a person something waits for ever."""


async def log_in(
    kubeconfig: str, context: str, configuration: Any, *, limit_s: float = LIMIT_S
) -> None:
    """Read the kubeconfig, run its login program if it has one, and set ``configuration``.

    Raises:
        KubeconfigError: it cannot be read, lacks something, or its login program failed or did not
            end within ``limit_s`` seconds.
    """
    from kubernetes.aio import config

    load: Any = config.load_kube_config
    limit = asyncio.timeout(limit_s)
    with _complaints() as complaints:
        try:
            async with limit, _ending_with_us():
                await load(
                    config_file=kubeconfig,
                    context=context,
                    client_configuration=configuration,
                    persist_config=False,
                )
        except Exception as error:
            if limit.expired():
                reason = f"its login program did not end within {limit_s:g} s"
                remedy = _NO_LOGIN.format(context=context)
                raise _unusable(kubeconfig, context, reason, remedy) from error
            # The loader raises whatever its parts do: ConfigException, KeyError, YAML's, OSError.
            raise _unusable(kubeconfig, context, _last_line(error), _NO_CONTEXT) from error
    if complaints:
        raise _unusable(kubeconfig, context, complaints[-1], _NO_LOGIN.format(context=context))
    if not configuration.host:
        raise _unusable(kubeconfig, context, "its cluster has no server", _NO_CONTEXT)


@asynccontextmanager
async def _ending_with_us() -> AsyncIterator[None]:
    """Kill a login program that is not waited for any longer: the loader leaves it behind."""
    try:
        yield
    except asyncio.CancelledError as error:
        # It is in the loader's own frames and nowhere else.
        for frame, _line in traceback.walk_tb(error.__traceback__):
            for program in frame.f_locals.values():
                if isinstance(program, asyncio.subprocess.Process) and program.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        program.kill()
                    await program.wait()
        raise


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what the loader only logs: a login program that failed is no exception there."""
    logger = logging.getLogger("kubernetes.aio.config.kube_config")
    said: list[str] = []
    task = asyncio.current_task()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # Others may log in at the same time.
            if asyncio.current_task() is task:
                said.append(record.getMessage())

    collector = Collector(logging.ERROR)
    logger.addHandler(collector)
    try:
        yield said
    finally:
        logger.removeHandler(collector)


def _unusable(kubeconfig: str, context: str, reason: str, remedy: str) -> KubeconfigError:
    said = harmless(reason).strip().rstrip(".")
    return KubeconfigError(
        f"Context {harmless(context)} cannot be used from {harmless(kubeconfig)}: {said}.", remedy
    )


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
