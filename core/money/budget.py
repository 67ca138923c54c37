"""A run's limits in dollars and time, and when it has to stop so that it keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

WARNINGS = (0.5, 0.8, 0.95)
"""Shares of the budget at which somebody is told."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a run stands against its limits."""

    stop: str | None
    """Why it has to stop now, in a sentence; None: it may go on."""
    warning: float | None
    """The highest share of the budget that was reached and not told yet."""
    share: float | None
    """Of the budget, what would be spent if the run were torn down now. None: no budget."""
    stops_at: datetime | None
    """When it has to stop if it goes on at this rate; None where nothing ever stops it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may cost and until when everything of it must be gone."""

    limit_usd: float | None = None
    deadline: datetime | None = None
    warnings: tuple[float, ...] = WARNINGS

    def judge(
        self,
        *,
        spent: float,
        rate: float,
        teardown_s: float,
        teardown_usd: float,
        now: datetime,
        poll_s: float = 0.0,
        warned: float = 0.0,
    ) -> Judgement:
        """Return whether the run may go on until it is asked again.

        Both limits include the teardown: everything that is billed now is taken to be billed at
        ``rate`` (dollars an hour) until the next look in ``poll_s`` and for the whole teardown of
        ``teardown_s``, plus ``teardown_usd`` for what the teardown costs beyond that. Shares are of
        this sum, so that all of them are told before the run is stopped at the whole. ``warned`` is
        the highest share that was told before.
        """
        reserve_s = poll_s + teardown_s
        total = spent + rate * reserve_s / 3600 + teardown_usd
        share = None if self.limit_usd is None else _share(total, self.limit_usd)
        reached = [
            level for level in self.warnings if share is not None and warned < level <= share
        ]
        return Judgement(
            stop=self._out_of_money(total, spent) or self._out_of_time(now, reserve_s),
            warning=max(reached, default=None),
            share=share,
            stops_at=self._stops_at(total, rate, reserve_s, now),
        )

    def _out_of_money(self, total: float, spent: float) -> str | None:
        if self.limit_usd is None or total < self.limit_usd:
            return None
        return (
            f"The budget of ${self.limit_usd:.2f} is reached: ${spent:.4f} is spent, and with the "
            f"teardown it would be ${total:.4f}."
        )

    def _out_of_time(self, now: datetime, reserve_s: float) -> str | None:
        if self.deadline is None or now + timedelta(seconds=reserve_s) < self.deadline:
            return None
        return (
            f"The deadline {self.deadline:%Y-%m-%d %H:%M:%S %Z} is reached: the teardown takes up "
            f"to {reserve_s / 60:.0f} min."
        )

    def _stops_at(
        self, total: float, rate: float, reserve_s: float, now: datetime
    ) -> datetime | None:
        ends = []
        if self.limit_usd is not None and (rate > 0 or total >= self.limit_usd):
            left_s = max(0.0, (self.limit_usd - total) * 3600 / rate) if rate > 0 else 0.0
            # Beyond any run, and a date has an end.
            if left_s < timedelta(days=3650).total_seconds():
                ends.append(now + timedelta(seconds=left_s))
        if self.deadline is not None:
            ends.append(max(now, self.deadline - timedelta(seconds=reserve_s)))
        return min(ends, default=None)


def _share(total: float, limit: float) -> float:
    # A budget of nothing is used up by anything.
    return total / limit if limit > 0 else 1.0
