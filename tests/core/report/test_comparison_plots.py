"""The pictures of a comparison: whole XML, finite places, text that only says, and the numbers."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.report.comparison_plots import (
    blocks_plot,
    distribution_plot,
    interval_plot,
    throughput_plot,
)
from core.report.comparison_plots.svg import Scale
from core.verdict.comparison import compare
from core.verdict.model import Comparison, MeasurementComparison, Span, Verdict
from core.verdict.raw import RawEvidence, RawEvidenceOfLegs, examine_legs
from tests.core.verdict import comparisons
from tests.core.verdict.comparison_parts import measurement
from tests.core.verdict.raw_scene import raw_source
from tests.core.verdict.scene import BLOCK, NAME, STARTED

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert('1')</script>&\"\x1b[31m\u202e]]>"
NUMBERS = {"x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "width", "height"}
KINDS = {
    "within": comparisons.within,
    "exceeds": comparisons.exceeds,
    "inconclusive": comparisons.inconclusive,
    "noise": comparisons.with_noise,
    "looks": comparisons.with_looks,
    "question": comparisons.noise_question,
    "everything": comparisons.everything,
}

Scene = tuple[Comparison, MeasurementComparison, RawEvidenceOfLegs]


def drawn(svg: str) -> ElementTree.Element:
    """A picture, parsed, its places looked at."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    for element in root.iter():
        assert not element.tag.endswith(("script", "image", "foreignObject", "}a"))
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            if name in NUMBERS:
                assert math.isfinite(float(value))
            if name == "d":
                found = re.findall(r"[^MLZ ]+", value)
                assert all(math.isfinite(float(number)) for number in found)
    return root


def words(root: ElementTree.Element) -> list[str]:
    """What is written in a picture."""
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def of_class(root: ElementTree.Element, *kinds: str) -> list[ElementTree.Element]:
    """The elements that have all these classes."""
    return [each for each in root.iter() if set(kinds) <= set(each.get("class", "").split())]


def every_plot(comparison: Comparison, evidence: RawEvidenceOfLegs) -> Iterator[str]:
    """All pictures of a comparison."""
    yield interval_plot(comparison)
    for each in comparison.measurements:
        yield distribution_plot(comparison, each, evidence)
        yield throughput_plot(comparison, each, evidence)
        yield blocks_plot(comparison, each)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Two legs of five blocks with raw latencies, the second slower by 3.5 %."""
    folder = tmp_path_factory.mktemp("legs")
    generator = numpy.random.default_rng(5)
    legs = [
        [
            raw_source(
                folder / leg,
                [(generator.normal(12e6 * slower, 3e5, 400)).astype(numpy.int64) for _ in range(5)],
                NAME,
                leg,
                started_at=STARTED + number * BLOCK,
                between=timedelta(minutes=4),
            )
        ]
        for number, (leg, slower) in enumerate((("baseline", 1.0), ("xen", 1.035)))
    ]
    comparison = compare(*legs)
    return comparison, comparison.measurements[0], examine_legs(*legs)


class TestEveryPicture:
    """What all pictures have in common."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_is_whole_and_is_described(self, scene: Scene, kind: str) -> None:
        pictures = [svg for svg in every_plot(KINDS[kind](), scene[2]) if svg]
        assert pictures
        for svg in pictures:
            root = drawn(svg)
            title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
            assert title is not None
            assert description is not None
            assert root.get("role") == "img"
            assert root.get("aria-label") == title.text
            assert description.text

    def test_text_from_outside_only_says(self, scene: Scene) -> None:
        for svg in every_plot(comparisons.hostile(HOSTILE), scene[2]):
            if svg:
                drawn(svg)
                assert "<script" not in svg
                assert "\x1b" not in svg
                assert "\u202e" not in svg

    def test_nothing_is_drawn_of_what_is_not_there(self) -> None:
        nothing = RawEvidenceOfLegs(RawEvidence((), (), ()), RawEvidence((), (), ()))
        refused, missing = comparisons.refused(), comparisons.missing(NAME)
        assert interval_plot(refused) == ""
        assert blocks_plot(refused, missing) == ""
        assert distribution_plot(refused, missing, nothing) == ""
        assert throughput_plot(refused, missing, nothing) == ""

    def test_light_and_dark_have_their_own_colours(self, scene: Scene) -> None:
        for svg in every_plot(scene[0], scene[2]):
            assert "prefers-color-scheme: dark" in svg
            marks = re.sub(r"<style>.*?</style>", "", svg, flags=re.DOTALL)
            assert re.findall(r"#[0-9a-fA-F]{3}|rgb", marks) == []

    @settings(max_examples=25)
    @given(
        overhead=st.floats(-1e6, 99.0),
        ends=st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
    )
    def test_any_interval_can_be_drawn(self, overhead: float, ends: tuple[float, float]) -> None:
        found = measurement(overheads={"throughput": 1.0, "p50": 2.0})
        first, second = found.endpoints
        assert first.estimate is not None
        estimate = replace(
            first.estimate,
            overhead_percent=overhead,
            interval_percent=Span(*sorted(ends)),
            decision_percent=Span(-math.inf, math.inf),
        )
        found = replace(found, endpoints=(replace(first, estimate=estimate), second))
        wild = replace(comparisons.within(), measurements=(found,))
        drawn(interval_plot(wild))
        drawn(blocks_plot(wild, found))


class TestIntervals:
    """The answer in one picture."""

    def test_every_gating_endpoint_has_a_row_with_its_numbers(self) -> None:
        root = drawn(interval_plot(comparisons.exceeds()))
        said = words(root)
        assert [word for word in said if word.startswith("p9")] == ["p90", "p90"]
        assert {"singlestream-b1", "offline-b8", "+7.40", "+6.78 to +8.02"} <= set(said)
        assert said.count("target 5 %") == 1

    def test_no_number_is_rounded_over_the_target(self) -> None:
        said = words(drawn(interval_plot(comparisons.inconclusive())))
        assert "+4.999" in said
        assert "+4.80 to +5.004" in said

    @pytest.mark.parametrize(
        ("kind", "shape", "symbol"),
        [("within", "circle", "\u2713"), ("exceeds", "rect", "\u2715"), ("unsure", "path", "?")],
    )
    def test_a_verdict_has_a_colour_a_shape_and_words(
        self, kind: str, shape: str, symbol: str
    ) -> None:
        root = drawn(interval_plot(comparisons.everything()))
        shapes = {mark.tag for mark in of_class(root, "mark", kind)} - {f"{SVG}line"}
        assert shapes == {f"{SVG}{shape}"}
        texts = [element.text or "" for element in of_class(root, kind) if element.text]
        assert texts
        assert all(text.startswith(symbol) for text in texts if "target" in text or symbol == "?")

    def test_marks_stand_in_the_order_of_their_overheads(self) -> None:
        comparison = comparisons.exceeds()
        root = drawn(interval_plot(comparison))
        rows = [
            end.estimate.overhead_percent
            for each in comparison.measurements
            for end in each.endpoints
            if end.gating and end.estimate is not None
        ]
        bars = of_class(root, "bar")
        middles = [(float(bar.get("x1", "")) + float(bar.get("x2", ""))) / 2 for bar in bars]
        assert len(middles) == len(rows)
        order = sorted(range(len(rows)), key=rows.__getitem__)
        assert sorted(middles) == pytest.approx([middles[place] for place in order])

    def test_the_side_of_the_target_is_that_of_the_verdict(self) -> None:
        root = drawn(interval_plot(comparisons.exceeds()))
        (target,) = [line for line in of_class(root, "target") if line.tag == f"{SVG}line"]
        at = float(target.get("x1", ""))
        for bar in of_class(root, "bar", "exceeds"):
            assert float(bar.get("x1", "")) > at
        for bar in of_class(root, "bar", "within"):
            assert float(bar.get("x2", "")) < at

    def test_the_interval_that_decides_is_drawn_where_it_is_wider(self) -> None:
        looks = drawn(interval_plot(comparisons.with_looks()))
        wider = [line for line in of_class(looks, "mark") if line.tag == f"{SVG}line"]
        bars = of_class(looks, "bar")
        assert len(wider) == len(bars) == 3
        for thin, thick in zip(wider, bars, strict=True):
            assert float(thin.get("x1", "")) < float(thick.get("x1", ""))
            assert float(thin.get("x2", "")) > float(thick.get("x2", ""))
        one = drawn(interval_plot(comparisons.within()))
        assert [line for line in of_class(one, "mark") if line.tag == f"{SVG}line"] == []

    def test_the_noise_floor_is_a_band_behind_each_row_that_has_one(self) -> None:
        assert len(of_class(drawn(interval_plot(comparisons.with_noise())), "band")) == 9
        assert of_class(drawn(interval_plot(comparisons.within())), "band") == []

    def test_an_endless_interval_ends_in_arrows_and_leaves_the_others_apart(self) -> None:
        comparison = comparisons.within()
        found = comparison.measurements[0]
        first = found.endpoints[0]
        assert first.estimate is not None
        endless = replace(first.estimate, interval_percent=Span(-4000.0, 99.0))
        ends = (replace(first, estimate=endless), *found.endpoints[1:])
        wild = replace(comparison, measurements=(replace(found, endpoints=ends),))
        root = drawn(interval_plot(wild))
        arrows = [mark for mark in of_class(root, "mark", "within") if mark.tag == f"{SVG}path"]
        assert len(arrows) == 2
        usual = of_class(root, "bar")[1]
        assert float(usual.get("x2", "")) - float(usual.get("x1", "")) > 20


class TestDistributions:
    """Latencies of both legs over each other."""

    def test_both_legs_are_named_with_their_counts_and_percentiles(self, scene: Scene) -> None:
        said = words(drawn(distribution_plot(*scene)))
        medians = {
            end.metric: (end.first, end.second) for end in scene[1].endpoints if end.unit == "ms"
        }
        for place, label in enumerate(("baseline", "xen")):
            (line,) = [word for word in said if word.startswith(f"{label}: 2,000 queries")]
            for metric, legs in medians.items():
                leg = legs[place]
                assert leg is not None
                assert f"{metric} {leg.median:.2f}" in line

    def test_the_slower_leg_lies_to_the_right(self, scene: Scene) -> None:
        root = drawn(distribution_plot(*scene))
        first, second = (
            [float(line.get("x1", "")) for line in of_class(root, "thin", kind)]
            for kind in ("first", "second")
        )
        assert len(first) == len(second) == 3
        assert all(one < other for one, other in zip(first, second, strict=True))

    def test_a_wide_range_has_a_logarithmic_axis(self, scene: Scene, tmp_path: Path) -> None:
        assert "latency, ms" in words(drawn(distribution_plot(*scene)))
        wide = [raw_source(tmp_path, [numpy.geomspace(1e6, 1e9, 500).astype(numpy.int64)])]
        evidence = examine_legs(wide, [])
        said = words(drawn(distribution_plot(scene[0], scene[1], evidence)))
        assert "latency, ms (logarithmic)" in said

    def test_one_leg_alone_is_drawn_alone(self, scene: Scene) -> None:
        alone = replace(scene[2], second=RawEvidence((), (), ()))
        root = drawn(distribution_plot(scene[0], scene[1], alone))
        assert len(of_class(root, "area", "first")) == 1
        assert of_class(root, "area", "second") == []

    def test_latencies_that_are_all_alike_can_be_drawn(self, scene: Scene, tmp_path: Path) -> None:
        same = [raw_source(tmp_path, [numpy.full(50, 7_000_000)])]
        drawn(distribution_plot(scene[0], scene[1], examine_legs(same, same)))


class TestThroughput:
    """Throughput over time."""

    def test_every_block_has_a_line(self, scene: Scene) -> None:
        root = drawn(throughput_plot(*scene))
        assert [len(of_class(root, "thin", kind)) for kind in ("first", "second")] == [5, 5]
        assert {"baseline, 5 blocks", "xen, 5 blocks", "samples/s"} <= set(words(root))

    def test_the_faster_leg_lies_above(self, scene: Scene) -> None:
        root = drawn(throughput_plot(*scene))
        first, second = (
            [float(line.get("y1", "")) for line in of_class(root, "bold", kind)]
            for kind in ("first", "second")
        )
        # The last one of each is the table's own figure; the others belong to the legend.
        assert first[-1] < second[-1]

    def test_of_very_many_blocks_some_are_drawn_and_it_is_said(self, scene: Scene) -> None:
        comparison, found, evidence = scene
        many = RawEvidence(evidence.first.blocks * 20, (), ())
        root = drawn(throughput_plot(comparison, found, replace(evidence, first=many)))
        assert "baseline, 100 blocks (40 shown)" in words(root)
        assert len(of_class(root, "thin", "first")) == 40


class TestBlocks:
    """Each block's own overhead."""

    def test_every_pair_is_a_point_that_tells_its_value(self, scene: Scene) -> None:
        comparison, found, _ = scene
        root = drawn(blocks_plot(comparison, found))
        hints = [title.text or "" for mark in root.iter(f"{SVG}circle") for title in mark]
        expected = [point.overhead_percent for end in found.endpoints for point in end.points]
        assert len(hints) == len(expected) == 20
        for hint, percent in zip(hints, expected, strict=True):
            assert hint.endswith(f": {percent:+.2f} %")

    def test_unpaired_blocks_of_the_legs_have_shapes_of_their_own(self) -> None:
        comparison = comparisons.everything()
        found = next(each for each in comparison.measurements if each.name == "server-b8")
        root = drawn(blocks_plot(comparison, found))
        marks = of_class(root, "mark", "first") + of_class(root, "mark", "second")
        points = [mark for mark in marks if len(mark)]
        shapes = {(mark.get("class"), mark.tag) for mark in points}
        assert shapes == {("mark first", f"{SVG}circle"), ("mark second", f"{SVG}rect")}
        assert len(points) == sum(len(end.points) for end in found.endpoints)

    def test_a_panel_says_what_is_advisory(self) -> None:
        comparison = comparisons.within()
        said = words(drawn(blocks_plot(comparison, comparison.measurements[0])))
        assert "p99 (advisory): overhead, %" in said
        assert "p90: overhead, %" in said


class TestScale:
    """From values to places."""

    @given(
        low=st.floats(-1e6, 1e6),
        width=st.floats(1e-3, 1e6),
        value=st.floats(),
        most=st.integers(2, 12),
    )
    def test_places_are_inside_and_ticks_are_few_and_round(
        self, low: float, width: float, value: float, most: int
    ) -> None:
        scale = Scale(low, low + width, 50, 750)
        assert 50 - 1e-9 <= scale.at(value) <= 750 + 1e-9
        ticks = scale.ticks(most)
        assert len(ticks) <= most + 1
        assert all(one < other for one, other in pairwise(ticks))

    @given(low=st.floats(1e-6, 1e6), factor=st.floats(5, 1e9))
    def test_logarithmic_ticks_are_inside(self, low: float, factor: float) -> None:
        scale = Scale(low, low * factor, 0, 100, logarithmic=True)
        ticks = scale.ticks()
        assert ticks
        assert all(low <= tick <= low * factor for tick in ticks)
        assert [scale.at(tick) for tick in ticks] == sorted(scale.at(tick) for tick in ticks)

    def test_a_scale_without_width_has_one_place(self) -> None:
        assert Scale(3, 3, 10, 20).at(3) == 10
        assert Scale(3, 3, 10, 20).ticks() == (3,)


def test_verdicts_are_complete() -> None:
    """A picture knows every verdict that an endpoint can have."""
    comparison = comparisons.within()
    for verdict in (*Verdict, None):
        measured = tuple(
            replace(each, endpoints=tuple(replace(end, verdict=verdict) for end in each.endpoints))
            for each in comparison.measurements
        )
        root = drawn(interval_plot(replace(comparison, measurements=measured)))
        expected = "no verdict" if verdict is None else str(verdict)
        assert any(expected in word for word in words(root))
