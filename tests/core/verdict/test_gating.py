"""Which blocks and which figures a verdict may rest on."""

from __future__ import annotations

import pytest

from core.verdict.comparison import compare
from core.verdict.model import Verdict
from tests.core.verdict.known import OFFLINE, SERVER, endpoint, only
from tests.core.verdict.scene import a_latency, legs


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
        found = compare(*legs([100.0] * 3, [99.0] * 3, measured=changes))
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
        found = compare(*legs([100.0] * 3, [99.0] * 3, measured=changes))
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

    def test_a_gating_figure_that_was_taken_away_forbids_within(self) -> None:
        latency = a_latency(10.0, 500)
        without = latency.model_copy(
            update={"percentiles": tuple(e for e in latency.percentiles if e.name != "p90")}
        )
        found = compare(
            *legs([100.0] * 3, [100.0] * 3, of_second={"measured": {"latency": without}})
        )
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "There is no estimate of p90 of singlestream-b1" in found.reason

    def test_a_server_and_an_offline_measurement_say_what_they_are(self) -> None:
        values = {OFFLINE: [400.0] * 3, SERVER: [50.0] * 3}
        offline, server = compare(*legs(values, values)).measurements
        assert (offline.scenario, offline.batch_size, offline.latency_of) == ("Offline", 8, "batch")
        assert (offline.queries, server.queries, server.latency_of) == (1, 1000, "query")
        assert server.path == "graph"
