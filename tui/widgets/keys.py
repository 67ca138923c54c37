"""The last line of every page: the keys that can be pressed now."""

from __future__ import annotations

from typing import NamedTuple

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

# Below this there is room for what the page does alone; ctrl+p opens the palette anyway.
_ROOMY = 100

# In this order.
_PAGE, _FOCUSED, _APP = range(3)


class _Entry(NamedTuple):
    binding: Binding
    enabled: bool
    place: int


class Keys(Static):
    """A key and what it does, for all that can be clicked and pressed; what works everywhere stays
    at the right end, whatever there is no room for.

    Textual's own footer is a widget a key, and they are made anew whenever a page says that
    something may have become possible: 0.1 s each time, in which no key press is answered.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Keys {
        dock: bottom;
        height: 1;
        background: $footer-background;
        color: $footer-description-foreground;
        text-wrap: nowrap;
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._entries: list[_Entry] = []
        self._ends: list[tuple[int, str]] = []

    def on_mount(self) -> None:
        """Hear of every change."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, screen: Screen[object]) -> None:
        found: dict[str, _Entry] = {}
        for key, (node, binding, enabled, _tooltip) in screen.active_bindings.items():
            if binding.show or key == self.app.COMMAND_PALETTE_BINDING:
                place = _PAGE if node is screen else _APP if node is self.app else _FOCUSED
                # One key of those that do the same.
                found.setdefault(binding.action, _Entry(binding, enabled, place))
        entries = sorted(found.values(), key=lambda entry: entry.place)
        if entries != self._entries:
            self._entries = entries
            self._draw()

    def on_resize(self, _event: events.Resize) -> None:
        """Draw for the new width."""
        self._draw()

    def _draw(self) -> None:
        roomy = self.size.width >= _ROOMY
        texts = [
            (entry, self._text(entry, roomy))
            for entry in self._entries
            if roomy or entry.binding.show
        ]
        everywhere = sum(text.cell_length for entry, text in texts if entry.place == _APP)
        room = max(0, self.size.width - everywhere)
        line = Content("").join(text for entry, text in texts if entry.place != _APP)
        line = line.truncate(room, ellipsis=True, pad=True)
        line += Content("").join(text for entry, text in texts if entry.place == _APP)
        self.update(line)
        self._ends = []
        end = 0
        for entry, text in texts:
            # What was cut off begins no earlier than what works everywhere.
            end = max(end, room) if entry.place == _APP else end
            end += text.cell_length
            self._ends.append((end, entry.binding.key))

    def _text(self, entry: _Entry, roomy: bool) -> Content:
        key = self.app.get_key_display(entry.binding)
        # Without colour, what is not bold cannot be pressed.
        key_style, style = ("bold $footer-key-foreground", "") if entry.enabled else ("dim", "dim")
        return Content.assemble(
            (f" {key} ", key_style), (f"{entry.binding.description}{' ' if roomy else ''}", style)
        )

    def on_click(self, event: events.Click) -> None:
        """Press the key that was clicked."""
        key = next((key for end, key in self._ends if event.x < end), None)
        if key is not None:
            self.app.simulate_key(key)
