"""The command line's grammar. Imports argparse and hardly more: --help must be quick."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from core import __version__
from core.cli.completing import complete_result, complete_run
from core.cli.flags import ACCOUNT_FLAGS, COMMON_FLAGS, ROLE_FLAGS, RUN_FLAGS, SWITCHES
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
    _add_common(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", title="commands")

    _add_runs(verbs)
    _add_verdicts(verbs)
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
    """The verbs that start runs and end them."""
    run = _add(verbs, "run", "measure: preflight, job, results", module="run")
    _add_settings(run, RUN_FLAGS)
    run.add_argument("--detach", action="store_true", help="return at once with the run's id")
    _add_quiet(run)

    follow = _add(verbs, "follow", "attach to a run, live or finished, and replay its events")
    _add_run(follow)
    _add_quiet(follow)

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

    rerun = _add(verbs, "rerun", "run it again: same settings, same plan, same cluster")
    _add_run(rerun, required=True)
    rerun.add_argument("--detach", action="store_true", help="return at once with the new run's id")
    _add_quiet(rerun)

    resume = _add(verbs, "resume", "go on with a run, or a teardown, whose process was killed")
    _add_run(resume, required=True)
    resume.add_argument("--detach", action="store_true", help="return at once with the run's id")
    _add_quiet(resume)

    collect = _add(verbs, "collect", "fetch results that are still in a run's pod")
    _add_run(collect, required=True)
    _add_quiet(collect)

    stop = _add(verbs, "stop", "interrupt a run; what had finished stays")
    _add_run(stop, required=True)

    teardown = _add(verbs, "teardown", "end a run and remove all that it left, with proof")
    _add_run(teardown, required=True)
    teardown.add_argument(
        "--yes", metavar="NAME", help="the name to type when something that costs money goes"
    )
    teardown.add_argument(
        "--dry-run", action="store_true", help="print what would be removed, and change nothing"
    )
    _add_json(teardown, "that as one JSON object")
    _add_quiet(teardown)

    _add_sweep(_add(verbs, "sweep", "find what runs left in a Google Cloud project, and remove it"))


def _add_sweep(sweep: argparse.ArgumentParser) -> None:
    _add_settings(sweep, {name: RUN_FLAGS[name] for name in ACCOUNT_FLAGS})
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
    _add_json(sweep, "as one JSON object")


def _add_verdicts(verbs: Any) -> None:
    """The verbs that compare legs."""
    compare = _add(verbs, "compare", "baseline against another layer: the verdict and its reports")
    for name, words in (
        ("first", "the leg that is measured against"),
        ("second", "the other one"),
    ):
        argument = compare.add_argument(
            name, metavar=name.upper(), help=f"{words}: a run, a leg, a result file or a folder"
        )
        argument.completer = complete_result  # type: ignore[attr-defined]
    _add_target_overhead(compare)
    compare.add_argument(
        "--output",
        metavar="FILE",
        help="the Markdown report; JSON and HTML go beside it (default: results/comparison.md)",
    )
    compare.add_argument(
        "--allow",
        metavar="KEY",
        action="append",
        help="compare although KEY differs; marked, and never within target",
    )
    compare.add_argument(
        "--noise",
        nargs=2,
        metavar=("RUN", "RUN"),
        help="the noise floor: the same leg measured twice (A/A)",
    )
    compare.add_argument(
        "--same", action="store_true", help="A/A: both are the same leg; is the noise below target?"
    )
    _add_json(compare, "print the comparison as one JSON object")
    _add_quiet_only(compare)

    study = _add(
        verbs, "study", "measure both legs in interleaved blocks until the verdict is sure"
    )
    for name in ("baseline", "xen"):
        study.add_argument(
            f"--{name}",
            metavar="NAME=VALUE",
            action="append",
            help=f"a setting of the {name} leg alone, for instance runtime_class=xen",
        )
    study.add_argument("--blocks", type=int, help="of each leg at most (default: 10)")
    study.add_argument(
        "--looks", metavar="N,N", help="look after so many blocks (default: half, all)"
    )
    study.add_argument(
        "--calibration", type=int, metavar="N", help="pairs of A/A first; 0: none (default: 5)"
    )
    _add_target_overhead(study)
    study.add_argument(
        "--allow", metavar="KEY", action="append", help="as compare has it: never within target"
    )
    study.add_argument(
        "--resume", nargs="?", const="latest", metavar="STUDY", help="go on with an interrupted one"
    )
    study.add_argument("--dry-run", action="store_true", help="print the plan and start nothing")
    _add_settings(study, {name: text for name, text in RUN_FLAGS.items() if name != "leg"})
    _add_quiet(study)

    history = _add(verbs, "history", "one plan's runs over time; what changed beyond the noise")
    argument = history.add_argument(
        "run",
        nargs="?",
        default="latest",
        help="a run or leg whose plan it is (default: the latest)",
    )
    argument.completer = complete_result  # type: ignore[attr-defined]
    _add_json(history, "as one JSON object")


def _add_target_overhead(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target-overhead",
        metavar="PERCENT",
        help="what the overhead must be below (default: 5%%)",
    )


def _add_readings(verbs: Any) -> None:
    """The verbs that tell what a run was and found."""
    _add_json(_add(verbs, "runs", "list the runs"), "one JSON object a line")

    show = _add(verbs, "show", "print a run's per-scenario table, or two runs compared")
    _add_show(show)

    cost = _add(verbs, "cost", "tell what past runs cost, or what one was billed for")
    argument = cost.add_argument(
        "run", nargs="?", default="", help="a run's id or its beginning (default: list them all)"
    )
    argument.completer = complete_run  # type: ignore[attr-defined]
    _add_json(cost, "as one JSON object")

    describe = _add(verbs, "describe", "tell of a run's Job, pods, nodes and their events")
    _add_run(describe)
    _add_json(describe, "as one JSON object")

    logs = _add(verbs, "logs", "print a run's log")
    _add_run(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")


def _add_surroundings(verbs: Any) -> None:
    """The verbs about this machine, the program and its files."""
    machine = _add(verbs, "machine", "tell what this machine is and has")
    _add_json(machine, "one JSON object a line")

    image = _add(verbs, "image", "build the benchmark image, or build and push it")
    image.add_argument("item", choices=("build", "push"), help="push builds what is not there")
    _add_settings(image, {name: RUN_FLAGS[name] for name in ("image", "base_image")})
    image.add_argument("--registry-user", metavar="NAME", help="who pushes (default: Docker's)")
    image.add_argument(
        "--registry-password-stdin", action="store_true", help="read the password from stdin"
    )
    _add_quiet(image)

    permissions = _add(verbs, "permissions", "print the Kubernetes Role that runs need, as YAML")
    _add_settings(permissions, {name: RUN_FLAGS[name] for name in ROLE_FLAGS})
    permissions.add_argument(
        "--subject", metavar="USER", help="whom to bind it to: a user, or NAMESPACE:SERVICEACCOUNT"
    )

    config = _add(verbs, "config", "tell each setting and where it came from")
    config.add_argument(
        "item", choices=("show", "reference"), help="show: values; reference: what each means"
    )
    _add_json(config, "as JSON")
    _add_settings(config, RUN_FLAGS)

    profile = _add(verbs, "profile", "print a shipped profile, to start one's own from")
    profile.add_argument("name", nargs="?", help="its name; without one: list them")

    schema = _add(verbs, "schema", "print the JSON Schema of a file")
    schema.add_argument("item", choices=("result",), help="which file")

    serve = _add(verbs, "serve", "show the console in a browser of this machine")
    serve.add_argument(
        "--host", default="127.0.0.1", help="a loopback address (default: %(default)s)"
    )
    serve.add_argument("--port", type=int, help="its port (default: 8000, or a free one)")

    completion = _add(verbs, "completion", "print the shell's completion script")
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")


def _add_json(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--json", dest="format", action="store_const", const="json", help=text)


def _add(verbs: Any, name: str, text: str, module: str | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=f"{text}.")
    parser.set_defaults(module=module or name)
    _add_common(parser)
    # Also after the command, where people put it.
    parser.add_argument("--no-ui", action="store_true", help=argparse.SUPPRESS)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    # Without defaults: a command's own would hide what was given before it.
    parser.add_argument("--config", default=argparse.SUPPRESS, help="configuration file (TOML)")
    for name, text in COMMON_FLAGS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", dest=name, default=argparse.SUPPRESS, help=text
        )


def _add_settings(parser: argparse.ArgumentParser, flags: dict[str, str]) -> None:
    for name, text in flags.items():
        # Said alone, a switch means yes; with a value it can also take one back.
        switch: dict[str, Any] = {"nargs": "?", "const": "yes"} if name in SWITCHES else {}
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, help=text, **switch)


def _add_run(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    argument = parser.add_argument(
        "run",
        nargs=None if required else "?",
        default=None if required else "latest",
        help="a run's id or its beginning" + ("" if required else " (default: the latest)"),
    )
    argument.completer = complete_run  # type: ignore[attr-defined]


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


def _add_quiet_only(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    _add_quiet_only(parser)
    parser.add_argument(
        "--events",
        action="store_true",
        help="print the events on stdout even where it is the terminal of the live display",
    )
