"""``completion``: what a shell needs to complete commands, flags and run ids."""

from __future__ import annotations

from core.cli.parser import Options


def execute(options: Options) -> int:
    """Print the script for ``eval`` or the shell's completion folder."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["gpubench-tui"], shell=options.shell))
    return 0
