"""Which blocks and which figures a verdict may rest on."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark.results import Latency
from core.verdict.comparison import compare
from core.verdict.legs import Source
from core.verdict.model import Verdict
from tests.core.verdict.known import OFFLINE, SERVER, endpoint, only
from tests.core.verdict.scene import a_latency, legs, resealed


def planned(queries: int) -> dict[str, Any]:
    return {"scenario": "SingleStream", "batch_sizes": [1], "query_count": queries}


def with_latency(source: Source, latency: Latency, **changes: Any) -> Source:
    (entry,) = source.result.benchmarks
    changed = entry.model_copy(update={"latency": latency, **changes})
    return Source(resealed(source.result, benchmarks=(changed,)))


def with_p90(source: Source, milliseconds: float | None) -> Source:
    """Give a source's block another p90; None: take it away."""
    (entry,) = source.result.benchmarks
    assert entry.latency is not None
    percentiles = tuple(
        each.model_copy(update={"milliseconds": milliseconds}) if each.name == "p90" else each
        for each in entry.latency.percentiles
        if each.name != "p90" or milliseconds is not None
    )
    return with_latency(source, entry.latency.model_copy(update={"percentiles": percentiles}))


class TestVoidAndFew:
    """Too much void, or too little of anything, is no comparison."""

    def test_a_fifth_may_be_void(self) -> None:
        found = compare(*legs([100.0] * 5, [99.0] * 5, of_second={"void": {2: "it was hot"}}))
        assert found.verdict is Verdict.WITHIN
        (sentence,) = only(found).void
        assert sentence.startswith("xen, ")
        assert sentence.endswith("block 1: it was hot.")
        figures = endpoint(found)
        assert figures.first is not None
        assert figures.second is not None
        assert (figures.first.blocks, figures.second.blocks) == (5, 4)
        assert len(figures.points) == 4

    def test_more_than_a_fifth_is_refused(self) -> None:
        found = compare(
            *legs([100.0] * 6, [99.0] * 6, of_second={"void": {2: "hot", 3: "too hot"}})
        )
        (refusal,) = found.refusals
        assert refusal.key == "void"
        assert "2 of 6 blocks of singlestream-b1 are void in xen" in refusal.sentence
        assert (refusal.first, refusal.second) == ("6 of 6 good", "4 of 6 good")

    @pytest.mark.parametrize("interleaved", [True, False])
    def test_two_blocks_are_too_few(self, interleaved: bool) -> None:
        found = compare(*legs([100.0] * 2, [99.0] * 2, interleaved=interleaved))
        assert [each.key for each in found.refusals] == ["blocks"]
        assert found.verdict is Verdict.REFUSED

    @pytest.mark.parametrize(("made", "refused"), [(8, False), (7, True)])
    def test_blocks_that_were_left_out_count_as_void(self, made: int, refused: bool) -> None:
        first, second = legs([100.0] * 10, [99.0] * 10, interleaved=False)
        whole = second[0].result
        part = resealed(whole, benchmarks=whole.benchmarks[10 - made :], complete=False)
        found = compare(first, (Source(part),))
        sentences = [each.sentence for each in found.refusals if each.key == "void"]
        assert bool(sentences) is refused
        if refused:
            assert sentences[0].startswith("3 of 10 blocks of singlestream-b1 are void in xen")
            assert "3 of them were planned and are not in the results" in sentences[0]

    def test_void_blocks_and_left_out_ones_add_up(self) -> None:
        first, second = legs(
            [100.0] * 10, [99.0] * 10, interleaved=False, of_second={"void": {1: "hot", 2: "hot"}}
        )
        whole = second[0].result
        part = resealed(whole, benchmarks=whole.benchmarks[:-1], complete=False)
        (refusal,) = compare(first, (Source(part),)).refusals
        assert "3 of 10 blocks" in refusal.sentence
        assert "the first because hot; 1 of them were planned" in refusal.sentence

    def test_a_refused_comparison_still_shows_each_legs_figures(self) -> None:
        figures = endpoint(compare(*legs([100.0] * 2, [99.0] * 2)), "throughput")
        assert figures.first is not None
        assert figures.first.median == 100
        assert (figures.estimate, figures.verdict, figures.points) == (None, None, ())


class TestGating:
    """Throughput, p50 and p90 decide where the count supports them; p99 from 10,000 queries."""

    def gating(self, queries: int) -> dict[str, str]:
        latency = a_latency(10.0, queries)
        changes = {"latency": latency, "queries": queries, "samples": queries}
        plan = {"scenarios": [planned(queries)]}
        found = compare(*legs([100.0] * 3, [99.0] * 3, measured=changes, plan=plan))
        return {end.metric: end.advisory for end in only(found).endpoints}

    def test_by_the_number_of_queries(self) -> None:
        assert [name for name, why in self.gating(10).items() if not why] == ["throughput"]
        assert [name for name, why in self.gating(63).items() if not why] == ["throughput", "p50"]
        assert list(self.gating(9_999).values()) == [
            *("", "", ""),
            "p99 gates from 10,000 queries on, and a block has 9,999",
        ]
        assert not any(self.gating(10_000).values())

    def test_too_few_say_how_many_it_takes(self) -> None:
        assert self.gating(63)["p90"] == "p90 takes 64 queries, and a block has 63"
        assert self.gating(500)["p99"] == "p99 takes 662 queries, and a block has 500"

    def test_a_flag_in_the_file_supports_nothing(self) -> None:
        latency = a_latency(10.0, 20)
        claimed = latency.model_copy(
            update={
                "percentiles": tuple(
                    each.model_copy(update={"supported": True}) for each in latency.percentiles
                )
            }
        )
        changes = {"latency": claimed, "queries": 20, "samples": 20}
        plan = {"scenarios": [planned(20)]}
        found = compare(*legs([100.0] * 3, [99.0] * 3, measured=changes, plan=plan))
        assert not endpoint(found, "p90").gating

    def test_what_advises_decides_nothing(self) -> None:
        slow = a_latency(10.0, 500)
        tail = slow.model_copy(
            update={
                "percentiles": tuple(
                    each.model_copy(update={"milliseconds": 19.0}) if each.name == "p99" else each
                    for each in slow.percentiles
                )
            }
        )
        found = compare(
            *legs(
                [100.0] * 3,
                [100.0] * 3,
                of_first={"measured": {"latency": slow}},
                of_second={"measured": {"latency": tail}},
            )
        )
        assert endpoint(found, "p99").verdict is Verdict.EXCEEDS
        assert found.verdict is Verdict.WITHIN

    @pytest.mark.parametrize("spoilt", [1, 10])
    @pytest.mark.parametrize("milliseconds", [None, 0.0])
    def test_a_gating_figure_that_some_blocks_lack_is_refused(
        self, milliseconds: float | None, spoilt: int
    ) -> None:
        first, second = legs([100.0] * 10, [99.0] * 10)
        lacking = tuple(with_p90(source, milliseconds) for source in second[:spoilt])
        found = compare(first, lacking + second[spoilt:])
        (refusal,) = found.refusals
        assert refusal.key == "blocks"
        assert refusal.sentence == (
            f"{spoilt} of 10 good blocks of singlestream-b1 have no p90 in xen, and the verdict "
            "depends on it."
        )

    @pytest.mark.parametrize("lasting", [{"queries": 10, "samples": 10}, {"queries": None}])
    def test_one_short_block_is_void_and_takes_no_percentile_out(
        self, lasting: dict[str, Any]
    ) -> None:
        first, second = legs([100.0] * 10, [99.0] * 10, of_second={"p50_ms": [12.0] * 10})
        short = with_latency(second[0], a_latency(12.0, 10), **lasting)
        found = compare(first, (short, *second[1:]))
        assert found.verdict is Verdict.EXCEEDS
        assert endpoint(found, "p50").gating
        assert len(only(found).void) == 1
        assert "queries, and the plan asks for 500" in only(found).void[0]

    def test_one_slow_offline_block_takes_no_percentile_out(self) -> None:
        values = [400.0] * 5
        first, second = legs({OFFLINE: values}, {OFFLINE: [*values[1:], 20.0]})
        found = compare(first, second)
        counts = [
            source.result.benchmarks[0].latency.count
            for source in second
            if source.result.benchmarks[0].latency is not None
        ]
        assert min(counts) < 64 < max(counts)
        assert endpoint(found, "p90", OFFLINE).gating
        assert only(found).void == ()

    def test_an_offline_block_that_ended_early_is_void(self) -> None:
        values = [400.0] * 5
        first, second = legs({OFFLINE: values}, {OFFLINE: values})
        (entry,) = second[0].result.benchmarks
        early = entry.model_copy(update={"duration_s": 19.0})
        found = compare(
            first, (Source(resealed(second[0].result, benchmarks=(early,))), *second[1:])
        )
        (sentence,) = only(found).void
        assert sentence.endswith("it lasted 19 s, and the plan asks for 20 s.")

    def test_a_server_and_an_offline_measurement_say_what_they_are(self) -> None:
        values = {OFFLINE: [400.0] * 3, SERVER: [50.0] * 3}
        offline, server = compare(*legs(values, values)).measurements
        assert (offline.scenario, offline.batch_size, offline.latency_of) == ("Offline", 8, "batch")
        assert (offline.queries, server.queries, server.latency_of) == (1, 1000, "query")
        assert server.path == "graph"
