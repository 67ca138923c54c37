"""The command palette: what is possible on this page now, each with what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider


class Commands(Provider):
    """Offers the bindings of the focused widget, its screen and the app that can be used now."""

    async def discover(self) -> Hits:
        """Offer everything while nothing is typed."""
        for binding, action in self._possible():
            yield DiscoveryHit(
                binding.description, action, help=binding.tooltip or None, text=binding.description
            )

    async def search(self, query: str) -> Hits:
        """Offer what fits the query."""
        matcher = self.matcher(query)
        for binding, action in self._possible():
            score = matcher.match(f"{binding.description} {binding.tooltip}")
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(binding.description),
                    action,
                    help=binding.tooltip or None,
                )

    def _possible(self) -> Iterator[tuple[Binding, Callable[[], Awaitable[bool]]]]:
        seen = set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            # Only commands have ids; the rest is how widgets work.
            if not active.enabled or not binding.id or binding.id in seen:
                continue
            seen.add(binding.id)
            yield binding, partial(self.app.run_action, binding.action, active.node)
