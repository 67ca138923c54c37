"""The index knows every line of the file once, whatever is in it and however it grows."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.tui.log.logs import HOSTILE, append, line, numbered, read_all
from tui.log.index import MOST_SOURCES, LogIndex, LogState
from tui.log.lines import LONGEST_SHOWN

PIECES = some.one_of(
    some.binary(max_size=40),
    some.just(b"\n"),
    some.just(b"\r\n"),
    some.builds(
        line,
        some.sampled_from(["all well", "an Error here", "", "room", "OOMKilled", "ünï"]),
        some.sampled_from(["job", "pod/x", "errors"]),
    ),
    some.sampled_from(HOSTILE[:6]),
)

REFERENCE_HEAD = re.compile(rb"([0-9]{4}-[0-9][-+0-9T:.Z]{13,29}) \[([^\]\n]{1,200})\] ")
REFERENCE_ERROR = re.compile(rb"(?i)error|exception|traceback|\bfatal|\bpanic|\boom")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deployment.log"


def raw_lines(index: LogIndex) -> list[bytes]:
    return [index.read(*index.span(number, number + 1)) for number in range(index.count)]


def split(data: bytes) -> list[bytes]:
    """The file's lines, each with its end if it has one."""
    return [part for part in re.split(rb"(?<=\n)", data) if part]


def assert_like_the_file(index: LogIndex, data: bytes) -> None:
    lines = split(data)
    assert raw_lines(index) == lines
    assert index.complete == data.count(b"\n")
    names: list[bytes] = []
    errors = []
    ids = []
    for number, raw in enumerate(lines[: index.complete]):
        head = REFERENCE_HEAD.match(raw)
        source = head[2] if head else b""
        if source and source not in names:
            names.append(source)
        ids.append(names.index(source) + 1 if source else 0)
        message = raw[head.end() if head else 0 :]
        if REFERENCE_ERROR.search(message):
            errors.append(number)
    assert list(index.source_ids) == ids
    assert len(index.sources) == len(names)
    assert list(index.errors) == errors
    assert index.first_error() == (errors[0] if errors else None)
    for number, identity in enumerate(ids):
        assert index.line(number).error == (number in errors)
        if identity:
            assert index.line(number).source == index.sources[identity - 1]


@given(
    pieces=some.lists(PIECES, max_size=30),
    cuts=some.lists(some.integers(0, 2_000), max_size=10),
    budgets=some.lists(some.integers(1, 200), min_size=1, max_size=10),
)
def test_every_line_is_known_once_however_it_was_written_and_read(
    tmp_path_factory: pytest.TempPathFactory,
    pieces: list[bytes],
    cuts: list[int],
    budgets: list[int],
) -> None:
    path = tmp_path_factory.mktemp("log") / "deployment.log"
    data = b"".join(pieces)
    path.write_bytes(b"")
    index = LogIndex(path)
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for turn, (start, end) in enumerate(itertools.pairwise(places)):
        append(path, data[start:end])
        index.read_more(budgets[turn % len(budgets)])
        assert b"".join(raw_lines(index)) == data[: index.scanned]
    read_all(index, budgets[-1])
    assert_like_the_file(index, data)
    index.close()


def test_a_budget_bounds_what_one_call_reads(path: Path) -> None:
    path.write_bytes(numbered(1000))
    index = LogIndex(path)
    assert index.read_more(1000)
    assert index.scanned == 1000
    assert 0 < index.count < 30


def test_a_line_says_time_source_and_text(path: Path) -> None:
    path.write_bytes(line("all is well", "pod/x", 7) + b"Traceback (most recent call last):\n")
    index = LogIndex(path)
    read_all(index)
    ours, raw = index.line(0), index.line(1)
    assert (ours.time, ours.source, ours.text) == (
        "2026-05-04T12:00:07.000+00:00",
        "pod/x",
        "all is well",
    )
    assert (raw.time, raw.source, raw.text) == ("", "", "Traceback (most recent call last):")
    assert (ours.error, raw.error) == (False, True)


def test_a_last_line_without_an_end_is_shown_and_then_completed(path: Path) -> None:
    path.write_bytes(line("first") + b"half a l")
    index = LogIndex(path)
    read_all(index)
    assert (index.count, index.line(1).text, index.line(1).complete) == (2, "half a l", False)
    append(path, b"ine\n")
    read_all(index)
    assert (index.count, index.line(1).text, index.line(1).complete) == (2, "half a line", True)


@pytest.mark.parametrize("length", [LONGEST_SHOWN - 1, LONGEST_SHOWN, LONGEST_SHOWN + 1, 1_000_000])
def test_a_very_long_line_is_cut_with_a_note(path: Path, length: int) -> None:
    path.write_bytes(line("x" * length, "pod") + line("next"))
    index = LogIndex(path)
    read_all(index, 10_000)
    text = index.line(0).text
    assert text.startswith("x" * min(length, LONGEST_SHOWN))
    missing = max(0, length - LONGEST_SHOWN)
    assert text.endswith(f" [{missing} more bytes]" if missing else "x")
    assert (index.line(0).source, index.line(1).text, index.count) == ("pod", "next", 2)


def test_a_character_that_the_cut_splits_is_left_out(path: Path) -> None:
    path.write_bytes(line("x" + "é" * LONGEST_SHOWN))
    index = LogIndex(path)
    read_all(index)
    assert set(index.line(0).text.partition(" [")[0]) == {"x", "é"}


def test_text_from_outside_is_harmless(path: Path) -> None:
    path.write_bytes(b"\n".join(HOSTILE) + b"\n" + line("x", "s\x1b[2J"))
    index = LogIndex(path)
    read_all(index)
    for number in range(index.count):
        shown = index.line(number)
        assert shown.text.isprintable()
        assert shown.source.isprintable()


def test_sources_beyond_the_most_that_are_told_apart_count_as_none(path: Path) -> None:
    path.write_bytes(b"".join(line("x", f"s{number}") for number in range(MOST_SOURCES + 20)))
    index = LogIndex(path)
    read_all(index)
    assert len(index.sources) == MOST_SOURCES
    assert set(index.source_ids[MOST_SOURCES:]) == {0}
    assert index.line(MOST_SOURCES + 5).source == f"s{MOST_SOURCES + 5}"


def test_a_missing_file_says_so_and_is_read_once_it_is_there(path: Path) -> None:
    index = LogIndex(path)
    assert not index.read_more(1000)
    assert index.state is LogState.MISSING
    assert index.sentence == f"The log {path}: it is not there yet."
    path.write_bytes(line("now"))
    read_all(index)
    assert (index.state, index.sentence, index.count) == (LogState.READING, "", 1)


def test_a_file_that_became_shorter_is_read_again(path: Path) -> None:
    path.write_bytes(numbered(100))
    index = LogIndex(path)
    read_all(index)
    path.write_bytes(line("anew"))
    read_all(index)
    assert (index.count, index.line(0).text, index.generation) == (1, "anew", 1)
    assert index.restarted == "The log became shorter; it is read again from its beginning."
    assert (index.sources, list(index.errors)) == (["job"], [])


def test_a_file_that_was_replaced_is_read_again(path: Path) -> None:
    path.write_bytes(numbered(10, "old"))
    index = LogIndex(path)
    read_all(index)
    other = path.with_suffix(".new")
    other.write_bytes(numbered(20, "new"))
    other.replace(path)
    read_all(index)
    assert (index.count, index.line(3).text, index.generation) == (20, "new 3", 1)
    assert index.restarted == "The log was replaced; it is read again from its beginning."


def test_a_file_that_was_deleted_is_still_shown(path: Path) -> None:
    path.write_bytes(numbered(10))
    index = LogIndex(path)
    read_all(index)
    path.unlink()
    read_all(index)
    assert index.line(9).text == "line 9"
    assert index.sentence == f"The log {path}: it was deleted or moved away."
    path.write_bytes(line("again"))
    read_all(index)
    assert (index.line(0).text, index.sentence) == ("again", "")


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_regular_file_is_not_read(path: Path, kind: str) -> None:
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    index = LogIndex(path)
    assert not index.read_more(1000)
    assert index.state is LogState.UNREADABLE
    assert index.sentence == f"The log {path}: it is not a regular file."


def test_a_file_in_a_place_that_is_no_folder_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    index = LogIndex(tmp_path / "file" / "deployment.log")
    assert not index.read_more(1000)
    assert index.state is LogState.UNREADABLE
    assert index.sentence.endswith(": it cannot be read: Not a directory.")


def test_there_is_no_line_beyond_the_last(path: Path) -> None:
    path.write_bytes(line("only"))
    index = LogIndex(path)
    read_all(index)
    for number in (-1, 1):
        with pytest.raises(IndexError):
            index.line(number)
