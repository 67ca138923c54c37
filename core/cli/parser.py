"""The command line's grammar. Imports argparse and hardly more: --help must be quick."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from core import __version__
from core.cli.completing import complete_result, complete_run
from core.cli.flags import ACCOUNT_FLAGS, COMMON_FLAGS, ROLE_FLAGS, RUN_FLAGS
from core.cli.parser_parts import (
    add_common,
    add_json,
    add_quiet,
    add_run,
    add_settings,
    add_verb,
)
from core.cli.parser_verdicts import add_verdicts
from core.text import harmless

_DESCRIPTION = "Measures what a hypervisor layer really costs a GPU workload."
_EXIT_CODES = (
    "exit codes: 0 done (compare: within target), 1 the work failed, 2 wrong input, 3 exceeds "
    "target, 4 inconclusive or refused, 5 something may be left, 130 interrupted. stdout is data, "
    "stderr is for people."
)


class Options(argparse.Namespace):
    """The parsed command line."""

    verb: str | None = None
    no_ui: bool = False
    module: str = ""
    config: str | None = None
    quiet: bool = False
    events: bool = False
    detach: bool = False
    run: str = "latest"
    format: str = "text"
    shell: str = ""
    name: str | None = None
    follow: bool = False
    item: str = ""
    other: str | None = None
    output: str | None = None
    force: bool = False
    yes: str | None = None
    dry_run: bool = False
    host: str = "127.0.0.1"
    port: int | None = None
    registry_user: str | None = None
    registry_password_stdin: bool = False
    each: str | None = None
    subject: str | None = None
    every: bool = False
    of_run: str | None = None
    images: bool = False
    first: str = ""
    second: str = ""
    target_overhead: str = "5%"
    allow: list[str] | None = None
    noise: list[str] | None = None
    same: bool = False
    baseline: list[str] | None = None
    xen: list[str] | None = None
    blocks: int | None = None
    looks: str | None = None
    calibration: int | None = None
    resume: str | None = None

    def flags(self) -> dict[str, Any]:
        """Return the settings that were given as flags."""
        return {name: getattr(self, name, None) for name in (*RUN_FLAGS, *COMMON_FLAGS)}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; argparse would print the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {harmless(message)} (--help lists what there is)\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(prog="gpubench-tui", description=_DESCRIPTION, epilog=_EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"gpubench-tui {__version__}")
    parser.add_argument(
        "--no-ui", action="store_true", help="run the command without the console (for scripts)"
    )
    add_common(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", title="commands")

    _add_runs(verbs)
    _add_ends(verbs)
    add_verdicts(verbs)
    _add_readings(verbs)
    _add_surroundings(verbs)
    return parser


def build_execute_parser() -> argparse.ArgumentParser:
    """Return the grammar of the run's own process: not for people, so no help and no completion
    names it.
    """
    parser = _Parser(prog="gpubench-tui")
    parser.add_argument("verb", type=lambda word: word.removeprefix("_"))
    parser.add_argument("run")
    parser.add_argument("--results-dir", required=True)
    parser.add_argument("--state-dir", required=True)
    return parser


def _add_runs(verbs: Any) -> None:
    """The verbs that start runs, go on with them and fetch what they found."""
    run = add_verb(verbs, "run", "measure: preflight, job, results", module="run")
    add_settings(run, RUN_FLAGS)
    run.add_argument("--detach", action="store_true", help="return at once with the run's id")
    add_quiet(run)

    follow = add_verb(verbs, "follow", "attach to a run, live or finished, and replay its events")
    add_run(follow)
    add_quiet(follow)

    run.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan, its commands and the Job as YAML, and start nothing",
    )
    run.add_argument(
        "--each",
        metavar="LABEL",
        help="one run for each value that this label has on the cluster's nodes",
    )

    rerun = add_verb(verbs, "rerun", "run it again: same settings, same plan, same cluster")
    add_run(rerun, required=True)
    rerun.add_argument("--detach", action="store_true", help="return at once with the new run's id")
    add_quiet(rerun)

    resume = add_verb(verbs, "resume", "go on with a run, or a teardown, whose process was killed")
    add_run(resume, required=True)
    resume.add_argument("--detach", action="store_true", help="return at once with the run's id")
    add_quiet(resume)

    collect = add_verb(verbs, "collect", "fetch results that are still in a run's pod")
    add_run(collect, required=True)
    add_quiet(collect)


def _add_ends(verbs: Any) -> None:
    """The verbs that end runs and remove what they left."""
    stop = add_verb(verbs, "stop", "interrupt a run; what had finished stays")
    add_run(stop, required=True)

    teardown = add_verb(verbs, "teardown", "end a run and remove all that it left, with proof")
    add_run(teardown, required=True)
    teardown.add_argument(
        "--yes", metavar="NAME", help="the name to type when something that costs money goes"
    )
    teardown.add_argument(
        "--dry-run", action="store_true", help="print what would be removed, and change nothing"
    )
    add_json(teardown, "that as one JSON object")
    add_quiet(teardown)

    _add_sweep(
        add_verb(verbs, "sweep", "find what runs left in a Google Cloud project, and remove it")
    )


def _add_sweep(sweep: argparse.ArgumentParser) -> None:
    add_settings(sweep, {name: RUN_FLAGS[name] for name in ACCOUNT_FLAGS})
    sweep.add_argument(
        "--all", dest="every", action="store_true", help="also what is not overdue yet"
    )
    sweep.add_argument("--run", dest="of_run", metavar="RUN", help="only what this run left")
    sweep.add_argument("--images", action="store_true", help="also what holds images and builds")
    sweep.add_argument(
        "--dry-run", action="store_true", help="only list, whatever else is asked for"
    )
    sweep.add_argument(
        "--yes", action="store_const", const="yes", help="remove; without it they are only listed"
    )
    add_json(sweep, "as one JSON object")


def _add_readings(verbs: Any) -> None:
    """The verbs that tell what a run was and found."""
    add_json(add_verb(verbs, "runs", "list the runs"), "one JSON object a line")

    show = add_verb(verbs, "show", "print a run's per-scenario table, or two runs compared")
    _add_show(show)

    cost = add_verb(verbs, "cost", "tell what past runs cost, or what one was billed for")
    argument = cost.add_argument(
        "run", nargs="?", default="", help="a run's id or its beginning (default: list them all)"
    )
    argument.completer = complete_run  # type: ignore[attr-defined]
    add_json(cost, "as one JSON object")

    describe = add_verb(verbs, "describe", "tell of a run's Job, pods, nodes and their events")
    add_run(describe)
    add_json(describe, "as one JSON object")

    logs = add_verb(verbs, "logs", "print a run's log")
    add_run(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")


def _add_surroundings(verbs: Any) -> None:
    """The verbs about this machine, the program and its files."""
    machine = add_verb(verbs, "machine", "tell what this machine is and has")
    add_json(machine, "one JSON object a line")

    image = add_verb(verbs, "image", "build the benchmark image, or build and push it")
    image.add_argument("item", choices=("build", "push"), help="push builds what is not there")
    add_settings(image, {name: RUN_FLAGS[name] for name in ("image", "base_image")})
    image.add_argument("--registry-user", metavar="NAME", help="who pushes (default: Docker's)")
    image.add_argument(
        "--registry-password-stdin", action="store_true", help="read the password from stdin"
    )
    add_quiet(image)

    permissions = add_verb(
        verbs, "permissions", "print the Kubernetes Role that runs need, as YAML"
    )
    add_settings(permissions, {name: RUN_FLAGS[name] for name in ROLE_FLAGS})
    permissions.add_argument(
        "--subject", metavar="USER", help="whom to bind it to: a user, or NAMESPACE:SERVICEACCOUNT"
    )

    config = add_verb(verbs, "config", "tell each setting and where it came from")
    config.add_argument(
        "item", choices=("show", "reference"), help="show: values; reference: what each means"
    )
    add_json(config, "as JSON")
    add_settings(config, RUN_FLAGS)

    profile = add_verb(verbs, "profile", "print a shipped profile, to start one's own from")
    profile.add_argument("name", nargs="?", help="its name; without one: list them")

    schema = add_verb(verbs, "schema", "print the JSON Schema of a file")
    schema.add_argument("item", choices=("result",), help="which file")

    serve = add_verb(verbs, "serve", "show the console in a browser of this machine")
    serve.add_argument(
        "--host", default="127.0.0.1", help="a loopback address (default: %(default)s)"
    )
    serve.add_argument("--port", type=int, help="its port (default: 8000, or a free one)")

    completion = add_verb(verbs, "completion", "print the shell's completion script")
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")


def _add_show(parser: argparse.ArgumentParser) -> None:
    for name, words in (
        ("run", "(default: the latest run)"),
        ("other", "to compare with it: positive overheads mean that this one is worse"),
    ):
        argument = parser.add_argument(
            name,
            nargs="?",
            default="latest" if name == "run" else None,
            help=f"a run's id or its beginning, a leg, or a result file {words}",
        )
        argument.completer = complete_result  # type: ignore[attr-defined]
    formats = parser.add_mutually_exclusive_group()
    for name in ("json", "markdown", "csv", "html"):
        formats.add_argument(
            f"--{name}", dest="format", action="store_const", const=name, help=f"as {name}"
        )
    parser.add_argument(
        "--output", metavar="FILE", help="write it there; its ending names the format"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it is there")
