"""The keys of the log panel."""

from __future__ import annotations

from textual.binding import Binding

from tui.log.feed import Feed

KEYS: list[Binding] = [
    Binding("slash", "search", "Search", id="log.search", tooltip="Search by regular expression"),
    Binding(
        "ampersand",
        "filter",
        "Filter",
        id="log.filter",
        tooltip="Show only the lines that match, or all lines again",
    ),
    Binding(
        "n",
        "next_match",
        "Next",
        id="log.next_match",
        tooltip="Go to the next line that matches",
    ),
    Binding(
        "N",
        "previous_match",
        "Previous",
        id="log.previous_match",
        show=False,
        tooltip="Go to the previous line that matches",
    ),
    Binding("w", "wrap", "Wrap", id="log.wrap", tooltip="Wrap long lines, or cut them"),
    Binding(
        "t",
        "timestamps",
        "Times",
        id="log.timestamps",
        show=False,
        tooltip="Show or hide the time of each line (UTC)",
    ),
    Binding(
        "o",
        "source",
        "Source",
        id="log.source",
        tooltip="Show the next source alone; after the last one, all",
    ),
    Binding(
        "e", "first_error", "First error", id="log.first_error", tooltip="Go to the first error"
    ),
    Binding(
        "f,G",
        "follow",
        "Follow",
        id="log.follow",
        tooltip="Go to the end of the log and stay there",
    ),
    Binding(
        "v",
        "mark",
        "Mark",
        id="log.mark",
        show=False,
        tooltip="Begin to mark lines, move to mark more; again to end it",
    ),
    Binding(
        "y",
        "copy",
        "Copy",
        id="log.copy",
        show=False,
        tooltip="Copy the marked lines, or those on the screen",
    ),
    Binding(
        "s",
        "save",
        "Save",
        id="log.save",
        show=False,
        tooltip="Save the marked lines, or the whole log, to a file",
    ),
    Binding(
        "escape",
        "close",
        "Close",
        id="log.close",
        show=False,
        tooltip="Unmark, or end the search, or close the bar",
    ),
]

ACTIONS = [binding.action for binding in KEYS]


def is_possible(action: str, feed: Feed | None, *, following: bool) -> bool:
    """Return whether a key can do anything now."""
    if action in ("wrap", "timestamps"):
        return True
    if feed is None:
        return False
    match action:
        case "next_match" | "previous_match":
            return feed.search is not None and len(feed.search.matches) > 0
        case "first_error":
            return len(feed.index.errors) > 0
        case "source":
            return len(feed.index.sources) > 0
        case "follow":
            return feed.index.count > 0 and not following
        case "copy" | "save" | "mark":
            return feed.index.count > 0
        case _:
            return True
