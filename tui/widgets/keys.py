"""The last line of every page: the keys that can be pressed now."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Footer

# Below this there is room for the keys alone, one space between them.
_ROOMY = 100


class Keys(Footer):
    """Textual's footer, built anew only when other keys are to be shown.

    Textual itself does it whenever a page says that something may have become possible, and pages
    say so some times a second: each time 0.1 s in which no key press is answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[tuple[Binding, bool]] = []

    def bindings_changed(self, screen: Screen[object]) -> None:
        """Show the keys, if they are others than before."""
        shown = [
            (active.binding, active.enabled)
            for active in screen.active_bindings.values()
            if active.binding.show
        ]
        # Without the focus Textual shows nothing new, and is told again when the focus is back.
        if screen.app.app_focus:
            if shown == self._shown:
                return
            self._shown = shown
        super().bindings_changed(screen)

    def on_resize(self, event: events.Resize) -> None:
        """Make room for the keys on a narrow terminal; ctrl+p opens the palette anyway."""
        roomy = event.size.width >= _ROOMY
        if roomy != self.show_command_palette:
            self.compact = not roomy
            self.show_command_palette = roomy
            self.call_after_refresh(self.recompose)
