"""Every format of both documents: whole, safe whatever the text in it, and written in one step."""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.environment import GpuInfo
from benchmark.errors import OutputError
from benchmark.results import Result
from core.report import html
from core.report.export import (
    FORMATS,
    SUFFIXES,
    Format,
    format_of,
    render_result,
    render_side_by_side,
    write_report,
)
from core.report.scenarios import HEADERS
from core.report.side_by_side import NOTE
from core.report.side_by_side_views import percent_text
from tests.core.outcomes import measurement, result
from tests.core.records import HOSTILE

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
)
FORBIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def hostile_result(text: str, **values: object) -> Result:
    return result(
        measurement(1, name=text, void_reasons=(text,)),
        measurement(2, name="good"),
        gpu_info=GpuInfo(name=text, cuda_version=None, total_memory_gb=None),
        **values,
    )


def documents(text: str) -> dict[str, str]:
    """Both documents in every format, with ``text`` wherever a result may hold free text."""
    first, second = hostile_result(text), hostile_result("clean", leg="xen", run_id="other")
    return {
        **{f"result {name}": render_result(first, name) for name in FORMATS},
        **{f"pair {name}": render_side_by_side(first, second, name) for name in FORMATS},
    }


class _Page(HTMLParser):
    """What a browser would make of a document."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.cells: list[list[str]] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _value in attrs}
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags and self.tags[-1] in ("td", "th"):
            self.cells[-1][-1] += data


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
class TestHostileText:
    """Names, ids and reasons come from files and drivers; none may act in any format."""

    def test_steers_no_terminal(self, text: str) -> None:
        for name, document in documents(text).items():
            found = {unicodedata.category(c) for c in document.replace("\n", "")}
            assert not found & FORBIDDEN_CATEGORIES, name

    def test_is_text_to_a_browser(self, text: str) -> None:
        for kind in ("result html", "pair html"):
            page, clean = (_Page(documents(words)[kind]) for words in (text, "plain"))
            assert page.tags == clean.tags
            assert page.attributes == clean.attributes
            assert "script" not in page.tags
            assert html.harmless(text) in page.text

    def test_is_one_cell_of_a_markdown_table(self, text: str) -> None:
        for kind in ("result markdown", "pair markdown"):
            lines = documents(text)[kind].splitlines()
            assert len(lines) == len(documents("plain")[kind].splitlines())
            rows = [line for line in lines if line.startswith("|")]
            assert len({row.replace("\\|", "").count("|") for row in rows}) == 1
            for mark in "<>[]`":
                assert all(line.count(mark) == line.count(f"\\{mark}") for line in lines)

    def test_is_no_formula_in_a_spreadsheet(self, text: str) -> None:
        for kind in ("result csv", "pair csv"):
            lines = list(csv.DictReader(io.StringIO(documents(text)[kind])))
            assert lines
            for line in lines:
                for value in line.values():
                    assert not value.startswith(("=", "@", "\t", "\r"))
                    if value.startswith(("+", "-")):
                        float(value)

    def test_is_one_line_of_a_text_table(self, text: str) -> None:
        for kind in ("result text", "pair text"):
            count = len(documents(text)[kind].splitlines())
            assert count == len(documents("plain")[kind].splitlines())

    def test_comes_back_from_json_as_it_was(self, text: str) -> None:
        found = documents(text)
        assert json.loads(found["result json"])["gpu_info"]["name"] == text
        assert json.loads(found["pair json"])["first"]["device"] == text


class TestSideBySide:
    """The same data in every format."""

    @pytest.fixture
    def pair(self) -> tuple[Result, Result]:
        first = [measurement(100, 10, block=block) for block in (1, 2)]
        second = [measurement(rate, 12, block=block) for block, rate in ((1, 80), (2, 90))]
        return result(*first), result(*second, leg="xen", run_id="other")

    @pytest.mark.parametrize("form", ["text", "markdown", "html"])
    def test_figures_differences_and_warnings_are_shown(
        self, pair: tuple[Result, Result], form: Format
    ) -> None:
        shown = render_side_by_side(*pair, form)
        for words in (NOTE, "+15.00", "+10.00 to +20.00", "2 pairs", "not attested as Xen"):
            assert words in shown, words
        assert "85.00" in shown
        assert "throughput (samples/s)" in shown
        assert "not an MLPerf result" in shown
        assert "under kvm" in shown

    def test_csv_has_a_line_a_metric_with_figures_as_figures(
        self, pair: tuple[Result, Result]
    ) -> None:
        lines = list(csv.DictReader(io.StringIO(render_side_by_side(*pair, "csv"))))
        assert [line["metric"] for line in lines] == ["throughput", "p50", "p90", "p99"]
        line = lines[0]
        assert float(line["difference_percent"]) == pytest.approx(15)
        assert (float(line["smallest_percent"]), line["pairs"]) == (pytest.approx(10), "2")
        assert (line["first_leg"], line["second_leg"], line["second_run"]) == (
            "baseline",
            "xen",
            "other",
        )
        assert (float(line["first_median"]), float(line["second_maximum"])) == (100, 90)

    def test_json_is_the_whole_structure(self, pair: tuple[Result, Result]) -> None:
        document = json.loads(render_side_by_side(*pair, "json"))
        assert (document["kind"], document["version"], document["note"]) == (
            "side_by_side",
            1,
            NOTE,
        )
        row = document["rows"][0]
        assert row["difference_percent"] == pytest.approx(15)
        assert row["first"]["figure"]["median"] == 100
        assert document["second"]["name"] == "xen"
        assert document["warnings"]

    @pytest.mark.parametrize("form", ["text", "markdown", "html"])
    def test_a_void_figure_stands_in_brackets_and_they_are_explained(self, form: Format) -> None:
        void = result(measurement(77, void_reasons=("hot",)), leg="xen", run_id="other")
        shown = render_side_by_side(result(measurement(100)), void, form)
        assert "(77.00)" in shown
        assert "shown and not used" in shown
        assert "1 of 1 void in xen" in shown

    @pytest.mark.parametrize("form", FORMATS)
    def test_results_without_any_measurement_are_no_error(self, form: Format) -> None:
        assert render_result(result(), form)
        assert render_side_by_side(result(), result(), form)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_difference_always_has_its_sign_and_never_a_negative_zero(percent: float) -> None:
    shown = percent_text(percent)
    assert shown[0] in "+-"
    assert shown != "-0.00"
    assert float(shown.replace(",", "")) == pytest.approx(percent, abs=0.006)


class TestHtml:
    """A document of its own: it runs nothing and loads nothing."""

    @pytest.fixture(params=["result", "pair"])
    def document(self, request: pytest.FixtureRequest) -> str:
        return documents("plain")[f"{request.param} html"]

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

    def test_every_row_of_its_table_is_whole(self, document: str) -> None:
        rows = _Page(document).cells
        assert len(rows) > 1
        assert len({len(row) for row in rows}) == 1

    def test_has_the_tables_headers_and_figures(self) -> None:
        rows = _Page(render_result(result(measurement(12.5, 2.0)), "html")).cells
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
