"""The per-scenario table: what its figures are made of, and that text in it stays text."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.environment import GpuInfo
from benchmark.plan import Execution, Scenario
from benchmark.results import NOTICE, Result, result_text
from core.report.scenarios import (
    HEADERS,
    render_csv,
    render_json,
    render_markdown,
    render_text,
    scenario_table,
)
from tests.core.outcomes import latency, measurement, result
from tests.core.records import HOSTILE

RENDERINGS = (
    lambda found: render_text(scenario_table(found)),
    lambda found: render_markdown(scenario_table(found)),
)


def lines_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_blocks_of_a_measurement_are_one_row_of_median_minimum_and_maximum() -> None:
    table = scenario_table(
        result(*(measurement(rate, rate / 10, block=rate) for rate in (10, 40, 20)))
    )
    (row,) = table.rows
    assert (row.blocks, row.void) == (3, 0)
    assert row.throughput is not None
    assert (row.throughput.median, row.throughput.minimum, row.throughput.maximum) == (20, 10, 40)
    assert row.p50 is not None
    assert row.p90 is not None
    assert row.p99 is not None
    assert [figure.median for figure in (row.p50, row.p90, row.p99)] == [2, 20, 200]


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=9))
def test_the_median_lies_between_the_blocks(rates: list[float]) -> None:
    blocks = [measurement(rate, block=place) for place, rate in enumerate(rates, 1)]
    figure = scenario_table(result(*blocks)).rows[0].throughput
    assert figure is not None
    assert figure.minimum == min(rates) <= figure.median <= max(rates) == figure.maximum


def test_a_void_block_is_shown_and_not_used() -> None:
    found = result(
        measurement(10, block=1),
        measurement(99999, block=2, void_reasons=("the GPU was too hot",)),
        measurement(30, block=3),
    )
    table = scenario_table(found)
    (row,) = table.rows
    assert (row.blocks, row.void) == (3, 1)
    assert row.throughput is not None
    assert (row.throughput.median, row.throughput.maximum) == (20, 30)
    for render in RENDERINGS:
        text = render(found)
        assert "1 of 3 void" in text
        assert "block 2: the GPU was too hot" in text
        assert "99,999" not in text
    assert [line["void"] for line in lines_of(render_csv(found))] == ["False", "True", "False"]


def test_a_row_of_nothing_but_void_blocks_shows_their_figures_and_says_so() -> None:
    found = result(measurement(12, void_reasons=("it was shared",)))
    assert "12.00" in render_text(scenario_table(found))
    assert "1 of 1 void" in render_text(scenario_table(found))


def test_a_measurement_without_figures_has_dashes() -> None:
    found = result(measurement(None, void_reasons=("the process died",)))
    (line,) = [
        line for line in render_text(scenario_table(found)).splitlines() if "SingleStream" in line
    ]
    assert line.split().count("-") == 4
    assert lines_of(render_csv(found))[0]["throughput_samples_per_s"] == ""


def test_an_advisory_figure_is_marked_and_the_mark_explained() -> None:
    advisory = result(measurement(10, latency=latency(1, supported=False)))
    firm = result(measurement(10))
    for render in RENDERINGS:
        assert "100.00 " in render(advisory)
        assert "advisory" in render(advisory)
        assert "advisory" not in render(firm)
    row = scenario_table(advisory).rows[0]
    assert row.p99 is not None
    assert row.p50 is not None
    assert (row.p50.advisory, row.p99.advisory) == (False, True)


def test_paths_are_rows_of_their_own() -> None:
    table = scenario_table(
        result(
            measurement(10),
            measurement(20, name="singlestream-b1-graph", execution=Execution.GRAPH),
            measurement(30, name="singlestream-b1-resident", host_to_device=False),
        )
    )
    assert [row.path for row in table.rows] == ["eager", "graph", "eager, resident"]


def test_an_offline_row_says_whose_latencies_it_shows() -> None:
    offline = measurement(
        10, name="offline-b8", scenario=Scenario.OFFLINE, latency=latency(1, of="batch")
    )
    assert "latencies are those of a batch" in render_text(scenario_table(result(offline)))
    assert "of a batch" not in render_text(scenario_table(result(measurement(1))))


@pytest.mark.parametrize("render", RENDERINGS)
def test_every_document_says_that_it_is_not_an_mlperf_result(
    render: Callable[[Result], str],
) -> None:
    text = render(result(measurement(1)))
    assert "not an MLPerf result" in text
    assert "under kvm" in text
    assert all(header in text for header in HEADERS)


def test_an_incomplete_run_says_so() -> None:
    words = "did not measure everything"
    assert words in render_text(scenario_table(result(measurement(1), complete=False)))
    assert words not in render_text(scenario_table(result(measurement(1))))


def test_json_is_the_result_file_itself() -> None:
    found = result(measurement(1))
    assert render_json(found) == result_text(found)
    assert json.loads(render_json(found))["notice"] == NOTICE


HOSTILE_TEXTS = (
    *HOSTILE,
    "a | b || c",
    "**bold** [link](http://x) `code`",
    "+1+1",
    "-1",
    "@SUM(1)",
)


def hostile_result(text: str) -> Result:
    return result(
        measurement(1, void_reasons=(text,)),
        gpu_info=GpuInfo(name=text, cuda_version=None, total_memory_gb=None),
    )


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
class TestHostileText:
    """Names and reasons come from files and drivers; none may act."""

    def test_reaches_no_terminal(self, text: str) -> None:
        found = hostile_result(text)
        for render in (*RENDERINGS, render_csv, render_json):
            shown = render(found)
            assert not {unicodedata.category(c) for c in shown.replace("\n", "")} & {
                "Cc",
                "Cf",
                "Zl",
                "Zp",
            }

    def test_is_no_markdown_and_no_html(self, text: str) -> None:
        shown = render_markdown(scenario_table(hostile_result(text)))
        assert all(
            line.count("|") == line.count("\\|")
            for line in shown.splitlines()
            if not line.startswith("|")
        )
        for mark in "<>[]`":
            assert shown.count(mark) == shown.count(f"\\{mark}")
        header, rule, *rest = [line for line in shown.splitlines() if line.startswith("|")]
        (row,) = rest
        for line in (header, rule, row):
            assert line.replace("\\|", "").count("|") == len(HEADERS) + 1

    def test_is_no_formula(self, text: str) -> None:
        (line,) = lines_of(render_csv(hostile_result(text)))
        for name in ("device", "void_reasons"):
            assert not line[name].startswith(("=", "+", "-", "@", "\t", "\r"))

    def test_is_one_line_of_the_table(self, text: str) -> None:
        shown = render_text(scenario_table(hostile_result(text)))
        clean = render_text(scenario_table(hostile_result("clean")))
        assert len(shown.splitlines()) == len(clean.splitlines())


def test_a_csv_keeps_the_figures_as_figures() -> None:
    (line,) = lines_of(render_csv(result(measurement(12.5, 2.0))))
    assert float(line["throughput_samples_per_s"]) == 12.5
    assert [float(line[name]) for name in ("p50_ms", "p90_ms", "p99_ms")] == [2, 20, 200]
    assert line["p95_ms"] == ""
