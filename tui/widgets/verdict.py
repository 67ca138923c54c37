"""A verdict's sign, words and colour, and the strip that keeps it on screen."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from core.report.comparison_words import SYMBOLS, allowed_mark, headline
from core.report.comparison_words import verdict_text as verdict_words
from core.text import harmless
from core.verdict.model import Comparison, Verdict

_STYLES = {
    Verdict.WITHIN: "$text-success",
    Verdict.EXCEEDS: "$text-error",
    Verdict.INCONCLUSIVE: "$text-warning",
    Verdict.REFUSED: "$text-error",
}


def verdict_style(verdict: Verdict | None) -> str:
    """Return a verdict's colour."""
    return "" if verdict is None else _STYLES[verdict]


def verdict_text(verdict: Verdict | None, *, allowed: bool = False) -> str:
    """Return a verdict's sign and words. ``allowed``: something was, so it is on a condition."""
    words = verdict_words(verdict, allowed=allowed)
    return words if verdict is None else f"{SYMBOLS[verdict]} {words}"


class VerdictStrip(Static):
    """The verdict and what was allowed for it, wherever on the page one reads."""

    def __init__(self) -> None:
        super().__init__(markup=False, id="verdict")
        self.display = False

    def show(self, found: Comparison | None) -> None:
        """Show a comparison's verdict; nothing where there is none."""
        self.display = found is not None
        for verdict in Verdict:
            is_this = found is not None and verdict is found.verdict
            self.set_class(is_this, f"-{verdict.name.lower()}")
        if found is None:
            return
        words = verdict_text(found.verdict, allowed=bool(found.allowed)).upper()
        text = Content.assemble(
            (words, f"bold {verdict_style(found.verdict)}"),
            f"  {harmless(headline(found))}",
        )
        if mark := allowed_mark(found):
            text += Content.styled(f"\n{harmless(mark)}", "$text-warning")
        self.update(text)
