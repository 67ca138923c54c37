"""``gpubench-tui`` without a command: the console."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from core.cli.parser import Options

if TYPE_CHECKING:
    from tui.app import Console


def execute(options: Options) -> NoReturn:
    """Open the console; the process ends with 0 when it is closed.

    Raises:
        SettingsError: the console's own table of the configuration file is wrong.
        InputError: this is no terminal.
    """
    from core.console_settings import load_console_settings
    from core.errors import InputError

    # `serve` has another driver, over pipes.
    served = "TEXTUAL_DRIVER" in os.environ
    if not served and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError(
            "The console needs a terminal, and this is none.",
            "gpubench-tui --no-ui does the same without one; --help lists the commands.",
        )
    settings = load_console_settings(os.environ, options.config)

    from tui.app import Console

    console = Console(
        settings,
        os.environ,
        lambda: datetime.now(UTC),
        flags=options.flags(),
        config_file=options.config,
    )
    asyncio.run(_run(console))
    # The terminal is as it was, and what goes on has a process of its own. Python would take
    # itself down for 0.1 s to 0.3 s more, and longer when the journal's thread is at work.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(console.return_code or 0)


async def _run(console: Console) -> None:
    # Whoever ends the console this way gets the terminal back too, as after q.
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(
            number, partial(console.exit, return_code=128 + number)
        )
    await console.run_async()
