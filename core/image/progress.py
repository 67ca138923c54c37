"""An engine's messages as parts that can be shown, and lines that can be logged."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.text import harmless

Message = Mapping[str, Any]
PartState = Literal["waiting", "working", "ready", "failed"]

_SHORTEST_INTERVAL_S = 0.25
_KEPT_LINES = 20
_LONGEST_DETAIL = 200
_STEP = re.compile(r"Step (\d+/\d+) : (.*)")
# The builder paints what a step writes to stderr.
_PAINT = re.compile(r"\x1b\[[0-9;]*m")
_LAYER_STATES: dict[str, PartState] = {
    "Pulling fs layer": "waiting",
    "Preparing": "waiting",
    "Waiting": "waiting",
    "Downloading": "working",
    "Verifying Checksum": "working",
    "Download complete": "working",
    "Extracting": "working",
    "Pushing": "working",
    "Pull complete": "ready",
    "Already exists": "ready",
    "Pushed": "ready",
    "Layer already exists": "ready",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A layer under way, or a step of the Dockerfile."""

    name: str
    state: PartState
    detail: str
    done: float | None = None
    """Bytes; None where the engine does not say."""
    total: float | None = None
    """Bytes; None where the engine does not say."""


class Progress:
    """Takes the messages of one build, pull or push in.

    A part is reported when its state changes, and between that at most four times a second.
    """

    def __init__(
        self,
        report: Callable[[Part], None],
        log: Callable[[str], None],
        *,
        kind: str = "layer",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._log = log
        self._kind = kind
        self._monotonic = monotonic
        self._parts: dict[str, tuple[PartState, float]] = {}
        self._unfinished_line = ""
        self._step: tuple[str, str] | None = None
        self.last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        """The end of what was logged."""
        self.error: str | None = None
        """What went wrong, in the engine's words."""
        self.digest: str | None = None
        """Of the pushed manifest."""

    @property
    def step(self) -> str:
        """The step under way: its number and its beginning."""
        if self._step is None:
            return "the first step"
        number, instruction = self._step
        return f"step {number} ({instruction[:60]}{'...' if len(instruction) > 60 else ''})"

    @property
    def instruction(self) -> str:
        """The instruction of the step under way."""
        return self._step[1] if self._step else ""

    def take(self, message: Message) -> None:
        """Take one message in."""
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail")
            said = detail.get("message") if isinstance(detail, dict) else None
            self.error = harmless(" ".join(str(said or message.get("error")).split()))
            self._line(self.error)
        elif "aux" in message:
            self._take_result(message["aux"])
        elif "stream" in message:
            self._take_output(str(message["stream"]))
        elif "status" in message:
            self._take_status(message)

    def end(self) -> None:
        """Close the last step, and every part that the engine left open when it failed."""
        if self._unfinished_line:
            self._take_output("\n")
        state: PartState = "failed" if self.error else "ready"
        self._end_step(state)
        for name, (previous, _) in list(self._parts.items()):
            if previous in ("waiting", "working"):
                self._show(Part(name, state, self.error or ""))

    def _take_result(self, result: object) -> None:
        if isinstance(result, dict):
            self.digest = result.get("Digest") or self.digest

    def _take_output(self, text: str) -> None:
        *lines, self._unfinished_line = (self._unfinished_line + text).split("\n")
        for raw in lines:
            line = _PAINT.sub("", raw).rstrip()
            if step := _STEP.fullmatch(line):
                self._end_step("ready")
                instruction = harmless(" ".join(step[2].split()))
                self._step = (step[1], instruction)
                self._show(Part(f"step {step[1]}", "working", instruction[:_LONGEST_DETAIL]))
            if line:
                self._line(harmless(line))

    def _take_status(self, message: Message) -> None:
        status = str(message["status"])
        identity = message.get("id")
        state = _LAYER_STATES.get(status)
        if status.startswith("Mounted from"):
            state = "ready"
        elif status.startswith("Retrying in"):
            state = "working"
        if identity is None or state is None:
            self._line(harmless(f"{identity}: {status}" if identity else status))
            return
        figures = message.get("progressDetail")
        figures = figures if isinstance(figures, dict) else {}
        self._show(
            Part(
                f"{self._kind} {harmless(str(identity))[:64]}",
                state,
                harmless(status)[:_LONGEST_DETAIL].lower(),
                _number(figures.get("current")),
                _number(figures.get("total")),
            )
        )

    def _end_step(self, state: PartState) -> None:
        if self._step is not None:
            number, instruction = self._step
            self._show(Part(f"step {number}", state, instruction[:_LONGEST_DETAIL]))

    def _show(self, part: Part) -> None:
        now = self._monotonic()
        state, reported_at = self._parts.get(part.name, (None, 0.0))
        if state == part.state and (
            part.state != "working" or now - reported_at < _SHORTEST_INTERVAL_S
        ):
            return
        self._parts[part.name] = (part.state, now)
        self._report(part)

    def _line(self, line: str) -> None:
        self.last_lines.append(line)
        self._log(line)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
