"""``gpubench-tui`` without a command: the console."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

from core.cli.parser import Options


def execute(options: Options) -> int:
    """Open the console and return 0 when it is closed.

    Raises:
        SettingsError: the console's own table of the configuration file is wrong.
        InputError: this is no terminal.
    """
    from core.console_settings import load_console_settings
    from core.errors import InputError

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
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
    console.run()
    return console.return_code or 0
