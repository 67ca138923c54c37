"""What several verbs of the command line have alike."""

from __future__ import annotations

import argparse
from typing import Any

from core.cli.completing import complete_run
from core.cli.flags import COMMON_FLAGS, SWITCHES


def add_json(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the flag that asks for JSON; ``text`` says what of."""
    parser.add_argument("--json", dest="format", action="store_const", const="json", help=text)


def add_verb(
    verbs: Any, name: str, text: str, module: str | None = None
) -> argparse.ArgumentParser:
    """Add a verb with the flags that every verb takes, and the module that executes it."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=f"{text}.")
    parser.set_defaults(module=module or name)
    add_common(parser)
    # Also after the command, where people put it.
    parser.add_argument("--no-ui", action="store_true", help=argparse.SUPPRESS)
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what can be said before and after the verb."""
    # Without defaults: a command's own would hide what was given before it.
    parser.add_argument("--config", default=argparse.SUPPRESS, help="configuration file (TOML)")
    for name, text in COMMON_FLAGS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", dest=name, default=argparse.SUPPRESS, help=text
        )


def add_settings(parser: argparse.ArgumentParser, flags: dict[str, str]) -> None:
    """Add settings as flags, each with its help."""
    for name, text in flags.items():
        # Said alone, a switch means yes; with a value it can also take one back.
        switch: dict[str, Any] = {"nargs": "?", "const": "yes"} if name in SWITCHES else {}
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, help=text, **switch)


def add_run(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add the run that a verb is about."""
    argument = parser.add_argument(
        "run",
        nargs=None if required else "?",
        default=None if required else "latest",
        help="a run's id or its beginning" + ("" if required else " (default: the latest)"),
    )
    argument.completer = complete_run  # type: ignore[attr-defined]


def add_quiet_only(parser: argparse.ArgumentParser) -> None:
    """Add the flag that leaves stderr empty."""
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add the flags of verbs that tell what happens."""
    add_quiet_only(parser)
    parser.add_argument(
        "--events",
        action="store_true",
        help="print the events on stdout even where it is the terminal of the live display",
    )
