"""What the documents of a comparison say, in every format: the verdict first, nothing lost."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from html.parser import HTMLParser
from typing import Any

import pytest

from core.report.comparison_costs import CostPair, CostRow, LegCost
from core.report.comparison_text import render_summary
from core.report.comparison_words import (
    allowed_mark,
    headline,
    layers_text,
    table_mark,
    title,
)
from core.report.comparisons import ComparisonReport
from core.report.export import FORMATS, Format, render_comparison
from core.verdict.model import Comparison, Further, Span, Verdict
from tests.core.verdict.comparison_parts import measurement
from tests.core.verdict.comparisons import (
    KINDS,
    allowed,
    everything,
    exceeds,
    inconclusive,
    refused,
    with_looks,
    with_mechanisms,
    with_noise,
    within,
)

WRITTEN = datetime(2026, 5, 4, 13, tzinfo=UTC)
COST = CostPair(
    LegCost(0.5, False, False, "shipped prices as of 2026-11-22", "$0.5000", 0.6),
    LegCost(0.75, False, True, "shipped prices as of 2026-11-22", "$0.7500 and growing", 0.6),
    (CostRow("singlestream-b1", 0.125, 0.134, 7.2),),
)
PEOPLES: tuple[Format, ...] = ("text", "markdown", "html")


def rendered(found: Comparison, form: Format, cost: CostPair | None = None) -> str:
    return render_comparison(ComparisonReport(found, cost, None, WRITTEN), form)


def shown(found: Comparison, form: Format, cost: CostPair | None = None) -> str:
    """A document as its reader sees it."""
    document = rendered(found, form, cost)
    if form == "markdown":
        return re.sub(r"\\(.)", r"\1", document)
    if form == "html":
        reader = _Reader()
        reader.feed(document)
        reader.close()
        return reader.text
    return document


def cells(found: Comparison, form: Format) -> list[str]:
    """Each row of the tables in one line."""
    if form != "html":
        return shown(found, form).splitlines()
    return shown(found, form).replace("\n", " ").replace("\r", "\n").splitlines()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self._ignored = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._ignored = tag in ("style", "title")
        # Cells stand in lines of their own, and a row begins with another mark.
        self.text += "\r" if tag in ("tr", "h2", "figure") else "\n"

    def handle_endtag(self, tag: str) -> None:
        self._ignored = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._ignored else data


@pytest.mark.parametrize("form", PEOPLES)
class TestWhatPeopleRead:
    """Text, Markdown and HTML tell the same."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_verdict_comes_first_then_the_reason(self, form: Format, kind: str) -> None:
        found = KINDS[kind]
        lines = [line.strip("*# ") for line in shown(found, form).splitlines()]
        lines = [line for line in lines if line and "although" not in line]
        assert lines[0].endswith(title(found))
        assert f": {found.verdict}" in lines[0]
        assert str(found.verdict).capitalize() in lines[1]
        assert lines[1].endswith(headline(found))
        assert lines[2] == found.reason
        assert lines[3] == layers_text(found)
        for leg in (found.first, found.second):
            assert f"{leg.label}: {leg.hypervisor}" in lines[3]

    def test_what_a_verdict_holds_under_stands_in_its_line(self, form: Format) -> None:
        said = "for these two runs, one after the other"
        found = replace(within(), conditions=(said, "the GPU's identity is not known"))
        line = next(line for line in shown(found, form).splitlines() if "Within target:" in line)
        assert line.strip("*").endswith(
            f"xen is less than 5 % worse than baseline, {said}, the GPU's identity is not known."
        )

    def test_with_boots_it_says_boots(self, form: Format) -> None:
        found = inconclusive()
        booted = replace(
            found,
            measurements=tuple(replace(each, unit="boot") for each in found.measurements),
            further=Further(36, 3600.0, "boot", 3),
        )
        document = shown(booted, form)
        assert "3 more boots of each leg (12 blocks each) would settle it" in document
        assert "inconclusive (12 more boots)" in document
        assert "more blocks" not in document

    @pytest.mark.parametrize("kind", KINDS)
    def test_what_was_compared_is_told_with_its_evidence(self, form: Format, kind: str) -> None:
        found = KINDS[kind]
        document = shown(found, form)
        for leg in (found.first, found.second):
            for said in (
                *(leg.device, leg.hypervisor, leg.evidence, leg.software, leg.configuration),
                *(*leg.runs, *leg.hosts, "2026-05-04 12:00:00 UTC to 2026-05-04 12:50:00 UTC"),
            ):
                assert said in document
        assert found.notice in document
        assert "2026-05-04 13:00:00 UTC" in document

    def test_each_endpoint_has_figures_overhead_interval_and_verdict(self, form: Format) -> None:
        document = shown(within(), form)
        for words in ("1,200.00", "1,185.60", "+1.20", "+0.63 to +1.77", "within target"):
            assert words in document
        assert "throughput (samples/s)" in document
        assert "p90 (ms)" in document

    def test_no_figure_is_rounded_across_the_target(self, form: Format) -> None:
        document = shown(inconclusive(), form)
        assert "+4.80 to +5.004" in document
        assert "+4.79 to +4.996" in document
        assert "+4.999" in document

    def test_an_inconclusive_one_says_what_would_settle_it(self, form: Format) -> None:
        document = shown(inconclusive(), form, COST)
        assert "12 more blocks of each leg" in document
        assert "1 h 00 min" in document
        assert "$0.6000 while measuring" in document

    def test_refusals_are_told_with_what_allows_them(self, form: Format) -> None:
        document = shown(refused(), form)
        for refusal in refused().refusals:
            assert f"{refusal.key}: {refusal.sentence}" in document
        assert "--allow driver --allow layer" in document
        assert "Nothing was computed." in document
        assert "+" not in document.replace("+html", "")

    def test_noise_mechanisms_causes_warnings_voids_and_cost_are_told(self, form: Format) -> None:
        found = everything()
        document = shown(found, form, COST)
        assert found.noise is not None
        for said in (
            *(found.noise.sentence, *found.noise.runs, *found.causes, *found.warnings),
            *(each.title for each in found.mechanisms),
            *(sentence for each in found.measurements for sentence in each.void),
            *("4.800 us", "+50.00", "+44.10 to +56.30"),
            *("cost of baseline: $0.5000", "cost of xen: $0.7500 and growing", "$0.1340"),
            *("Student 1908", "not an MLPerf result"),
        ):
            assert said in document, said

    def test_a_change_told_from_none_is_not_shown_as_none(self, form: Format) -> None:
        found = with_mechanisms()
        small = replace(
            found.mechanisms[0],
            change_percent=0.004,
            interval_percent=Span(0.0011, 0.007),
        )
        document = shown(replace(found, mechanisms=(small,)), form)
        assert "+0.004" in document
        assert "+0.001 to +0.01" in document

    def test_the_deciding_interval_is_shown_where_looks_share_the_level(self, form: Format) -> None:
        assert "deciding interval (%)" in shown(with_looks(), form)
        assert "deciding" not in shown(within(), form)

    def test_the_path_is_told_where_there_are_several(self, form: Format) -> None:
        slow = measurement("offline-b8-eager", "Offline", 8, {"p90": 1.0})
        eager = replace(slow, path="eager, resident")
        found = replace(within(), measurements=(*within().measurements, eager))
        for told, several in ((found, True), (within(), False)):
            (headers,) = [line for line in cells(told, form) if "overhead (%)" in line]
            assert ("path" in headers) == several
        (row,) = [
            line
            for line in cells(found, form)
            if "eager" in line and "+0.42" in line and "(ms)" in line
        ]
        assert "Offline" in row

    def test_a_missing_figure_is_a_dash(self, form: Format) -> None:
        assert "no verdict" in shown(everything(), form)


class TestAllowed:
    """Whoever reads a part of a report of what is not comparable reads that, too."""

    def test_the_mark_is_above_every_table_of_markdown_and_text(self) -> None:
        found, mark = everything(), table_mark(allowed())
        # From the rule under a table's headers up to what stands above it.
        for form, rule, above in (("markdown", r"\| ---", 3), ("text", "-+  -", 2)):
            lines = shown(found, form, COST).splitlines()  # type: ignore[arg-type]
            rules = [place for place, line in enumerate(lines) if re.match(rule, line)]
            assert len(rules) > 5
            assert all(mark in lines[place - above] for place in rules)

    def test_the_mark_is_above_every_table_and_picture_of_html(self) -> None:
        document = rendered(everything(), "html", COST)
        for opening in ('<div class="figures">', '<div class="wide">', '<div class="stacked">'):
            pieces = document.split(opening)[:-1]
            assert pieces
            for piece in pieces:
                # A stacked table is a wide one in another box.
                before = piece.rstrip().removesuffix('<div class="stacked">').rstrip()
                assert before.endswith(f"{table_mark(everything())}</p>")

    def test_the_mark_is_in_the_first_lines(self) -> None:
        for form in PEOPLES:
            assert allowed_mark(allowed()) in "\n".join(
                shown(allowed(), form).strip().splitlines()[:8]
            )

    def test_the_banner_is_printed_on_every_page(self) -> None:
        document = rendered(allowed(), "html")
        assert document.index('class="banner"') < document.index("<main>")
        printed = document[document.index("@media print", document.index("@page")) :]
        banner = printed[printed.index(".banner") : printed.index("}")]
        assert "position: fixed" in banner
        assert 'class="banner"' not in rendered(within(), "html")

    def test_it_is_in_json_and_in_every_line_of_csv(self) -> None:
        document = json.loads(rendered(allowed(), "json"))
        assert document["allowed"] == ["driver"]
        assert "--allow driver" in document["allowed_mark"]
        assert {line["allowed"] for line in lines_of(allowed())} == {"driver"}

    def test_what_the_verdict_holds_under_is_in_json_and_in_every_line_of_csv(self) -> None:
        found = replace(within(), conditions=("for one boot of each leg", "on one machine"))
        document = json.loads(rendered(found, "json"))
        assert document["conditions"] == list(found.conditions)
        assert ", for one boot of each leg, on one machine." in document["headline"]
        lines = {line["conditions"] for line in lines_of(found)}
        assert lines == {"for one boot of each leg; on one machine"}

    def test_no_verdict_of_a_part_is_without_the_condition(self) -> None:
        exceeding = replace(exceeds(), refusals=allowed().refusals)
        for found in (allowed(), exceeding):
            for form in PEOPLES:
                rows = [row for row in cells(found, form) if "(ms)" in row and "+" in row]
                assert rows
                verdicts = re.findall(
                    "(?:within target|exceeds target|inconclusive)(?:, if comparable)?",
                    "\n".join(rows),
                )
                assert verdicts
                assert all(verdict.endswith("if comparable") for verdict in verdicts)

    @pytest.mark.parametrize("form", FORMATS)
    def test_what_is_comparable_has_no_mark(self, form: Format) -> None:
        assert "although" not in rendered(within(), form)


class TestJson:
    """The whole data structure, at full precision."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_field_of_the_structure_is_in_it(self, kind: str) -> None:
        document = json.loads(rendered(KINDS[kind], "json", COST))
        assert (document["kind"], document["version"]) == ("comparison", 1)
        assert_same(KINDS[kind], document)
        assert_same(COST, document["cost"])

    def test_it_has_no_number_that_json_has_not(self) -> None:
        (first, *others) = within().measurements
        end = first.endpoints[0]
        assert end.estimate is not None
        endless = replace(end.estimate, interval_percent=Span(-math.inf, 90.0), ratio=math.nan)
        found = replace(
            within(),
            measurements=(replace(first, endpoints=(replace(end, estimate=endless),)), *others),
        )
        document = json.loads(rendered(found, "json"), parse_constant=pytest.fail)
        estimate = document["measurements"][0]["endpoints"][0]["estimate"]
        assert estimate["interval_percent"] == {"low": None, "high": 90.0}
        assert estimate["ratio"] is None
        assert "-inf to +90.00" in rendered(found, "text")

    def test_no_known_cost_is_null(self) -> None:
        assert json.loads(rendered(within(), "json"))["cost"] is None


def assert_same(value: Any, document: Any) -> None:
    """Every field of a record, and of the records in it, is in the document."""
    if is_dataclass(value):
        for field in fields(value):
            assert_same(getattr(value, field.name), document[field.name])
    elif isinstance(value, tuple):
        assert len(value) == len(document)
        for one, other in zip(value, document, strict=True):
            assert_same(one, other)
    elif isinstance(value, datetime):
        assert datetime.fromisoformat(document) == value
    else:
        assert document == (str(value) if isinstance(value, StrEnum) else value)


def lines_of(found: Comparison) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(rendered(found, "csv"))))


class TestCsv:
    """One line an endpoint."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_each_endpoint_has_a_line(self, kind: str) -> None:
        found = KINDS[kind]
        expected = [
            (each.name, end.metric) for each in found.measurements for end in each.endpoints
        ]
        assert [(line["measurement"], line["metric"]) for line in lines_of(found)] == expected

    def test_figures_are_as_they_were_computed(self) -> None:
        found = inconclusive()
        end = found.measurements[0].endpoints[1]
        assert end.estimate is not None
        assert end.first is not None
        line = lines_of(found)[1]
        expected: Mapping[str, float] = {
            "overhead_percent": end.estimate.overhead_percent,
            "interval_low_percent": end.estimate.interval_percent.low,
            "deciding_high_percent": end.estimate.decision_percent.high,
            "ratio_high": end.estimate.ratio_interval.high,
            "standard_error_log": end.estimate.standard_error,
            "p_within": end.estimate.p_within,
            "first_median": end.first.median,
            "further_blocks": 12,
            "target_percent": 5,
        }
        assert {name: float(line[name]) for name in expected} == expected
        assert (line["verdict"], line["overall_verdict"]) == ("inconclusive", "inconclusive")

    def test_what_is_not_known_is_empty(self) -> None:
        line = lines_of(everything())[-1]
        assert (line["second_median"], line["overhead_percent"], line["verdict"]) == ("", "", "")

    def test_nothing_compared_is_a_header_alone(self) -> None:
        assert lines_of(refused()) == []
        assert rendered(refused(), "csv").startswith("measurement,scenario,")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_known_cost_is_not_spoken_of(form: Format, kind: str) -> None:
    document = rendered(KINDS[kind], form)
    for word in ("USD", "usd", "$", "Cost"):
        assert word not in document


def test_a_summary_has_the_verdict_and_the_sections_that_were_asked_for() -> None:
    report = ComparisonReport(with_noise(Verdict.INCONCLUSIVE), None, None, WRITTEN)
    summary = render_summary(report, ("results",))
    whole = render_comparison(report, "text")
    assert set(summary.splitlines()) <= set(whole.splitlines())
    assert headline(report.comparison) in summary
    assert "Results" in summary
    assert "Method" not in summary
    assert "Noise floor" not in summary
