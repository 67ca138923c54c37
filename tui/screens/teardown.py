"""Teardown: what there is, what it costs, in which order it goes; then the proof of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from core.text import harmless
from tui.commands import TEARDOWN, bindings
from tui.messages import HeadlessAnswered
from tui.page import Page
from tui.widgets.drawing import MUTED, mark, money

if TYPE_CHECKING:
    from core.run.events import TeardownFinished
    from core.run.journal import Run
    from core.run.teardown import TeardownPlan
    from core.run.view import ResourceView, RunView


# Where a proof begins, below the name of what it is about.
_PROOF = 4


class TeardownScreen(Page):
    """Asks, starts the teardown as a headless command, and follows it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(TEARDOWN)]

    def __init__(self, run: Run) -> None:
        super().__init__(classes="dialog")
        self._run = run
        self._plan: TeardownPlan | None = None
        self._asked = False
        self._problem = ""
        self._before: TeardownFinished | None = None

    def compose(self) -> ComposeResult:
        """Lay the page out."""
        with Vertical(classes="box wide"):
            yield Static(f"Teardown of {harmless(self._run.id)}", markup=False, classes="box-title")
            with VerticalScroll(id="teardown-list"):
                yield Static("Reading the journal ...", markup=False, id="teardown-text")
            yield Input(id="confirmation", placeholder="")
            with Horizontal(classes="buttons"):
                yield Button("Close", id="close")
                yield Button("Tear down", id="do", variant="error", disabled=True)

    def on_mount(self) -> None:
        """Focus what changes nothing."""
        self.query_one("#confirmation").display = False
        self.query_one("#close").focus()
        self.console_app.follow(self._run.id)
        self.state_changed()

    def state_changed(self) -> None:
        """Show what there is, or how far the teardown is."""
        followed = self.state.followed
        if followed is None or followed.run_id != self._run.id or not followed.complete:
            return
        from core.run.teardown import teardown_plan

        found = self.state.run_named(self._run.id)
        run, state = found if found is not None else (self._run, self._run.state)
        self._plan = teardown_plan(followed.view, run, state)
        view = followed.view
        # One that ended before this page asked is history.
        ended = self._asked and view.torn_down is not self._before
        if view.tearing_down or ended or self._asked:
            self._show_progress(view, ended=ended)
        else:
            self._show_plan(self._plan)
        self._enable()

    def _show_plan(self, plan: TeardownPlan) -> None:
        name = plan.confirmation
        box = self.query_one("#confirmation", Input)
        box.display = bool(name)
        box.placeholder = f"type {harmless(name)} to confirm"
        if not plan.removals:
            lines = [
                Content("Nothing is left of this run, as far as its journal says."),
                Content.styled("Tear down asks again and writes the proof down.", MUTED),
            ]
        else:
            lines = [Content("This is removed, in this order:"), Content("")]
            lines += [
                _removal(number, removal) for number, removal in enumerate(plan.removals, start=1)
            ]
            cost = (
                f"together {money(plan.usd_per_hour)} per hour while it stands"
                if plan.usd_per_hour
                else "None of it costs money."
            )
            lines += [Content(""), Content(cost)]
            if spent := self._spent():
                lines.append(Content.styled(f"so far {spent}", MUTED))
            if name:
                lines.append(Content.styled(f"Type {harmless(name)} to confirm.", "$text-warning"))
        command = self.console_app.command_line(*plan.arguments)
        lines.append(Content.styled(f"= {harmless(command)}", MUTED))
        self.query_one("#teardown-text", Static).update(Content("\n").join(lines))

    def _spent(self) -> str:
        """Return what the run has cost so far; empty where nothing tells of it."""
        followed = self.state.followed
        cost = followed.billing.cost(self.console_app.clock()) if followed is not None else None
        return cost.text if cost is not None else ""

    @on(Input.Changed)
    def _enable(self) -> None:
        plan = self._plan
        typed = self.query_one("#confirmation", Input).value
        allowed = plan is not None and typed == plan.confirmation and not self._asked
        self.query_one("#do", Button).disabled = not allowed

    @on(Input.Submitted)
    @on(Button.Pressed, "#do")
    def _do(self) -> None:
        plan = self._plan
        typed = self.query_one("#confirmation", Input).value
        if plan is None or self._asked or typed != plan.confirmation:
            return
        self._asked = True
        self.query_one("#do", Button).disabled = True
        self.query_one("#confirmation").display = False
        self.query_one("#close").focus()
        followed = self.state.followed
        self._before = followed.view.torn_down if followed is not None else None
        self.console_app.headless(list(plan.arguments), self)
        self.state_changed()

    def on_headless_answered(self, message: HeadlessAnswered) -> None:
        """Say why it could not begin; what came of it is in the journal."""
        message.stop()
        if message.code not in (0, 5):
            self._problem = message.sentence
        if self.is_whole:
            self.state_changed()

    def _show_progress(self, view: RunView, *, ended: bool) -> None:
        proofs = {f"{kind} {name}": proof for (kind, name), proof in view.proofs.items()}
        width = self.query_one("#teardown-list").scrollable_content_region.width or 60
        lines = [
            _removed(resource, proofs.get(resource, ""), ended=ended, width=width)
            for resource in (view.teardown.resources if view.teardown else ())
        ]
        if self._problem:
            lines.append(Content.styled(self._problem, "$text-error"))
        elif not ended or view.torn_down is None:
            lines.append(Content("Removing ... the run's journal keeps what is done."))
            if not self._asked:
                lines.append(
                    Content.styled("Somebody began it; beginning it once more is harmless.", MUTED)
                )
        elif view.torn_down.left:
            lines += [
                Content(""),
                Content.styled("This could not be proved gone:", "bold $text-error"),
            ]
            for left in view.torn_down.left:
                lines += [
                    Content(harmless(f"{left.kind} {left.name}: {left.reason}")),
                    Content.styled(f"  {harmless(left.delete_command)}", "bold"),
                ]
            lines.append(Content.styled("c copies the commands", MUTED))
        else:
            lines += [Content(""), Content.styled("✓ Nothing is left.", "bold $success")]
            if spent := self._spent():
                lines.append(
                    Content.styled(f"The run cost {spent.removeprefix('so far ')}.", MUTED)
                )
        shown = self.query_one("#teardown-text", Static)
        said = Content("\n").join(lines)
        if not isinstance(shown.content, Content) or not said.is_same(shown.content):
            shown.update(said)
            # What came last stands at the end, and may be below what a small screen shows.
            place = self.query_one("#teardown-list")
            self.call_after_refresh(place.scroll_end, animate=False)

    def action_copy_command(self) -> None:
        """Copy the commands for what is left, else the teardown's own."""
        followed = self.state.followed
        ended = followed.view.torn_down if followed is not None else None
        if ended is not None and ended.left:
            text = "\n".join(left.delete_command for left in ended.left)
        else:
            words = self._plan.arguments if self._plan is not None else ()
            text = self.console_app.command_line(*words)
        self.console_app.copy(text, "the command")

    @on(Button.Pressed, "#close")
    def action_close(self) -> None:
        """Close the page; a teardown that was started goes on."""
        self.app.pop_screen()

    def run_on_screen(self) -> Run | None:
        """Return the run."""
        return self._run


def _removal(number: int, removal: ResourceView) -> Content:
    intended = removal.intended
    cost = f"{money(intended.usd_per_hour)}/h" if intended.usd_per_hour else "free"
    return Content.assemble(
        f"{number:>3}. ",
        (harmless(f"{intended.kind} {intended.name}"), "bold"),
        f"  {cost}  ",
        (harmless(intended.location), MUTED),
    )


def _removed(resource: str, proof: str, *, ended: bool, width: int) -> Content:
    """Return what is removed and, once it is gone, who says so, in lines of ``width`` cells."""
    state = "done" if proof else "failed" if ended else "running"
    name = Content.assemble(mark(state), " ", (harmless(resource), "bold"))
    lines = [name, *Content(harmless(proof)).wrap(max(20, width - _PROOF))] if proof else [name]
    first, *rest = lines
    if len(rest) == 1 and first.cell_length + 2 + rest[0].cell_length <= width:
        return Content.assemble(first, "  ", rest[0])
    return Content("\n").join([first, *(Content(" " * _PROOF) + line for line in rest)])
