"""The search finds what the shown text matches: no more, no less, and what is highlighted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.tui.log.logs import HOSTILE, append, hurried, line, numbered, read_all, still
from tui.log.index import LogIndex
from tui.log.search import Pattern, PatternError, Search

PATTERNS = some.sampled_from(
    [
        *("error", "Error", "x", "é", "^a", "a$", "^$", "^", "x*", r"\bb", r"\Bb", r"\Aa", r"b\z"),
        *("a b", r"a\sb", "[^a]", "[^q]b", ".", "a.b", "(?s)a.b", "(?i)A", "(?-m:^b)", "a|^b|c$"),
        *(
            "k",
            "s",
            "ß",
            "日本",
            r"\x1b",
            r"\\x",
            "more bytes",
            "job",
            "2026",
            r"\d",
            r"\pL+",
            "[bold",
        ),
        *(
            r"\]",
            r"\C",
            r"a\nb",
            "a\\Q.",
            r"(?P<n>a)b",
            "日?本",
            "\U0001f680",
            "\u212a",
            "\u0131",
            "(?U)a+",
            r"\b",
            r"\B",
        ),
    ]
)
LINES = some.one_of(
    some.text(
        some.sampled_from("abAB xk\u212as\u017fßé\u0131q日本\u200b\t\ufe0f.\\"), max_size=12
    ).map(str.encode),
    some.sampled_from([*HOSTILE[:9], HOSTILE[10], b"an Error", b"\r", b"a\r"]),
    some.builds(
        lambda text: line(text)[:-1], some.text(some.sampled_from("ab xérror"), max_size=12)
    ),
)


def index_of(path: Path, data: bytes) -> LogIndex:
    path.write_bytes(data)
    index = LogIndex(path)
    read_all(index)
    return index


def finish(search: Search) -> list[int]:
    while search.step(0.001, still()):
        pass
    return list(search.matches)


def brute_force(pattern: Pattern, index: LogIndex, source: str = "") -> list[int]:
    lines = map(index.line, range(index.count))
    return [
        line.number
        for line in lines
        if pattern.matches(line.text) and (not source or line.source == source)
    ]


@given(text=PATTERNS, lines=some.lists(LINES, max_size=25), end=some.sampled_from([b"", b"\n"]))
def test_a_search_finds_what_each_shown_line_by_itself_matches(
    tmp_path_factory: pytest.TempPathFactory, text: str, lines: list[bytes], end: bytes
) -> None:
    try:
        pattern = Pattern(text)
    except PatternError:
        return
    index = index_of(tmp_path_factory.mktemp("log") / "log", b"\n".join(lines) + end)
    assert finish(Search(pattern, index)) == brute_force(pattern, index)
    index.close()


@given(text=PATTERNS, message=some.text(max_size=40))
def test_what_matches_is_what_is_highlighted(text: str, message: str) -> None:
    try:
        pattern = Pattern(text)
    except PatternError:
        return
    spans = list(pattern.spans(message))
    assert all(0 <= start < end <= len(message) for start, end in spans)
    if spans:
        assert pattern.matches(message)
    elif pattern.matches(message):
        # Only what matches nothing at all can match and yet have nothing to highlight.
        assert pattern.matches("") or text in {"^", r"\b", r"\B"}


def test_a_search_goes_on_in_slices_and_says_how_far_it_is(tmp_path: Path) -> None:
    index = index_of(tmp_path / "log", numbered(20_000))
    search = Search(Pattern("7$"), index)
    clock, seen = hurried(), [search.progress]
    while search.step(0.5, clock):
        assert not search.done
        seen.append(search.progress)
    assert search.done
    assert len(seen) > 10
    assert seen == sorted(set(seen))
    assert list(search.matches) == [n for n in range(20_000) if n % 10 == 7]


def test_a_search_finds_what_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "log"
    index = index_of(path, line("a needle") + line("hay"))
    search = Search(Pattern("needle"), index)
    assert finish(search) == [0]
    append(path, line("hay") + line("needle"))
    read_all(index)
    assert not search.done
    assert finish(search) == [0, 3]


def test_a_line_without_an_end_is_found_and_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    index = index_of(path, line("hay") + b"a needle")
    search = Search(Pattern("needle$"), index)
    assert finish(search) == [1]
    append(path, b" and more")
    read_all(index)
    assert finish(search) == []
    append(path, b" needle\n" + line("needle"))
    read_all(index)
    assert finish(search) == [1, 2]


def test_a_search_begins_again_when_the_log_does(tmp_path: Path) -> None:
    path = tmp_path / "log"
    index = index_of(path, numbered(100))
    search = Search(Pattern("line 1"), index)
    finish(search)
    path.write_bytes(line("hay") + line("line 1"))
    read_all(index)
    assert finish(search) == [1]


def test_a_search_keeps_to_a_source(tmp_path: Path) -> None:
    data = b"".join(line(f"word {n}", f"pod{n % 3}") for n in range(99)) + line("word", "pod1")[:-1]
    index = index_of(tmp_path / "log", data)
    pattern = Pattern("word")
    found = finish(Search(pattern, index, 2))
    assert found == brute_force(pattern, index, "pod1") == [*range(1, 99, 3), 99]
    assert finish(Search(None, index, 2)) == found


def test_a_very_long_line_is_searched_as_far_as_it_is_shown(tmp_path: Path) -> None:
    index = index_of(tmp_path / "log", line("x" * 30_000 + "needle") + line("needle"))
    assert finish(Search(Pattern("needle"), index)) == [1]
    assert finish(Search(Pattern("more bytes"), index)) == [0]


@pytest.mark.parametrize(
    ("text", "sensitive"),
    [
        ("word", False),
        ("Word", True),
        (r"\S+ \W \D", False),
        (r"\pL", False),
        (r"\p{Greek}", False),
    ],
)
def test_a_capital_letter_says_that_case_matters(text: str, sensitive: bool) -> None:
    assert Pattern(text).case_sensitive == sensitive


@pytest.mark.parametrize("text", ["(", "[", "a**", "*", r"(?=a)", r"\1", "a{2000}", "\\", "\ud800"])
def test_a_wrong_pattern_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(PatternError, match=r"^Not a regular expression: .+\.$"):
        Pattern(text)


def test_a_pattern_that_would_take_long_is_refused() -> None:
    with pytest.raises(PatternError, match="too large"):
        Pattern("(?:.{999}x)" * 5)
