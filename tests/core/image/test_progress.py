"""An engine's messages, as they are shown."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.image.progress import Part, Progress


class Watching:
    """Somebody who sees every part and line, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.parts: list[Part] = []
        self.lines: list[str] = []
        self.progress = Progress(self.parts.append, self.lines.append, monotonic=lambda: self.now)

    def take(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.progress.take(message)


def pushing(layer: str, current: object) -> dict[str, Any]:
    detail = {"current": current, "total": 1000}
    return {"status": "Pushing", "id": layer, "progressDetail": detail}


def test_a_layer_is_reported_four_times_a_second_and_no_oftener() -> None:
    watching = Watching()
    for step in range(1000):
        watching.now = 100 + step / 100
        watching.take(pushing("abc", step), pushing("def", step))
    for layer in ("layer abc", "layer def"):
        assert 35 <= sum(part.name == layer for part in watching.parts) <= 40


def test_a_change_of_state_is_reported_at_once() -> None:
    watching = Watching()
    watching.take(
        {"status": "Preparing", "id": "abc"},
        {"status": "Waiting", "id": "abc"},
        pushing("abc", 1),
        pushing("abc", 2),
        {"status": "Pushed", "id": "abc"},
    )
    assert [part.state for part in watching.parts] == ["waiting", "working", "ready"]


def test_layers_that_are_there_already_are_ready() -> None:
    watching = Watching()
    watching.take(
        {"status": "Layer already exists", "id": "a"},
        {"status": "Mounted from team/app", "id": "b"},
        {"status": "Already exists", "id": "c"},
    )
    assert {part.state for part in watching.parts} == {"ready"}
    assert len(watching.parts) == 3


def test_output_that_comes_in_pieces_is_logged_in_lines() -> None:
    watching = Watching()
    watching.take(
        {"stream": "Step 1/2 : RUN a &&"},
        {"stream": " b\n"},
        {"stream": "one\r\ntw"},
        {"stream": "o\n\n"},
        {"stream": "three"},
    )
    watching.progress.end()
    assert watching.lines == ["Step 1/2 : RUN a && b", "one", "two", "three"]
    assert watching.parts == [
        Part("step 1/2", "working", "RUN a && b"),
        Part("step 1/2", "ready", "RUN a && b"),
    ]


def test_what_the_engine_left_open_when_it_failed_is_closed() -> None:
    watching = Watching()
    watching.take(pushing("abc", 1), {"status": "Waiting", "id": "def"}, {"error": "denied"})
    watching.progress.end()
    ends = {part.name: (part.state, part.detail) for part in watching.parts}
    assert ends == {"layer abc": ("failed", "denied"), "layer def": ("failed", "denied")}


def test_the_digest_is_kept() -> None:
    watching = Watching()
    watching.take({"aux": {"ID": "sha256:1"}}, {"aux": {"Tag": "1", "Digest": "sha256:2"}})
    assert watching.progress.digest == "sha256:2"


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.dictionaries(
        st.sampled_from(["message", "current", "total", "ID", "Digest", "x"]), inner, max_size=3
    ),
    max_leaves=4,
)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ["stream", "status", "id", "progressDetail", "error", "errorDetail", "aux"]
            ),
            anything | st.sampled_from(["Pushing", "Waiting", "Step 1/2 : \x1b]0;x\x07", "\x9b2J"]),
            max_size=4,
        ),
        max_size=5,
    )
)
def test_whatever_an_engine_says_is_shown_without_harm(messages: list[dict[str, Any]]) -> None:
    watching = Watching()
    watching.take(*messages)
    watching.progress.end()
    for text in [*watching.lines, *(f"{part.name}{part.detail}" for part in watching.parts)]:
        assert text.isprintable()
    assert all(part.state in ("waiting", "working", "ready", "failed") for part in watching.parts)
