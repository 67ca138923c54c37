"""One definition a command: its key, its footer label, its palette entry, its line of help and the
headless command that does the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a person can do with a key."""

    id: str
    """``place.verb``; the user's keymap names it."""
    key: str
    label: str
    """For the footer."""
    help: str
    """For the palette and the help page: one line."""
    headless: str = ""
    """The headless command, with ``{run}`` for the run; empty for what only concerns the screen."""
    footer: bool = True

    @property
    def action(self) -> str:
        """The Textual action."""
        return self.id.partition(".")[2]

    def binding(self) -> Binding:
        """Return it for Textual."""
        return Binding(
            self.key, self.action, self.label, show=self.footer, tooltip=self.help, id=self.id
        )


EVERYWHERE = (
    Command("app.start_run", "r", "Run", "Start a run", "run"),
    Command(
        "app.teardown",
        "T",
        "Teardown",
        "Remove everything that a run left, with proof",
        "teardown {run}",
    ),
    Command("app.show_help", "question_mark", "Help", "Keys, commands and their headless forms"),
    Command("app.quit", "q", "Quit", "Close the console; runs go on"),
)

RUNS = (
    Command("runs.open", "enter", "Open", "Open the run", "follow {run}", footer=False),
    Command("runs.results", "i", "Results", "Figures, plots and evidence of the run", "show {run}"),
    Command("runs.mark", "space", "Mark", "Mark a run as the first leg of a diff", footer=False),
    Command(
        "runs.diff",
        "d",
        "Diff",
        "This run against the marked one, else the latest baseline",
        "compare {baseline} {run}",
    ),
    Command("runs.stop", "x", "Stop", "Interrupt the run; what had finished stays", "stop {run}"),
)

RUN = (
    Command("run.results", "i", "Results", "Figures, plots and evidence", "show {run}"),
    Command(
        "run.diff", "d", "Diff", "This run against the latest baseline", "compare {baseline} {run}"
    ),
    Command("run.stop", "x", "Stop", "Interrupt the run; what had finished stays", "stop {run}"),
    Command(
        "run.rerun",
        "R",
        "Re-run",
        "Run it again with the same settings and plan; its old Job is removed first",
        "rerun {run}",
        footer=False,
    ),
    Command(
        "run.resume",
        "U",
        "Resume",
        "Go on with a run, or a teardown, whose process was killed",
        "resume {run}",
        footer=False,
    ),
    Command(
        "run.form",
        "A",
        "Alter",
        "Open the form with this run's settings",
        "{command}",
        footer=False,
    ),
    Command(
        "run.collect",
        "C",
        "Collect",
        "Fetch results that are still in the run's pod",
        "collect {run}",
        footer=False,
    ),
    Command("run.pager", "p", "Pager", "Open the log in $PAGER", "logs {run}", footer=False),
    Command("run.copy_command", "c", "Copy", "Copy a command for what is on screen"),
    Command(
        "run.describe",
        "D",
        "Describe",
        "Describe the run's Job, pod and nodes, its process or its cluster",
        "describe {run}",
        footer=False,
    ),
    Command(
        "run.system_pods",
        "K",
        "NVIDIA pods",
        "The NVIDIA pods of kube-system, with kubectl",
        footer=False,
    ),
    Command("run.zoom", "z", "Zoom log", "Give the log the whole screen, and back", footer=False),
    Command("run.pane_1", "1", "Stages", "Show the stages", footer=False),
    Command("run.pane_2", "2", "Measurement", "Show the measurements and the plan", footer=False),
    Command("run.pane_3", "3", "Machine and cost", "Show telemetry and cost", footer=False),
    Command("run.pane_4", "4", "Log", "Show the log", footer=False),
    Command("run.back", "escape", "Back", "Back to the list of runs"),
)

RESULTS = (
    Command(
        "results.diff",
        "d",
        "Diff",
        "This run against the latest baseline",
        "compare {baseline} {run}",
    ),
    Command(
        "results.export",
        "E",
        "Export",
        "Write the results as Markdown, CSV, JSON or HTML",
        "show {run} --html --output FILE",
    ),
    Command("results.copy_command", "c", "Copy", "Copy the headless command"),
    Command("results.pane_1", "1", "Figures", "Show the figures", footer=False),
    Command("results.pane_2", "2", "Plots", "Show the plots", footer=False),
    Command("results.pane_3", "3", "Evidence", "Show attestation and environment", footer=False),
    Command("results.pane_4", "4", "Files", "Show the raw files", footer=False),
    Command("results.back", "escape", "Back", "Back to where you came from"),
)

DIFF = (
    Command("diff.swap", "s", "Swap", "Swap the two legs"),
    Command(
        "diff.write",
        "w",
        "Write",
        "Write the verdict's reports: Markdown, JSON and HTML",
        "compare {baseline} {run}",
    ),
    Command(
        "diff.export",
        "E",
        "Export",
        "Write the diff as one file: Markdown, CSV, JSON, HTML or text",
        "show {baseline} {run} --html --output FILE",
    ),
    Command("diff.copy_command", "c", "Copy", "Copy the headless command"),
    Command("diff.back", "escape", "Back", "Back to where you came from"),
)

START = (
    Command("start.start", "ctrl+s", "Start", "Start the run", "run"),
    Command("start.copy_command", "f2", "Copy", "Copy the headless command"),
    Command("start.more", "f3", "More", "Show every setting, and back"),
    Command("start.close", "escape", "Back", "Start nothing"),
)

TEARDOWN = (
    Command("teardown.copy_command", "c", "Copy", "Copy the commands for what is left"),
    Command("teardown.close", "escape", "Close", "Close the page; what was begun goes on"),
)

OUTPUT = (
    Command("output.copy_command", "c", "Copy", "Copy the commands"),
    Command("output.again", "f5", "Again", "Ask again"),
    Command("output.close", "escape", "Back", "Back to where you came from"),
)

ALL = {
    "Everywhere": EVERYWHERE,
    "List of runs": RUNS,
    "Dashboard of a run": RUN,
    "Results": RESULTS,
    "Diff": DIFF,
    "Form": START,
    "Teardown": TEARDOWN,
    "Describe": OUTPUT,
}


def bindings(commands: tuple[Command, ...]) -> list[Binding]:
    """Return them for a screen's BINDINGS."""
    return [command.binding() for command in commands]
