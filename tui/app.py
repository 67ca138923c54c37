"""The app: one reader of the journal, the pages, and what works everywhere."""

from __future__ import annotations

import gc
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, work
from textual.app import App
from textual.binding import BindingType
from textual.filter import LineFilter, NoColor
from textual.worker import Worker, WorkerState

from core.console_settings import ConsoleSettings
from core.text import harmless
from tui import messages
from tui.background import Answer, RunCommand, command_answer, headless_command
from tui.billing import Billing
from tui.commands import EVERYWHERE, bindings
from tui.journal_reader import POLL_S, JournalReader
from tui.keymap import check_keys
from tui.notifications import Notifier
from tui.page import NARROW, Page
from tui.palette import Commands
from tui.screens.runs import RunsScreen
from tui.state import ConsoleState, Followed
from tui.themes import THEMES, default_theme

if TYPE_CHECKING:
    from core.report.costs import RunCost
    from core.run.journal import Run
    from core.targets.machine import Finding

# The screen shows five states a second; more is noise, and repainting costs more than events.
_SHOW_EVERY_S = 0.2
# A longer sentence would cover the page that it is about.
_LONGEST_NOTICE = 400


class Console(App[int]):
    """Follows the journal; every work is a headless command in a process of its own."""

    TITLE = "gpubench"
    CSS_PATH = str(files("styles") / "console.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(EVERYWHERE)]
    COMMANDS = App.COMMANDS | {Commands}
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-narrow"),
        (NARROW, "-wide"),
        (170, "-very-wide"),
    ]

    def __init__(
        self,
        settings: ConsoleSettings,
        environment: Mapping[str, str],
        clock: Callable[[], datetime],
        *,
        flags: Mapping[str, Any] | None = None,
        config_file: str | None = None,
        poll_s: float = POLL_S,
        run_command: RunCommand = command_answer,
        look_at_machine: Callable[[Mapping[str, str]], tuple[Finding, ...]] | None = None,
    ) -> None:
        """``look_at_machine`` answers what the first page says; by default it looks."""
        super().__init__()
        self.clock = clock
        self.environment = dict(environment)
        self.flags = {name: value for name, value in (flags or {}).items() if value is not None}
        self.config_file = config_file
        self.state = ConsoleState(clock())
        self.console_settings = settings
        self.run_command = run_command
        self.look_at_machine = look_at_machine
        self._reader = JournalReader(
            self.flags, environment, config_file, self.post_message, clock, poll_s
        )
        self._notifier = Notifier(self, settings.notify)
        self._changed = False
        self._followings = 0

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Take every colour away under NO_COLOR; Textual alone would leave shades of grey."""
        filters = super().get_line_filters()
        return [*filters, NoColor()] if self.no_color else filters

    async def on_event(self, event: events.Event) -> None:
        """Take an event in; what is pasted must not steer the terminal that shows it."""
        if isinstance(event, events.AppFocus | events.AppBlur):
            self._notifier.focus_is_told = True
        if isinstance(event, events.Paste):
            event.text = "\n".join(map(harmless, event.text.splitlines()))
        await super().on_event(event)

    def on_mount(self) -> None:
        """Show the first page, then look at the journal."""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = default_theme(self.console_settings.theme, self.available_themes)
        if self.theme != self.console_settings.theme:
            self.warn(f"There is no theme {self.console_settings.theme!r}; {self.theme} is shown.")
        good, wrong = check_keys(self.console_settings.keys)
        self.set_keymap(good)
        for sentence in wrong:
            self.warn(sentence)
        self.push_screen(RunsScreen())
        self.set_interval(_SHOW_EVERY_S, self._show)
        # After the first frame: what the thread imports would hold it up.
        self.call_after_refresh(self._reader.start)

    def on_unmount(self) -> None:
        """Let the reader end by itself."""
        self._reader.end()

    # What the reader told.

    def on_settings_loaded(self, message: messages.SettingsLoaded) -> None:
        """Remember the settings."""
        self.state.settings = message.settings
        self._changed = True

    def on_refused(self, message: messages.Refused) -> None:
        """Say what cannot be used; everything else goes on."""
        self.state.refusal = f"{message.sentence} {message.remedy}".strip()
        self._changed = True

    def on_runs_read(self, message: messages.RunsRead) -> None:
        """Take in the list of runs."""
        if self.state.runs is None:
            # Everything is imported by now and stays: a collection that goes through all of it
            # takes 40 ms, and comes beside repaints.
            gc.freeze()
        followed = self.state.followed
        for run, state in message.runs:
            before = self.state.run_named(run.id)
            # The followed run's own events say more.
            if followed is not None and followed.run_id == run.id:
                continue
            if state.ended and before is not None and not before[1].ended:
                self._notifier.ring(f"Run {run.id}: {state}")
        self.state.runs, self.state.spent = message.runs, message.spent
        self.state.refusal = ""
        self._changed = True

    def _followed(self, number: int) -> Followed | None:
        followed = self.state.followed
        return followed if followed is not None and followed.number == number else None

    def on_followed_anew(self, message: messages.FollowedAnew) -> None:
        """Forget what was read of the followed run: its journal is another file."""
        from core.run.view import RunView

        if (followed := self._followed(message.number)) is not None:
            followed.view = RunView()
            followed.samples.clear()
            followed.billing = Billing()
            followed.state, followed.complete, followed.trouble = None, False, ""
            self._changed = True

    def on_events_read(self, message: messages.EventsRead) -> None:
        """Take in events of the followed run."""
        if (followed := self._followed(message.number)) is not None:
            for event in message.events:
                followed.view.apply(event)
                followed.billing.take(event)
                if event.record.event == "measurement_progressed":
                    followed.samples.append(event.record)  # type: ignore[arg-type]
                if text := self._notifier.hear(event, self.state.started_at):
                    self.warn(text)
            followed.complete = not message.more
            self._changed = True
        self._reader.taken()

    def on_state_read(self, message: messages.StateRead) -> None:
        """Take in the followed run's state."""
        if (followed := self._followed(message.number)) is not None:
            followed.state = message.state
            followed.complete = True
            self._changed = True

    def on_history_read(self, message: messages.HistoryRead) -> None:
        """Take in how long stages took before."""
        if (followed := self._followed(message.number)) is not None:
            followed.history = message.seconds
            self._changed = True

    def on_following_troubled(self, message: messages.FollowingTroubled) -> None:
        """Take in what of the followed run cannot be read."""
        if (followed := self._followed(message.number)) is not None:
            followed.trouble = message.sentence
            self._changed = True

    def _show(self) -> None:
        if not self._changed:
            return
        self._changed = False
        for screen in self.screen_stack:
            if isinstance(screen, Page) and screen.is_whole:
                screen.state_changed()
        self.screen.refresh_bindings()

    # What pages ask for.

    def follow(self, run_id: str) -> Followed:
        """Read this run's events from now on, from its first; the one already followed stays."""
        from core.run.view import RunView

        followed = self.state.followed
        if followed is None or followed.run_id != run_id:
            self._followings += 1
            followed = self.state.followed = Followed(run_id, self._followings, RunView())
            self._reader.follow(run_id, self._followings)
        return followed

    def say(self, sentence: str) -> None:
        """Show a sentence for some seconds."""
        self.notify(_cut(harmless(sentence)), markup=False)

    def warn(self, sentence: str) -> None:
        """Show a sentence about something that did not work."""
        self.notify(_cut(harmless(sentence)), severity="warning", timeout=10, markup=False)

    def copy(self, text: str, what: str) -> None:
        """Put text on the terminal's clipboard (OSC 52)."""
        self.copy_to_clipboard(text)
        self.say(f"Copied {what}.")

    def command_line(self, *words: str) -> str:
        """Return a headless command as it is typed, with the flags that this console was started
        with: it is about the same journal.
        """
        given = {"config": self.config_file, **self.flags}
        flags = [
            word
            for name, value in given.items()
            if value
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]
        return shlex.join(["gpubench-tui", "--no-ui", *words, *flags])

    def places(self) -> list[str]:
        """Return the flags that lead a headless command to this console's journal, results and
        configuration.
        """
        settings = self.state.settings
        if settings is None:
            return []
        return [
            *(("--config", self.config_file) if self.config_file else ()),
            *("--state-dir", str(settings.state_dir)),
            *("--results-dir", str(settings.results_dir)),
        ]

    def costs_of(self, *run_ids: str) -> list[RunCost | None]:
        """Return what runs cost, None for those of which it is not known. Reads the journal: for a
        thread.
        """
        from core.errors import ProblemError
        from core.report.costs import run_cost
        from core.run.journal import Journal

        settings = self.state.settings
        try:
            journal = Journal.to_read(settings.state_dir) if settings is not None else None
            if journal is None:
                return [None] * len(run_ids)
            with journal:
                return [run_cost(journal, run_id, self.clock()) for run_id in run_ids]
        except ProblemError:
            # Figures stand without their cost; what is wrong with the journal its reader says.
            return [None] * len(run_ids)

    @work(group="headless", exclusive=False, exit_on_error=False)
    async def headless(self, arguments: list[str], asker: Page | None = None) -> None:
        """Run a headless command; who asked gets a ``HeadlessAnswered``, the app when that page is
        closed by then.
        """
        try:
            answer = await self.run_command(headless_command([*arguments, *self.places()]))
        except OSError as error:
            answer = Answer(1, "", f"It could not be started: {error.strerror or error}.")
        self._reader.look()
        message = messages.HeadlessAnswered(answer.code, answer.out, answer.err)
        if asker is None or not asker.is_whole or not asker.post_message(message):
            self.post_message(message)

    def on_headless_answered(self, message: messages.HeadlessAnswered) -> None:
        """Say what no page waits for any more, if it went wrong."""
        if message.code != 0:
            self.warn(message.sentence)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say so when work in the background ended in an error that nobody foresaw."""
        if event.state is WorkerState.ERROR:
            self.warn(f"The console stumbled over {event.worker.group}: {event.worker.error!r}.")

    # Commands that work everywhere.

    def action_start_run(self) -> None:
        """Open the form."""
        from tui.screens.start import StartScreen

        # A page may ask for it before the settings are read, or when they cannot be.
        if self.state.settings is not None and not isinstance(self.screen, StartScreen):
            self.push_screen(StartScreen())

    def action_teardown(self) -> None:
        """Open the teardown of the run that the page is about."""
        from tui.screens.teardown import TeardownScreen

        run = self._run_on_screen()
        if run is not None and not isinstance(self.screen, TeardownScreen):
            self.push_screen(TeardownScreen(run))

    def action_show_help(self) -> None:
        """Open the help page."""
        from tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what is impossible now."""
        if action == "teardown":
            return True if self._run_on_screen() is not None else None
        if action == "start_run":
            return True if self.state.settings is not None else None
        return True

    def _run_on_screen(self) -> Run | None:
        for screen in reversed(self.screen_stack):
            # A page about no run (help, a list to choose from) lies over one that is about one.
            if isinstance(screen, Page) and (run := screen.run_on_screen()) is not None:
                return run
        return None


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_NOTICE else f"{text[: _LONGEST_NOTICE - 1]}…"
