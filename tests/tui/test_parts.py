"""The parts of a stage as lines."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.run.events import PartChanged
from core.text import amount
from tests.tui.kubernetes_run import part
from tests.tui.stand_ins import is_harmless
from tui.widgets.parts import part_lines

STATES = get_args(PartChanged.model_fields["state"].annotation)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
PARTS = st.lists(
    st.builds(
        PartChanged,
        kind=st.text(max_size=8),
        name=st.text(max_size=40),
        state=st.sampled_from(STATES),
        detail=st.text(max_size=300),
        done=st.none() | NUMBERS,
        total=st.none() | NUMBERS,
        unit=st.sampled_from(["", "bytes", "nodes"]),
    ),
    max_size=12,
)


def texts(parts: list[PartChanged], width: int = 76, room: int = 20) -> list[str]:
    return [line.plain.rstrip() for line in part_lines(parts, width, room)]


def test_what_waits_is_shown_with_the_whole_reason_below_its_name() -> None:
    pod = part("pod", "x", "waiting", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    assert texts([pod], width=30) == [
        "○ pod x: 0/1 nodes are",
        "  available: 1 Insufficient",
        "  nvidia.com/gpu.",
    ]


def test_bars_and_figures_stand_below_each_other() -> None:
    lines = texts(
        [part("layer", "a", "ready", "", 8, 8), part("layer", "long-one", "working", "", 2, 800)]
    )
    assert lines[0].index("━") == lines[1].index("─")
    assert lines[0].endswith("━   8.0/8.0 MB")
    assert lines[1].endswith("─ 2.0/800.0 MB")


def test_what_is_at_work_stays_where_there_is_no_room_for_all() -> None:
    parts = [part("layer", f"l{number}", "ready", "", 1, 1) for number in range(20)]
    parts[12] = part("layer", "l12", "working", "", 0.5, 1)
    parts[17] = part("layer", "l17", "failed", "refused")
    lines = texts(parts, room=4)
    assert len(lines) == 4
    assert [line.split()[0] for line in lines] == ["✓", "▶", "✗", "and"]
    assert lines[-1] == "  and 17 more: 17 ready"


def test_a_reason_to_wait_goes_before_bars_and_a_turn_after_them() -> None:
    parts = [
        part("layer", "turn", "waiting", "for its turn"),
        part("layer", "moves", "working", "", 1, 2),
        part("pod", "x", "waiting", "no GPU"),
    ]
    assert texts(parts, room=2)[0] == "○ pod x: no GPU"
    assert "moves" in texts(parts[:2], room=1)[0]


def test_a_reason_that_never_ends_is_cut() -> None:
    lines = texts([part("pod", "x", "waiting", "word " * 10_000)])
    assert len(lines) < 8
    assert lines[-1].endswith("…")


@given(PARTS, st.integers(20, 200), st.integers(1, 40))
def test_no_part_is_wider_than_its_panel_or_steers_the_terminal(
    parts: list[Any], width: int, room: int
) -> None:
    lines = part_lines(parts, width, room)
    assert bool(lines) == bool(parts)
    for line in lines:
        assert is_harmless(line.plain)
        assert line.cell_length <= width


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        (3, 8, "layers", "3/8 layers"),
        (3, None, "nodes", "3 nodes"),
        (512, 900, "bytes", "512/900 bytes"),
        (11_200_000, 20_400_000, "bytes", "11.2/20.4 MB"),
        (0, 2_810_000_000, "bytes", "0.00/2.81 GB"),
        (1500, None, "bytes", "1.5 kB"),
    ],
)
def test_bytes_are_told_in_the_unit_of_the_whole(
    done: float, total: float | None, unit: str, text: str
) -> None:
    assert amount(done, total, unit) == text
