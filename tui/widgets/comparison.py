"""A comparison as a page: the sections of the reports, the table drawn against the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.content import Content

from core.text import harmless
from tui.widgets.drawing import MUTED
from tui.widgets.endpoint_table import endpoint_lines
from tui.widgets.sections import heading, section_lines

if TYPE_CHECKING:
    from core.report.comparisons import ComparisonReport
    from core.verdict.model import Comparison


def comparison_content(
    report: ComparisonReport, command: Callable[..., str], width: int
) -> Content:
    """Return the whole page for this many cells. ``command`` returns the headless command that
    compares the same two, with further words of it.
    """
    from core.report.comparison_sections import sections
    from core.report.comparison_words import layers_text

    comparison = report.comparison
    parts = [[Content(harmless(comparison.reason)), Content(harmless(layers_text(comparison)))]]
    for section in sections(report):
        lines = section_lines(section, width)
        if section.key == "refusals":
            lines += _remedy(comparison, command)
        elif section.key == "results" and comparison.measurements:
            head = section_lines(replace(section, tables=(), notes=()), width)
            notes = [Content.styled(harmless(note), MUTED) for note in section.notes]
            lines = [*head, Content(""), *endpoint_lines(comparison, width), Content(""), *notes]
        parts.append(lines)
    parts.append([heading("Without the console"), Content(harmless(command()))])
    return Content("\n\n").join(Content("\n").join(lines) for lines in parts)


def _remedy(comparison: Comparison, command: Callable[..., str]) -> list[Content]:
    """Return what to do about refusals."""
    keys = dict.fromkeys(each.key for each in comparison.refusals)
    if len(keys) == len(dict.fromkeys(each.key for each in comparison.allowed)):
        return []
    words = (word for key in keys for word in ("--allow", key))
    return [
        Content("Better: measure again, so that the legs agree. The command with all allowed:"),
        Content(harmless(command(*words))),
    ]
