"""What the log panel says about its log, in its titles and in its bar."""

from __future__ import annotations

from bisect import bisect_left

from tui.log.feed import Feed
from tui.log.index import LogState
from tui.log.search import Search


def standing(feed: Feed | None, *, marking: bool, following: bool) -> str:
    """Return which lines are in view, and whether they move."""
    if feed is None:
        return ""
    parts = [f"source {feed.source_name}" if feed.source else "all sources"]
    if feed.only_matches and feed.search is not None:
        parts.append("matches only")
    parts.append("marking" if marking else "following" if following else "paused")
    return " · ".join(parts)


def counts(feed: Feed | None, *, reading: bool) -> str:
    """Return how many lines and errors there are, and how much was read while it is read."""
    if feed is None:
        return ""
    in_view, count, errors = len(feed.lineup), feed.index.count, len(feed.index.errors)
    text = counted(count, "line")
    if in_view != count:
        text = f"{in_view:,} of {text}"
    if errors:
        text += f" · {counted(errors, 'error')}"
    if reading and feed.reading < 1:
        text += f" · reading {feed.reading * 100:.0f} %"
    return text


def empty(feed: Feed | None) -> str:
    """Return what to say where lines would be."""
    if feed is None:
        return "No log is open."
    if feed.index.state is LogState.UNREADABLE and not feed.index.count:
        return feed.index.sentence
    if not feed.index.count:
        return "No log lines yet."
    if feed.search is not None and not feed.search.done:
        return "No line matches yet; searching."
    return "No line matches."


def outcome(search: Search, current: int | None) -> str:
    """Return what a search has come to; ``current``: the line that was gone to last."""
    count = len(search.matches)
    text = counted(count, "match", "matches") if count else "no match"
    if current is not None:
        place = bisect_left(search.matches, current)
        if place < count and search.matches[place] == current:
            text = f"match {place + 1:,} of {count:,}"
    return text if search.done else f"{text}, {search.progress * 100:.0f} % searched"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {many or one + 's'}"
