"""Text from outside steers no terminal."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.text import harmless
from tests.core.records import HOSTILE

ANYTHING = st.text(st.characters(codec=None), max_size=200)


@given(ANYTHING)
@example("\x1b]52;c;ZXZpbA==\x07")
@example("\u202e\u2066\u200b\ufeff\u2028\x85\x9b31m")
@example("\U000e0041\ud800\ufffe\ue000")
def test_output_is_printable_whatever_comes_in(text: str) -> None:
    shown = harmless(text)
    # Spaces other than the common one are shown as they are; they steer nothing.
    assert "".join(c for c in shown if unicodedata.category(c) != "Zs").isprintable()
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode()


@given(st.text(string.ascii_letters + string.digits + string.punctuation + " ", max_size=500))
def test_ascii_text_is_unchanged(text: str) -> None:
    assert harmless(text) == text


@given(ANYTHING)
def test_doing_it_twice_changes_nothing_more(text: str) -> None:
    assert harmless(harmless(text)) == harmless(text)


@pytest.mark.parametrize("text", ["Größe", "日本語", "µs ± 3 %", "😀", "a\u00a0b"])
def test_readable_text_of_any_language_is_unchanged(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb", "a    b"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\rc", "a\\x0ab\\x0dc"),
        ("\u202e", "\\u202e"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
    ],
)
def test_what_would_steer_is_made_visible(text: str, shown: str) -> None:
    assert harmless(text) == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_one_line(text: str) -> None:
    assert len(harmless(text).splitlines()) == 1


def test_a_very_long_line_is_cut_with_a_note() -> None:
    shown = harmless("x" * 1_000_000)
    assert len(shown) < 30_000
    assert shown.endswith("[980000 more characters]")
