"""Every format of both documents: whole, safe whatever the text in it, and written in one step."""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import re
import unicodedata
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from benchmark.environment import GpuInfo
from benchmark.errors import OutputError
from benchmark.results import Result
from core.report import html
from core.report.comparison_costs import CostPair, CostRow, LegCost
from core.report.comparisons import ComparisonReport
from core.report.export import (
    FORMATS,
    SUFFIXES,
    Format,
    format_of,
    render_comparison,
    render_result,
    write_report,
)
from core.report.scenarios import HEADERS
from tests.core.outcomes import measurement, result
from tests.core.records import HOSTILE
from tests.core.verdict.comparisons import hostile

HOSTILE_TEXTS = (
    *HOSTILE,
    "<script>alert(1)</script>",
    "\" onmouseover='alert(1)' x=\"",
    "</td></table><h1>owned</h1>",
    "&lt;b&gt; &amp;",
    "a | b || c",
    "**bold** [link](http://x) `code`",
    "=1+1",
    "+1+1",
    "-1",
    "@SUM(1)",
    "\x7f\x9b31m",
    "~~~ fence",
    "---",
    "1. one",
    "    four spaces",
    "http://evil.example/a www.evil.example a@evil.example",
    "]]></svg><script>x</script>",
)
FORBIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def hostile_result(text: str, **values: object) -> Result:
    return result(
        measurement(1, name=text, void_reasons=(text,)),
        measurement(2, name="good"),
        gpu_info=GpuInfo(name=text, cuda_version=None, total_memory_gb=None),
        **values,
    )


def hostile_report(text: str) -> ComparisonReport:
    """A comparison, its cost included, with ``text`` wherever it may hold free text."""
    cost = LegCost(1.0, False, False, source=text, text=text, usd_per_hour=0.5)
    pair = CostPair(cost, cost, (CostRow(text, 1.0, 2.0, 100.0),))
    return ComparisonReport(hostile(text), pair, None, datetime(2026, 5, 4, tzinfo=UTC))


def documents(text: str) -> dict[str, str]:
    """Both documents in every format, with ``text`` wherever they may hold free text."""
    first, report = hostile_result(text), hostile_report(text)
    return {
        **{f"result {name}": render_result(first, name) for name in FORMATS},
        **{f"comparison {name}": render_comparison(report, name) for name in FORMATS},
    }


@functools.cache
def plain_documents() -> dict[str, str]:
    return documents("plain")


class _Page(HTMLParser):
    """What a browser would make of a document."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.tables: list[list[list[str]]] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _value in attrs}
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags and self.tags[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


@pytest.fixture(params=HOSTILE_TEXTS, scope="module")
def text(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def found(text: str) -> dict[str, str]:
    return documents(text)


class TestHostileText:
    """Names, ids and reasons come from files and drivers; none may act in any format."""

    def test_steers_no_terminal(self, found: dict[str, str]) -> None:
        for name, document in found.items():
            categories = {unicodedata.category(c) for c in document.replace("\n", "")}
            assert not categories & FORBIDDEN_CATEGORIES, name

    def test_is_text_to_a_browser(self, text: str, found: dict[str, str]) -> None:
        for kind in ("result html", "comparison html"):
            page, clean = _Page(found[kind]), _Page(plain_documents()[kind])
            assert page.tags == clean.tags
            assert page.attributes == clean.attributes
            assert "script" not in page.tags
            assert html.harmless(text) in page.text

    def test_is_one_cell_of_a_markdown_table(self, found: dict[str, str]) -> None:
        for kind in ("result markdown", "comparison markdown"):
            lines = found[kind].splitlines()
            clean = plain_documents()[kind].splitlines()
            assert len(lines) == len(clean)
            for line, other in zip(lines, clean, strict=True):
                for mark in "<>[]`*_|#":
                    assert _acting(line).count(mark) == _acting(other).count(mark), line

    def test_is_text_to_a_reader_of_markdown(self, text: str, found: dict[str, str]) -> None:
        tokens, clean = (
            _markdown_tokens(document["comparison markdown"])
            for document in (found, plain_documents())
        )
        assert [kind for kind, _content in tokens] == [kind for kind, _content in clean]
        shown = html.harmless(text).strip()
        assert any(shown in content for _kind, content in tokens)

    def test_is_no_formula_in_a_spreadsheet(self, found: dict[str, str]) -> None:
        for kind in ("result csv", "comparison csv"):
            lines = list(csv.DictReader(io.StringIO(found[kind])))
            assert lines
            for line in lines:
                for value in line.values():
                    assert not value.startswith(("=", "@", "\t", "\r"))
                    if value.startswith(("+", "-")):
                        float(value)

    def test_is_one_line_of_a_text_table(self, found: dict[str, str]) -> None:
        for kind in ("result text", "comparison text"):
            count = len(found[kind].splitlines())
            assert count == len(plain_documents()[kind].splitlines())

    def test_comes_back_from_json_as_it_was(self, text: str, found: dict[str, str]) -> None:
        assert json.loads(found["result json"])["gpu_info"]["name"] == text
        assert json.loads(found["comparison json"])["first"]["device"] == text


def _acting(line: str) -> str:
    """A line of Markdown without what is escaped in it."""
    return re.sub(r"\\.", "", line)


def _markdown_tokens(document: str) -> list[tuple[str, str]]:
    """What GitHub's dialect makes of a document: kinds of tokens, and the text in them."""
    tokens = MarkdownIt("gfm-like").parse(document)
    children = [child for token in tokens for child in (token, *(token.children or ()))]
    # Where escapes stand, a run of text is several tokens.
    merged: list[tuple[str, str]] = []
    for token in children:
        kind = "text" if token.type in ("text", "text_special") else token.type
        content = token.content if kind == "text" else ""
        if kind == "text" and merged and merged[-1][0] == "text":
            merged[-1] = (kind, merged[-1][1] + content)
        else:
            merged.append((kind, content))
    return merged


@pytest.mark.parametrize("form", FORMATS)
def test_results_without_any_measurement_are_no_error(form: Format) -> None:
    assert render_result(result(), form)


class TestHtml:
    """A document of its own: it runs nothing and loads nothing."""

    @pytest.fixture(params=["result", "comparison"])
    def document(self, request: pytest.FixtureRequest) -> str:
        return plain_documents()[f"{request.param} html"]

    def test_loads_and_runs_nothing(self, document: str) -> None:
        page = _Page(document)
        assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
        assert not {"src", "href", "style"} & page.attributes
        assert "url(" not in document
        assert "@import" not in document
        assert "default-src 'none'" in document

    def test_is_light_or_dark_as_its_reader_is(self, document: str) -> None:
        assert "prefers-color-scheme: dark" in document
        assert "color-scheme: light dark" in document
        assert 'lang="en"' in document

    def test_every_row_of_its_tables_is_whole(self, document: str) -> None:
        tables = _Page(document).tables
        assert tables
        for rows in tables:
            assert len(rows) > 1
            assert len({len(row) for row in rows}) == 1

    def test_has_the_tables_headers_and_figures(self) -> None:
        rows = _Page(render_result(result(measurement(12.5, 2.0)), "html")).tables[0]
        assert [cell.strip() for cell in rows[0]] == list(HEADERS)
        assert "12.50" in rows[1]


class TestFiles:
    """A report is written whole or not at all, and replaces nothing unasked."""

    def test_a_new_file_is_written(self, tmp_path: Path) -> None:
        write_report(tmp_path / "report.md", "text\n")
        assert (tmp_path / "report.md").read_text() == "text\n"
        assert os.listdir(tmp_path) == ["report.md"]

    def test_a_file_that_is_there_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "report.md"
        path.write_text("mine")
        with pytest.raises(OutputError, match="there already"):
            write_report(path, "text")
        assert path.read_text() == "mine"
        write_report(path, "text", replace=True)
        assert path.read_text() == "text"

    def test_a_link_is_followed_and_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "link"
        path.symlink_to("real")
        (tmp_path / "real").write_text("mine")
        with pytest.raises(OutputError):
            write_report(path, "text")
        write_report(path, "text", replace=True)
        assert path.is_symlink()
        assert (tmp_path / "real").read_text() == "text"

    def test_a_broken_link_is_something_that_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("nowhere")
        with pytest.raises(OutputError):
            write_report(tmp_path / "link", "text", replace=True)

    @pytest.mark.parametrize("replace", [False, True])
    def test_what_is_no_file_is_never_replaced(self, tmp_path: Path, replace: bool) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path, tmp_path / "pipe"):
            with pytest.raises(OutputError, match="is no file"):
                write_report(path, "text", replace=replace)
        assert os.listdir(tmp_path) == ["pipe"]

    @pytest.mark.parametrize("name", ["nowhere/report.md", "a" * 300, "nul\0"])
    def test_a_path_that_cannot_be_is_one_sentence(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(OutputError) as caught:
            write_report(tmp_path / name, "text")
        assert "cannot be written" in caught.value.sentence

    def test_an_ending_stands_for_a_format(self) -> None:
        for name, suffix in SUFFIXES.items():
            assert format_of(Path(f"report{suffix}")) == name
            assert format_of(Path(f"REPORT{suffix.upper()}")) == name
        assert set(SUFFIXES) == set(FORMATS)
        assert format_of(Path("report")) is None
        assert format_of(Path("report.pdf")) is None
