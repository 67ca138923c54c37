"""The dashboard of one run: stages, measurement, machine, cost and log."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Tab, Tabs

from core.errors import ExitCode
from core.text import harmless
from tui.commands import RUN, bindings
from tui.log.panel import LogPanel
from tui.log.view import LogView
from tui.messages import HeadlessAnswered
from tui.page import NARROW, Page
from tui.screens.run_words import commands_about, ending, head
from tui.widgets.cost_panel import CostPanel
from tui.widgets.keys import Keys
from tui.widgets.machine_panels import TelemetryPanel
from tui.widgets.measurement_panel import MeasurementPanel
from tui.widgets.plan_panel import PlanPanel
from tui.widgets.stage_panel import StagePanel
from tui.widgets.title import Banner, Title

if TYPE_CHECKING:
    from core.run.journal import Run
    from core.run.view import RunView
    from tui.state import Followed

_PANES = ("stages", "measurement", "machine", "log")
# The least that the machine's pane takes beside the stages, and what a stage takes without parts:
# two lines of border, one where they have to be saved, its state, and a bar or a summary.
_MACHINE_LINES = 6
_STAGE_LINES = 4
# The parts' least lines, for all of which there need not be room: the pane scrolls.
_LEAST_ROOM = 6


class Dashboard(Horizontal):
    """All of the page but its head: what it has room for depends on what the head says."""

    @dataclass
    class Resized(Message):
        """It has another size now."""

    def on_resize(self, _event: events.Resize) -> None:
        """Tell the page."""
        self.post_message(self.Resized())


class RunScreen(Page):
    """Follows one run."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(RUN)]
    AUTO_FOCUS = "LogView"

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._asked = ""
        """The headless verb whose answer is awaited."""
        self._new_run = ""
        """The id of the run that a re-run started, until it is in the list."""

    def compose(self) -> ComposeResult:
        """Lay the page out; a narrow terminal shows one pane at a time."""
        yield Title()
        yield Banner()
        yield Tabs(
            Tab("1 Stages", id="tab-stages"),
            Tab("2 Measurement", id="tab-measurement"),
            Tab("3 Machine, cost", id="tab-machine"),
            Tab("4 Log", id="tab-log"),
            id="panes",
        )
        with Dashboard(id="dashboard"):
            with Vertical(id="facts"):
                yield VerticalScroll(id="pane-stages", can_focus=True)
                with VerticalScroll(id="pane-machine", can_focus=True):
                    yield TelemetryPanel()
                    yield CostPanel()
            with Vertical(id="main"):
                with VerticalScroll(id="pane-measurement", can_focus=True):
                    yield MeasurementPanel()
                    yield PlanPanel()
                with Vertical(id="pane-log"):
                    yield LogPanel()
        yield Keys()

    def on_mount(self) -> None:
        """Follow the run and its log."""
        from core.run.log import LOG_FILE

        self.add_class("show-stages")
        self.query_one(Banner).show("")
        self.query_one(LogPanel).open(self._run.folder / LOG_FILE, self._run.id)
        self.set_interval(1.0, self._tick)
        self.state_changed()
        if self.app.size.width < NARROW:
            # The log, which has the focus elsewhere, is behind a tab.
            self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        # Who was quicker has chosen a pane already.
        if self.query_one(Tabs).active == "tab-stages":
            self._activate("stages")

    def on_screen_resume(self) -> None:
        """Follow this run again, wherever one has been meanwhile."""
        self._followed()
        self.state_changed()

    def _followed(self) -> Followed:
        return self.console_app.follow(self._run.id)

    @on(Dashboard.Resized)
    def _fit(self) -> None:
        """Give the stages the room that there is now."""
        self.call_after_refresh(self.state_changed)

    def _tick(self) -> None:
        followed = self.state.followed
        if self.is_current and followed is not None and followed.at_work:
            self.state_changed()

    def state_changed(self) -> None:
        """Show the run as it is now."""
        followed = self.state.followed
        if followed is None or followed.run_id != self._run.id or not self.is_whole:
            return
        if self._open_new_run():
            return
        self.query_one(Banner).show(self.state.refusal or followed.trouble or ending(followed))
        narrow = self.app.size.width < NARROW
        self.query_one(Title).show(*head(self._run, followed, self.console_app.clock(), narrow))
        self._show_stages(followed)
        self._show_figures(followed)
        self.query_one(LogPanel).broken_streams = {
            source: record.reason for source, record in followed.view.broken_streams.items()
        }
        self.refresh_bindings()

    def _show_figures(self, followed: Followed) -> None:
        now = self.console_app.clock()
        view = followed.view
        measurement = self.query_one(MeasurementPanel)
        # Until there is something to measure the plan has its place.
        measurement.display = bool(view.forecast is None or view.total or view.measurements)
        self.set_class(view.forecast is not None, "planned")
        if view.forecast is not None:
            self.query_one("#tab-measurement", Tab).label = "2 Plan, measurement"
        measurement.show(followed)
        self.query_one(PlanPanel).show(followed, now)
        self.query_one(TelemetryPanel).show(followed)
        self.query_one(CostPanel).show(followed, now)

    def _show_stages(self, followed: Followed) -> None:
        pane = self.query_one("#pane-stages")
        now = self.console_app.clock()
        room = self._room_for_parts(followed.view)
        wanted = None
        for stage, view in followed.view.stages.items():
            found = pane.query(f"#stage-{stage}").results(StagePanel)
            panel = next(iter(found), None)
            if panel is None:
                panel = StagePanel(str(stage))
                pane.mount(panel)
            if panel.show(followed, view, now, room):
                wanted = panel
        if wanted is not None:
            # Only when something begins or comes to wait: who scrolled stays there otherwise.
            self.call_after_refresh(self._reveal, wanted)

    def _reveal(self, panel: StagePanel) -> None:
        if self.is_whole and panel.is_attached:
            self.query_one("#pane-stages").scroll_to_widget(panel, animate=False)

    def _room_for_parts(self, view: RunView) -> int:
        """Return about how many lines the parts of each stage that shows some can have."""
        narrow = self.app.size.width < NARROW
        height = self.query_one("#dashboard").size.height
        left, showing = height - (0 if narrow else _MACHINE_LINES), 0
        for stage in view.stages.values():
            idle = stage.state in ("waiting", "done")
            left -= _STAGE_LINES - (stage.state == "waiting") - (narrow and idle)
            showing += stage.state != "done" and bool(stage.parts)
        return max(_LEAST_ROOM, left // max(1, showing))

    # Panes of a narrow terminal.

    @on(Tabs.TabActivated)
    def _show_pane(self, message: Tabs.TabActivated) -> None:
        self._pane(str(message.tab.id).removeprefix("tab-"))

    def _pane(self, name: str) -> None:
        for other in _PANES:
            self.set_class(other == name, f"show-{other}")
        if name == "log":
            self.query_one(LogView).focus()

    def _activate(self, name: str) -> None:
        if name != "log":
            self.remove_class("zoomed")
        self.query_one(Tabs).active = f"tab-{name}"
        self._pane(name)
        # The arrow keys are the pane's then.
        self.query_one("LogView" if name == "log" else f"#pane-{name}").focus()

    def action_pane_1(self) -> None:
        """Show the stages."""
        self._activate("stages")

    def action_pane_2(self) -> None:
        """Show the measurements."""
        self._activate("measurement")

    def action_pane_3(self) -> None:
        """Show telemetry and cost."""
        self._activate("machine")

    def action_pane_4(self) -> None:
        """Show the log."""
        self._activate("log")

    def action_zoom(self) -> None:
        """Give the log everything, and back."""
        self._activate("log")
        self.toggle_class("zoomed")

    # Commands.

    def action_back(self) -> None:
        """Go back to the list."""
        if self.has_class("zoomed"):
            self.remove_class("zoomed")
        else:
            self.app.pop_screen()

    def action_results(self) -> None:
        """Open the results."""
        from tui.screens.results import ResultsScreen

        self.app.push_screen(ResultsScreen(self._run))

    def action_diff(self) -> None:
        """Open the diff against the latest baseline."""
        self.open_diff(self.baseline_for(self._run), self._run)

    def action_stop(self) -> None:
        """Interrupt the run, once it was confirmed."""
        from tui.screens.confirm import stop_run

        stop_run(self.console_app, self._run)

    def action_rerun(self) -> None:
        """Run it again, once it was confirmed, and go on to the new run."""
        from tui.screens.confirm import ConfirmScreen

        followed = self._followed()
        old = "" if followed.view.target == "local" else " What it left there is removed first."
        self.app.push_screen(
            ConfirmScreen(
                "Run it again?",
                f"{harmless(self._run.id)}\nA new run with the same settings and plan starts."
                f"{old}\n= {harmless(self.console_app.command_line('rerun', self._run.id))}",
                "Run it",
            ),
            lambda yes: self._ask("rerun", "--detach") if yes else None,
        )

    def action_resume(self) -> None:
        """Go on with a run, or a teardown, whose process was killed."""
        self.console_app.say("Taking the run up again ...")
        self._ask("resume", "--detach")

    def action_collect(self) -> None:
        """Fetch the results that are still in the run's pod."""
        self.console_app.say("Collecting the results ...")
        self._ask("collect", "--quiet")

    def _ask(self, verb: str, *flags: str) -> None:
        self._asked = verb
        self.console_app.headless([verb, self._run.id, *flags], self)
        self.refresh_bindings()

    def on_headless_answered(self, message: HeadlessAnswered) -> None:
        """Say what came of it; the rest is in the journal."""
        message.stop()
        asked, self._asked = self._asked, ""
        if asked == "collect" and message.code == ExitCode.CLEANUP_INCOMPLETE:
            self.console_app.warn("The results are collected; T removes what may be left.")
        elif message.code != 0:
            self.console_app.warn(message.sentence)
        elif asked == "collect":
            self.console_app.say("The results are collected.")
        elif asked == "resume":
            self.console_app.say("The run goes on where it was.")
        elif words := message.out.split():
            self._new_run = words[-1]
        if self.is_whole:
            self.state_changed()

    def _open_new_run(self) -> bool:
        """Go to the run that was started as soon as it is in the journal."""
        found = self.state.run_named(self._new_run) if self._new_run else None
        if found is None or not self.is_current:
            return False
        self._new_run = ""
        self.app.switch_screen(RunScreen(found[0]))
        return True

    def action_form(self) -> None:
        """Open the form with this run's settings."""
        from tui.screens.start import StartScreen

        followed = self._followed()
        self.app.push_screen(StartScreen(followed.view.command))

    def action_pager(self) -> None:
        """Open the log in $PAGER, the console waiting behind it."""
        from core.run.log import LOG_FILE
        from tui.pager import open_in_pager

        problem = open_in_pager(self.app, self._run.folder / LOG_FILE, os.environ)
        if problem:
            self.console_app.warn(problem)

    def action_copy_command(self) -> None:
        """Choose among the commands for what is on screen, and copy one."""
        from core.report.equivalents import equivalents
        from tui.screens.choose import ChooseScreen

        found = equivalents(self._followed().view)
        options = [
            (
                entry.label,
                self.console_app.command_line(*entry.command)
                if entry.own
                else shlex.join(entry.command),
            )
            for entry in found
        ]
        self.app.push_screen(ChooseScreen("Copy a command", options))

    def action_describe(self) -> None:
        """Show the run's Job, pod and nodes, its process, or its cluster."""
        self._show_equivalents("describe")

    def action_system_pods(self) -> None:
        """Show the NVIDIA pods of kube-system."""
        self._show_equivalents("system pods")

    def _show_equivalents(self, kind: str) -> None:
        from tui.screens.output import OutputScreen

        if found := commands_about(kind, self._followed().view):
            self.app.push_screen(OutputScreen(found))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what is impossible now."""
        followed = self.state.followed
        if followed is None or followed.run_id != self._run.id:
            return True
        if action == "results":
            return True if followed.view.result_file else None
        if action == "diff":
            first = self.baseline_for(self._run)
            return True if followed.view.result_file and first is not None else None
        if action == "stop":
            return True if followed.running else None
        if action == "form":
            return True if followed.view.command else None
        if action in ("rerun", "collect"):
            possible = followed.collectable if action == "collect" else not followed.running
            return True if possible and not self._asked else None
        if action == "resume":
            return True if followed.resumable and not self._asked else None
        if action in ("describe", "system_pods"):
            kind = "describe" if action == "describe" else "system pods"
            return bool(commands_about(kind, followed.view)) or None
        return True

    def run_on_screen(self) -> Run | None:
        """Return the run."""
        return self._run
