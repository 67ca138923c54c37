"""What exists at Google's and what it costs: the book that tests are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.google.clock import GoogleClock

APART = frozenset({"repository", "image", "bucket", "object"})
"""Kinds that cost next to nothing, and that may be meant to stay."""


@dataclass
class Billed:
    """One thing, from its creation to its end."""

    kind: str
    """cluster, pool, instance, disk, forwarding rule, address, repository, image, bucket, object"""
    name: str
    location: str
    usd_per_hour: float
    created: float
    deleted: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0
    minimum_s: float = 0.0
    detail: str = ""

    def seconds(self, now: float) -> float:
        """How long it was billed."""
        end = now if self.deleted is None else self.deleted
        return max(end - self.created, self.minimum_s if end > self.created else 0.0)

    def usd(self, now: float) -> float:
        return self.usd_per_hour * self.seconds(now) / 3600

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.location})"


class Ledger:
    """All that ever was."""

    def __init__(self, clock: GoogleClock) -> None:
        self._clock = clock
        self.entries: list[Billed] = []
        """In order of creation."""

    def opened(
        self,
        kind: str,
        name: str,
        location: str,
        usd_per_hour: float = 0.0,
        *,
        labels: Mapping[str, str] | None = None,
        gpus: int = 0,
        minimum_s: float = 0.0,
        detail: str = "",
    ) -> Billed:
        entry = Billed(
            *(kind, name, location, usd_per_hour, self._clock.now()),
            labels=dict(labels or {}),
            gpus=gpus,
            minimum_s=minimum_s,
            detail=detail,
        )
        self.entries.append(entry)
        return entry

    def closed(self, entry: Billed) -> None:
        if entry.deleted is None:
            entry.deleted = self._clock.now()

    def standing(self, *, apart: bool = False) -> list[Billed]:
        """What exists now; ``apart``: repositories, images, buckets and objects instead."""
        self._clock.catch_up()
        return [
            entry
            for entry in self.entries
            if entry.deleted is None and (entry.kind in APART) == apart
        ]

    def is_empty(self) -> bool:
        return not self.standing()

    def usd(self, now: float | None = None, *, label: tuple[str, str] | None = None) -> float:
        """The bill so far; ``label``: of what carries it only."""
        self._clock.catch_up()
        moment = self._clock.now() if now is None else now
        return sum(
            entry.usd(moment)
            for entry in self.entries
            if label is None or entry.labels.get(label[0]) == label[1]
        )

    def gpu_seconds(self, now: float | None = None) -> float:
        """Seconds of GPUs that were billed, each GPU counted."""
        self._clock.catch_up()
        moment = self._clock.now() if now is None else now
        return sum(entry.gpus * entry.seconds(moment) for entry in self.entries)

    def created(self, kind: str = "") -> list[Billed]:
        """Everything of a kind that was ever created."""
        return [entry for entry in self.entries if kind in ("", entry.kind)]

    def doubles(self) -> list[str]:
        """Clusters and pools that were created again while one like it was there, or that carry
        one run's label twice in one place at one time."""
        found = []
        for kind in ("cluster", "pool"):
            entries = self.created(kind)
            for index, entry in enumerate(entries):
                for other in entries[:index]:
                    together = other.deleted is None or other.deleted > entry.created
                    runs = {each.labels.get("gpubench-run") for each in (entry, other)}
                    same_run = len(runs) == 1 and None not in runs and kind == "cluster"
                    same_name = (entry.name, entry.location) == (other.name, other.location)
                    if together and (same_run or same_name):
                        found.append(f"{other} and {entry}")
        return found
