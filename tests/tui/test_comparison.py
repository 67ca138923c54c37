"""A comparison as the diff shows it: every cell of the scale where it belongs, and all that the
report says.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.report.comparison_sections import sections
from core.report.comparison_words import SYMBOLS
from core.report.comparisons import ComparisonReport
from core.report.document import Section, Table
from core.verdict.model import Comparison, Endpoint, Span, Verdict
from tests.core.records import texts
from tests.core.verdict.comparison_parts import comparison, endpoint, measurement
from tests.core.verdict.comparisons import (
    KINDS,
    allowed,
    exceeds,
    hostile,
    inconclusive,
    refused,
    with_looks,
    with_noise,
    within,
)
from tests.tui.stand_ins import is_harmless
from tui.widgets.comparison import comparison_content
from tui.widgets.endpoint_table import endpoint_lines
from tui.widgets.overhead_scale import OverheadScale
from tui.widgets.sections import section_lines

WRITTEN = datetime(2026, 5, 4, 14, 0, tzinfo=UTC)
NARROW, WIDE = 74, 194

percents = st.floats(allow_nan=False, allow_infinity=False)
spans = st.tuples(percents, percents).map(lambda ends: Span(*sorted(ends)))
targets = st.floats(0.1, 50)
bar_widths = st.integers(4, 30).map(lambda half: 2 * half + 1)


def end(percent: float, interval: Span | None = None, decision: Span | None = None) -> Endpoint:
    """An endpoint with exactly this overhead and these intervals."""
    interval = interval or Span(percent, percent)
    made = endpoint("p50", 1.0)
    assert made.estimate is not None
    estimate = replace(
        made.estimate,
        overhead_percent=percent,
        interval_percent=interval,
        decision_percent=decision or interval,
    )
    return replace(made, estimate=estimate)


def page(found: Comparison, width: int) -> str:
    def command(*more: str) -> str:
        return " ".join(("compare A B", *more))

    return comparison_content(ComparisonReport(found, None, None, WRITTEN), command, width).plain


def flowing(text: str) -> str:
    """The text without its breaks and indents."""
    return " ".join(text.split())


class TestScale:
    @given(percent=percents, interval=spans, noise=st.none() | spans, width=bar_widths)
    def test_it_always_has_exactly_its_width(
        self, percent: float, interval: Span, noise: Span | None, width: int
    ) -> None:
        shown = OverheadScale(5.0, width).bar(end(percent, interval), noise)
        assert shown.cell_length == len(shown.plain) == width

    @given(percent=percents, target=targets, width=bar_widths)
    def test_the_sign_tells_the_direction_and_what_lies_beyond_the_scale(
        self, percent: float, target: float, width: int
    ) -> None:
        shown = OverheadScale(target, width).bar(end(percent), None).plain
        sign = "●" if abs(percent) <= 2 * target else "▶" if percent > 0 else "◀"
        assert shown.count(sign) == 1
        if abs(percent) > 2 * target:
            assert shown.index(sign) == (width - 1 if percent > 0 else 0)

    @given(percent=percents, target=targets, width=bar_widths)
    def test_no_overhead_changes_its_side_of_zero_or_of_the_target(
        self, percent: float, target: float, width: int
    ) -> None:
        scale = OverheadScale(target, width)
        for line in (0.0, target):
            assume(not math.isclose(percent, line, rel_tol=1e-9, abs_tol=1e-9))
            place, there = scale.cell(percent), scale.cell(line)
            assert (place > there) - (place < there) == (percent > line) - (percent < line)

    @given(interval=spans, width=bar_widths)
    def test_the_targets_line_is_crossed_when_the_interval_holds_the_target(
        self, interval: Span, width: int
    ) -> None:
        scale = OverheadScale(5.0, width)
        # The sign itself stands far from the line.
        shown = scale.bar(end(-10.0, interval), None).plain[scale.cell(5.0)]
        assert shown == ("┿" if interval.low <= 5.0 <= interval.high else "┊")

    def test_an_overhead_of_exactly_the_target_is_on_its_line(self) -> None:
        scale = OverheadScale(5.0, 21)
        # 100 times the float 0.05 - 1e-17 is not 5.
        assert scale.cell(4.999999999999999) == scale.cell(5.0)

    @given(target=targets, width=bar_widths)
    def test_zero_is_in_the_middle(self, target: float, width: int) -> None:
        assert OverheadScale(target, width).cell(0.0) == width // 2

    def test_a_whole_scale_is_drawn_as_expected(self) -> None:
        scale = OverheadScale(5.0, 21)
        found = end(2.0, Span(-3.0, 7.0))
        assert scale.bar(found, None).plain == "·······━━━┼━●━━┿━━···"
        assert scale.heading() == "-10 %     0   5 %"

    def test_noise_floor_and_deciding_interval_are_seen_beside_the_interval(self) -> None:
        found = end(2.0, Span(1.0, 3.0), Span(-1.0, 6.0))
        shown = OverheadScale(5.0, 21).bar(found, Span(-4.0, 8.0)).plain
        assert shown == "······░░░─┼━●━─┿─░░··"

    def test_an_interval_that_goes_beyond_the_scale_says_so(self) -> None:
        shown = OverheadScale(5.0, 21).bar(end(2.0, Span(-30.0, 30.0)), None).plain
        assert (shown[0], shown[-1]) == ("◀", "▶")

    def test_what_has_no_estimate_has_an_empty_scale(self) -> None:
        found = replace(end(1.0), estimate=None, verdict=None)
        assert OverheadScale(5.0, 21).bar(found, None).plain == "··········│····┊·····"


class TestTable:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("width", [NARROW, 100, 120, WIDE])
    def test_every_line_of_an_endpoint_fits(self, kind: str, width: int) -> None:
        lines = [line.plain for line in endpoint_lines(KINDS[kind], width)]
        assert max((len(line) for line in lines if "┊" in line), default=0) <= max(
            width, len(lines[-1])
        )
        for line in lines[:-1]:
            if line.startswith("  ") and "│" in line:
                assert len(line) <= width

    @pytest.mark.parametrize("width", [NARROW, WIDE])
    def test_figures_scale_and_bars_stand_below_each_other(self, width: int) -> None:
        found = comparison(
            Verdict.EXCEEDS, "", [measurement(overheads={"p50": 5.0, "p90": 0.0}, noise=0.0)]
        )
        head, _title, five, zero, *_ = (line.plain for line in endpoint_lines(found, width))
        assert head.index("5 %") in (five.index("●") - 1, five.index("●"))
        assert head[zero.index("●")] == "0"
        assert head.index("overhead") + len("overhead") == five.index("+5.00 %") + len("+5.00 %")

    @pytest.mark.parametrize("verdict", [Verdict.WITHIN, Verdict.EXCEEDS, Verdict.INCONCLUSIVE])
    def test_a_verdict_is_told_without_colour_and_in_words_where_there_is_room(
        self, verdict: Verdict
    ) -> None:
        overhead = {Verdict.WITHIN: 1.0, Verdict.EXCEEDS: 9.0, Verdict.INCONCLUSIVE: 5.0}[verdict]
        found = comparison(verdict, "", [measurement(overheads={"p50": overhead})])
        narrow, wide = (
            next(line.plain for line in endpoint_lines(found, width) if "p50" in line.plain)
            for width in (NARROW, WIDE)
        )
        assert f" {SYMBOLS[verdict]} " in narrow
        assert f"{SYMBOLS[verdict]} {verdict}" in wide

    def test_an_advisory_endpoint_is_dim_and_marked(self) -> None:
        lines = endpoint_lines(within(), NARROW)
        p50 = next(line for line in lines if "p50" in line.plain)
        p99 = next(line for line in lines if "p99" in line.plain)
        assert "p99 ms *" in p99.plain
        assert "*" not in p50.plain
        colours = {str(span.style) for span in p99.spans}
        assert not any("success" in colour or "error" in colour for colour in colours)
        assert any("success" in str(span.style) for span in p50.spans)

    def test_a_figure_near_the_target_keeps_its_side(self) -> None:
        found = comparison(
            Verdict.INCONCLUSIVE, "", [measurement(overheads={"p50": 4.9996, "p90": 5.0004})]
        )
        shown = [line.plain for line in endpoint_lines(found, WIDE)]
        assert any("+4.9996 %" in line for line in shown)
        assert any("+5.0004 %" in line for line in shown)

    def test_the_noise_floor_is_a_band_of_the_endpoints_it_was_measured_of(self) -> None:
        lines = [line.plain for line in endpoint_lines(with_noise(), WIDE)]
        assert "░" in next(line for line in lines if "p50" in line)
        assert "░" not in next(line for line in lines if "p99" in line)
        assert "░ noise floor (A/A)" in lines[-1]
        assert "░" not in "".join(line.plain for line in endpoint_lines(within(), WIDE))

    def test_what_decides_at_an_early_look_is_drawn_wider_than_the_interval(self) -> None:
        lines = [line.plain for line in endpoint_lines(with_looks(), WIDE)]
        p50 = next(line for line in lines if "p50" in line)
        # Below, the interval ends at the line of zero.
        assert "───┼━" in p50
        assert "━───" in p50

    def test_void_blocks_and_what_would_settle_it_stand_at_their_measurement(self) -> None:
        lines = [line.plain for line in endpoint_lines(exceeds(), NARROW)]
        assert any(line.startswith("  ! Block 3 of xen is void") for line in lines)
        lines = [line.plain for line in endpoint_lines(inconclusive(), NARROW)]
        assert any("more blocks of each leg" in line and "p50 12" in line for line in lines)


class TestPage:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("width", [NARROW, WIDE])
    def test_it_says_all_that_the_report_says(self, kind: str, width: int) -> None:
        found = KINDS[kind]
        shown = flowing(page(found, width))
        assert flowing(found.reason) in shown
        for section in sections(ComparisonReport(found, None, None, WRITTEN)):
            for text in (section.title, *section.lines, section.prose, *section.notes):
                assert flowing(text) in shown
            for table in section.tables if section.key != "results" else ():
                for cell in {cell for row in table.rows for cell in row}:
                    # A long cell is broken where it has no blank.
                    assert flowing(cell).replace(" ", "") in shown.replace(" ", "")

    def test_of_a_refusal_it_says_what_to_do_and_the_command_for_the_expert(self) -> None:
        shown = page(refused(), NARROW)
        assert "compare A B --allow driver --allow layer" in shown
        assert "compare A B --allow" not in page(allowed(), NARROW)

    @settings(max_examples=25, deadline=None)
    @given(text=texts, width=st.integers(40, 200))
    def test_it_only_prints(self, text: str, width: int) -> None:
        assert is_harmless(page(hostile(text), width).replace("\n", ""))


class TestSections:
    TABLE = Table("Figures", ("name", "value (ms)"), (("a", "1.00"), ("long", "20.00")), (1,))

    def test_a_table_that_fits_has_its_figures_below_each_other(self) -> None:
        lines = [line.plain for line in section_lines(Section("k", "T", tables=(self.TABLE,)), 40)]
        assert lines[-3:] == ["  name  value (ms)", "  a           1.00", "  long       20.00"]

    def test_one_that_does_not_fit_names_each_figure(self) -> None:
        lines = [line.plain for line in section_lines(Section("k", "T", tables=(self.TABLE,)), 12)]
        assert lines[-2:] == ["  long", "    value (ms): 20.00"]

    def test_facts_that_both_have_are_said_once(self) -> None:
        rows = (("device", "T4", "T4"), ("layer", "bare-metal", "xen-hvm"))
        table = Table("Legs", ("", "baseline", "xen"), rows, stacked=True)
        text = [
            line.plain.split() for line in section_lines(Section("k", "T", tables=(table,)), 74)
        ]
        assert text[-3:] == [
            ["device", "both", "T4"],
            ["layer", "baseline", "bare-metal"],
            ["xen", "xen-hvm"],
        ]
