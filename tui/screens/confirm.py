"""A question whose safe answer has the focus."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from core.text import harmless

if TYPE_CHECKING:
    from core.run.journal import Run
    from tui.app import Console


class ConfirmScreen(ModalScreen[bool]):
    """Asks; escape and enter both mean no until the other button is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "no", "No"),
        Binding("y", "yes", "Yes"),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, question: str, detail: str, yes: str) -> None:
        super().__init__(classes="dialog")
        self._question = question
        self._detail = detail
        self._yes = yes

    def compose(self) -> ComposeResult:
        """Lay the question out."""
        with Vertical(classes="box"):
            yield Static(self._question, markup=False, classes="box-title")
            yield Static(self._detail, markup=False)
            with Horizontal(classes="buttons"):
                yield Button("No (n)", id="no")
                yield Button(f"{self._yes} (y)", id="yes", variant="error")

    def on_mount(self) -> None:
        """Focus what changes nothing."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _answer(self, message: Button.Pressed) -> None:
        self.dismiss(message.button.id == "yes")

    def action_no(self) -> None:
        """Change nothing."""
        self.dismiss(False)

    def action_yes(self) -> None:
        """Do it."""
        self.dismiss(True)


def stop_run(console: Console, run: Run) -> None:
    """Interrupt a run, once it was confirmed."""

    def answered(yes: bool | None) -> None:
        if yes:
            console.say(f"Stopping {run.id} ...")
            console.headless(["stop", run.id])

    console.push_screen(
        ConfirmScreen(
            "Stop the run?",
            f"{harmless(run.id)}\nWhat had finished stays; what is under way is lost.",
            "Stop it",
        ),
        answered,
    )
