"""The first line of every page: where one is, and how it stands there."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from core.text import harmless


class Title(Static):
    """Where one is, and what must be known at once."""

    def __init__(self) -> None:
        super().__init__(markup=False, id="title")

    def show(self, *parts: Content | str) -> None:
        """Show these parts, the program's name before them."""
        line: list[Content | tuple[str, str] | str] = [("gpubench", "bold $primary")]
        for part in parts:
            line += [("  ", ""), harmless(part) if isinstance(part, str) else part]
        self.update(Content.assemble(*line))


class Banner(Static):
    """What cannot be used, as long as it cannot."""

    def __init__(self) -> None:
        super().__init__(markup=False, id="banner")

    def show(self, sentence: str) -> None:
        """Show a sentence; nothing where there is none."""
        self.display = bool(sentence)
        self.update(Content(harmless(sentence)))
