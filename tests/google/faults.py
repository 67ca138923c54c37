"""Every call's way in: it is written down, may be refused by the test, and may set off a hook."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from tests.google.clock import GoogleClock
from tests.google.refusals import Refusal

FaultKind = Literal[
    "unavailable",
    "deadline",
    "permission",
    "not found",
    "already exists",
    "resource exhausted",
    "internal",
    "unauthenticated",
    "operation fails",
    "operation never ends",
    "cut after",
    "cut before",
    "slow",
]
FAULT_KINDS: tuple[FaultKind, ...] = FaultKind.__args__  # type: ignore[attr-defined]

Fate = Literal["", "fails", "never ends"]
Hook = Callable[["Call", Literal["before", "after"]], Awaitable[None]]
"""May raise CutError: before, nothing is carried out; after, nobody hears of it."""

_REFUSALS = {
    "unavailable": ("UNAVAILABLE", "The service is currently unavailable."),
    "permission": ("PERMISSION_DENIED", "The caller does not have permission"),
    "not found": ("NOT_FOUND", "Not found: Requested entity was not found."),
    "already exists": ("ALREADY_EXISTS", "Already exists: Requested entity already exists."),
    "resource exhausted": ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "internal": ("INTERNAL", "Internal error encountered."),
    "unauthenticated": (
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token.",
    ),
}


class CutError(Exception):
    """The connection breaks instead of an answer."""


@dataclass
class Call:
    """A call that arrived."""

    number: int
    """From 1, in the order of arrival."""
    name: str
    """``container.CreateCluster``, ``compute.instances.list``, ``token`` ..."""
    time: float
    """Of Google's clock."""
    about: str = ""
    """Path or resource name."""
    request: Any = None
    account: str = ""
    answer: str = "pending"
    """``ok``, the canonical code of a refusal, or ``cut``."""


@dataclass
class Fault:
    """What calls of a name meet."""

    call: str
    kind: FaultKind
    times: int = 1
    skip: int = 0
    """So many of those calls pass first."""
    seconds: float = 0.0
    """Of our clock, for ``slow``; longest silence for ``deadline``."""
    met: int = 0
    """How often it struck."""


@dataclass
class Faults:
    """What was ordered and is not used up; the first that fits a call strikes."""

    ordered: list[Fault] = field(default_factory=list)

    def add(
        self, call: str, kind: FaultKind, times: int = 1, skip: int = 0, seconds: float = 3600.0
    ) -> Fault:
        """``call`` may have ``*``; ``times`` below 0: always."""
        fault = Fault(call, kind, times, skip, seconds)
        self.ordered.append(fault)
        return fault

    def clear(self) -> None:
        self.ordered.clear()

    def strike(self, call: str) -> Fault | None:
        for fault in self.ordered:
            if not fnmatchcase(call, fault.call) or not fault.times:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            fault.met += 1
            return fault
        return None


class Gate:
    """All calls of the world go through here."""

    def __init__(self, clock: GoogleClock) -> None:
        self.clock = clock
        self.calls: list[Call] = []
        self.faults = Faults()
        self.on_call: Hook | None = None
        self.fate: Fate = ""
        """Of the operation that the call at work begins."""

    async def serve(
        self,
        name: str,
        about: str,
        request: Any,
        admit: Callable[[], str],
        act: Callable[[], Any],
    ) -> Any:
        """Return the answer of ``act``, which may be a coroutine's.

        Raises: Refusal, CutError.
        """
        self.clock.catch_up()
        call = Call(len(self.calls) + 1, name, self.clock.now(), about, request)
        self.calls.append(call)
        try:
            if self.on_call is not None:
                await self.on_call(call, "before")
            call.account = admit()
            answer = await self._act(call, act)
            call.answer = "ok"
            if self.on_call is not None:
                await self.on_call(call, "after")
        except Refusal as refusal:
            call.answer = refusal.status
            raise
        except CutError:
            call.answer = "cut"
            raise
        return answer

    async def _act(self, call: Call, act: Callable[[], Any]) -> Any:
        fault = self.faults.strike(call.name)
        kind = fault.kind if fault else ""
        if fault is not None and kind in ("slow", "deadline"):
            await asyncio.sleep(fault.seconds)
            self.clock.catch_up()
            if kind == "deadline":
                raise Refusal(
                    "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."
                )
        if kind == "cut before":
            raise CutError
        if kind in _REFUSALS:
            raise Refusal(*_REFUSALS[kind])
        self.fate = "fails" if kind == "operation fails" else ""
        if kind == "operation never ends":
            self.fate = "never ends"
        try:
            with self.clock.moment():
                answer = act()
        finally:
            self.fate = ""
        if asyncio.iscoroutine(answer):
            answer = await answer
        if kind == "cut after":
            raise CutError
        return answer
