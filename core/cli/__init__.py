"""The command line: one thin module a verb. stdout is data, stderr is for people, the exit code is
the verdict.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, cast

from core.cli.parser import Options, build_execute_parser, build_parser

_ONLY_WITH_SCREEN = ("serve",)


class _Verb(Protocol):
    def execute(self, options: Options) -> int: ...


def main(
    arguments: Sequence[str] | None = None, screens: Mapping[str, str] = MappingProxyType({})
) -> int:
    """Run the command line and return the exit code.

    ``screens`` names the modules of the commands that have a screen: "" is no command at all.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = build_execute_parser() if given[:1] == ["_execute"] else build_parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(given, namespace=Options())
    module = "" if options.no_ui and options.verb is None else screens.get(options.verb or "", "")
    if options.verb is None and not module:
        parser.print_help(sys.stderr)
        print("\nName a command; without --no-ui the console opens.", file=sys.stderr)
        return 2
    if not module and options.verb in _ONLY_WITH_SCREEN:
        parser.error(f"{options.verb} is the console's: gpubench-tui {options.verb}")
    # Only the verb's own module is imported: --help must not pay for any of them.
    name = module or f"core.cli.{options.module or options.verb}"
    verb = cast(_Verb, importlib.import_module(name))
    try:
        code = _execute(verb, options)
        # Here, where a reader that went away is expected, and not at the interpreter's end.
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader went away (`| head`); Python would complain once more at its own end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130


def _execute(verb: _Verb, options: Options) -> int:
    from benchmark.errors import ProblemError
    from core.text import harmless

    try:
        return verb.execute(options)
    except ProblemError as problem:
        print(f"gpubench-tui: {harmless(str(problem))}", file=sys.stderr)
        return problem.exit_code
