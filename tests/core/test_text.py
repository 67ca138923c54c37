"""Text from outside steers no terminal."""

from __future__ import annotations

import re
import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.text import harmless, markdown_line, markdown_text
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


class TestMarkdown:
    """GitHub's dialect shows text from outside as it is."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("a|b *c* _d_ `e`", r"a\|b \*c\* \_d\_ \`e\`"),
            ("[x](y) <b> #1", r"\[x\](y) \<b\> \#1"),
            ("a & b &lt; ~~c~~ $d$ @e", r"a \& b \&lt; \~\~c\~\~ \$d\$ \@e"),
            ("https://evil.example", r"https\://evil.example"),
            ("WWW.evil.example", r"WWW\.evil.example"),
            ("12:30, 1.5 - 2", "12:30, 1.5 - 2"),
            ("\\", "\\\\"),
            ("    code", "code"),
        ],
    )
    def test_nothing_in_a_line_acts(self, text: str, shown: str) -> None:
        assert markdown_text(text) == shown

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("- a", r"\- a"),
            ("+ a", r"\+ a"),
            ("===", r"\==="),
            ("1. a", r"1\. a"),
            ("12) a", r"12\) a"),
            ("1234567890. a", "1234567890. a"),
            ("# a", r"\# a"),
            ("> a", r"\> a"),
            ("a - b", "a - b"),
        ],
    )
    def test_no_beginning_makes_a_line_another_thing(self, text: str, shown: str) -> None:
        assert markdown_line(text) == shown

    @given(ANYTHING)
    def test_without_its_escapes_it_is_the_text(self, text: str) -> None:
        for escaped in (markdown_text(text), markdown_line(text)):
            assert re.sub(r"\\(?=[!-/:-@\[-`{-~])(.)", r"\1", escaped) == harmless(text.strip())
