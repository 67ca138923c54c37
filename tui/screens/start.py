"""The form that starts a run: checked as it is typed, with what it takes and its headless form."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Select, Static

from core.text import duration, harmless
from tui.background import in_background
from tui.commands import START, bindings
from tui.messages import HeadlessAnswered
from tui.page import Page
from tui.screens.form import (
    FIELDS,
    Check,
    Field,
    check_form,
    fields_of_command,
    usual_values,
)
from tui.widgets.drawing import MUTED, money, prices_line
from tui.widgets.keys import Keys
from tui.widgets.plan_panel import expected_content
from tui.widgets.title import Title

if TYPE_CHECKING:
    from core.targets.expectation import Expectation

# Between two keys of a word.
_TYPING_S = 0.15


@dataclass
class FormChecked(Message):
    """The form was checked."""

    check: Check


class StartScreen(Page):
    """Starts a run."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(START)]

    def __init__(self, command: str = "") -> None:
        super().__init__()
        self._given = fields_of_command(command)
        self._usual: dict[str, str] = {}
        self._check: Check | None = None
        self._starting = ""

    def compose(self) -> ComposeResult:
        """Lay the form out."""
        settings = self.state.settings
        assert settings is not None, "the form is opened when the settings are known"
        self._usual = usual_values(settings)
        yield Title()
        with Horizontal(id="form"):
            with VerticalScroll(id="fields", can_focus=False):
                for field in FIELDS:
                    with Horizontal(classes="field", id=f"row-{field.name}"):
                        yield Static(field.label, markup=False, classes="label")
                        yield self._editor(field)
                        yield Static(field.help, markup=False, classes="help")
            with Vertical(id="expectation"):
                yield Static(markup=False, id="check")
                with Horizontal(classes="buttons"):
                    yield Button("Start (ctrl+s)", id="start", variant="primary", disabled=True)
                    yield Button("Back", id="back")
        yield Keys()

    def _editor(self, field: Field) -> Input | Select[str]:
        usual = self._usual[field.name]
        value = harmless(self._given.get(field.name, usual))
        if field.choices:
            options = [(choice, choice) for choice in field.choices]
            chosen = value if value in field.choices else usual
            return Select(
                options,
                prompt=field.placeholder,
                allow_blank=not usual,
                value=chosen or Select.NULL,
                id=f"field-{field.name}",
                compact=True,
            )
        return Input(
            value,
            placeholder=usual or field.placeholder,
            suggester=SuggestFromList(field.suggestions) if field.suggestions else None,
            id=f"field-{field.name}",
            compact=True,
        )

    def on_mount(self) -> None:
        """Check what stands there already."""
        self.query_one(Title).show("start a run")
        target = self._value("target")
        self.query_one("#field-project" if target == "gke" else "#field-leg").focus()
        # A setting that is out of sight must not be part of a run.
        rare = (field.name for field in FIELDS if not field.is_common(target))
        self.set_class(any(name in self._given for name in rare), "all")
        self._show_fields()
        self._check_form()

    def _show_fields(self) -> None:
        """Show what concerns the chosen target."""
        target = self._value("target")
        for field in FIELDS:
            row = self.query_one(f"#row-{field.name}")
            row.set_class(not field.concerns(target), "elsewhere")
            row.set_class(not field.is_common(target), "rare")

    def _value(self, name: str) -> str:
        editor = self.query_one(f"#field-{name}")
        if isinstance(editor, Input):
            return editor.value.strip()
        assert isinstance(editor, Select)
        return "" if editor.value is Select.NULL else str(editor.value)

    def _values(self) -> dict[str, str]:
        target = self._value("target")
        texts = {field.name: self._value(field.name) for field in FIELDS if field.concerns(target)}
        # All that is shown, and not only what differs: the configuration may change meanwhile.
        return {name: text for name, text in texts.items() if text}

    def _command(self) -> str:
        from core.cli.flags import run_arguments

        return self.console_app.command_line(*run_arguments(self._values()))

    @on(Input.Changed)
    @on(Select.Changed)
    def _changed(self) -> None:
        self._check = None
        self._show_fields()
        self.query_one("#start", Button).disabled = True
        self._say(Content.styled("Checking ...", MUTED))
        self._check_form()

    @work(group="check", exclusive=True, exit_on_error=False)
    async def _check_form(self) -> None:
        # Each check is a thread: a word that is typed is one wish.
        await asyncio.sleep(_TYPING_S)
        console = self.console_app
        values = {**console.flags, **self._values()}
        environment, config = console.environment, console.config_file
        check = await in_background(lambda: check_form(values, environment, config))
        self.post_message(FormChecked(check))

    @on(FormChecked)
    def _show_check(self, message: FormChecked) -> None:
        if not self.is_whole:
            return
        check = self._check = message.check
        self.set_class(bool(check.expectation and check.expectation.planned), "planned")
        self._say(*_said(check, self._value("target"), self._room))
        for field in FIELDS:
            wrong = bool(check.problem) and check.names(field.name)
            self.query_one(f"#field-{field.name}").set_class(wrong, "-wrong")
        self.query_one("#start", Button).disabled = bool(check.problem or self._starting)
        self.refresh_bindings()

    @property
    def _room(self) -> int:
        """How many cells the check's lines may have."""
        return max(40, self.query_one("#check").size.width)

    def on_resize(self) -> None:
        """Draw the plan for the new width."""
        if self._check is not None:
            self.call_after_refresh(self.post_message, FormChecked(self._check))

    def _say(self, *lines: Content) -> None:
        """Show what is known of the form, and the command for it."""
        same = (
            Content(""),
            Content.styled("the same without the console (F2 copies it):", MUTED),
            Content(harmless(self._command())),
        )
        self.query_one("#check", Static).update(Content("\n").join([*lines, *same]))

    # Commands.

    @on(Button.Pressed, "#start")
    def action_start(self) -> None:
        """Start the run."""
        from core.cli.flags import run_arguments

        if self._starting or self._check is None or self._check.problem:
            return
        self._starting = "asked"
        self.query_one("#start", Button).disabled = True
        self.console_app.headless([*run_arguments(self._values()), "--detach"], self)

    def on_headless_answered(self, message: HeadlessAnswered) -> None:
        """Go to the run, or say why there is none."""
        message.stop()
        if not self.is_whole:
            return
        if message.code == 0 and message.out.strip():
            self._starting = message.out.split()[-1]
            self.state_changed()
            return
        self._starting = ""
        good = self._check
        self._show_check(FormChecked(Check(message.sentence)))
        # What was in the way may be gone by the next try.
        self._check = good
        self.query_one("#start", Button).disabled = False
        self.refresh_bindings()

    def state_changed(self) -> None:
        """Open the run that was started as soon as it is in the journal."""
        from tui.screens.run import RunScreen

        found = self.state.run_named(self._starting) if self._starting else None
        if found is not None and self.is_current:
            self._starting = ""
            self.app.switch_screen(RunScreen(found[0]))

    def action_copy_command(self) -> None:
        """Copy the headless command."""
        self.console_app.copy(self._command(), "the command")

    def action_more(self) -> None:
        """Show every setting, or the common ones."""
        self.toggle_class("all")

    @on(Button.Pressed, "#back")
    def action_close(self) -> None:
        """Start nothing."""
        self.app.pop_screen()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what is impossible now."""
        if action == "start":
            possible = self._check is not None and not self._check.problem and not self._starting
            return True if possible else None
        return True


def _said(check: Check, target: str, width: int) -> list[Content]:
    """Return what a check found: what is wrong, or what the run takes."""
    expected = check.expectation
    if check.problem or expected is None:
        return [Content.styled(harmless(check.problem), "$text-error")] if check.problem else []
    lines = [
        Content.assemble(("measurements  ", MUTED), f"{expected.measurements}"),
        Content.assemble(
            ("time          ", MUTED),
            (f"about {duration(expected.seconds)}", "bold"),
            f", {harmless(_basis(expected))}",
        ),
        Content.assemble(("cost          ", MUTED), *_cost(expected, target)),
    ]
    if expected.planned is not None:
        lines += [
            Content(""),
            expected_content(expected.planned, width),
            prices_line(expected.planned.source),
        ]
    if check.note:
        lines.append(Content.styled(harmless(check.note), MUTED))
    return lines


def _basis(expected: Expectation) -> str:
    # Where the prices are from is said below the plan.
    return expected.source.partition("; ")[0] if expected.planned else expected.source


def _cost(expected: Expectation, target: str) -> list[str | tuple[str, str]]:
    plan = expected.planned
    if plan is None:
        if expected.usd:
            return [f"about {money(expected.usd)}"]
        return ["nothing is billed" if target == "local" else "not known: the cluster is yours"]
    limit = "" if plan.budget_usd is None else f" of a budget of {money(plan.budget_usd)}"
    if expected.usd is None:
        return [("not known: a price is missing", "$text-warning"), limit.replace(" of", ",")]
    beyond = plan.budget_usd is not None and expected.usd > plan.budget_usd
    found: list[str | tuple[str, str]] = [
        (f"about {money(expected.usd)}", "bold"),
        (limit, "$text-error" if beyond else ""),
    ]
    if plan.deadline_s is not None:
        found.append(f", {duration(plan.deadline_s)} at most")
    return found
