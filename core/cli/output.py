"""Events on stdout and words on stderr, for what follows no run process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from core.cli.following import Plain, Silent
from core.cli.parser import Options
from core.run.events import Event


class Output:
    """Events on stdout, words on stderr. A reader that goes away stops neither."""

    def __init__(self, options: Options) -> None:
        self._display = Silent() if options.quiet else Plain()
        self._events = options.events or options.quiet or not sys.stdout.isatty()

    def take(self, line: str, event: Event) -> None:
        """Show one event; ``line`` is what the journal stores of it."""
        if self._events:
            try:
                print(line, flush=True)
            except OSError:
                _to_nowhere(1)
        try:
            self._display.show(event)
        except OSError:
            _to_nowhere(2)


@contextlib.contextmanager
def outliving_the_terminal() -> Iterator[None]:
    """Go on when the terminal goes away: half a teardown must not be left standing."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
