"""Raw files held against the figures of the result file beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.errors import ResultFileError
from benchmark.measure import LATENCIES_FILE, summarize_latencies
from benchmark.results import MeasurementResult, Percentile
from core.verdict.binning import LatencyHistogram, histogram, pooled, samples_over_time
from core.verdict.legs import Source
from core.verdict.raw import RawFinding, examine, examine_all, examine_legs
from core.verdict.raw_figures import latency_problems
from tests.core.verdict.raw_scene import raw_block, raw_source, saved, stored
from tests.core.verdict.scene import NAME, STARTED, a_measurement, resealed

MILLISECOND = 10**6
NAMES = ("offline-b8", "server-b8", NAME)
Latencies = NDArray[numpy.int64]


def latencies(count: int = 300, seed: int = 1, milliseconds: float = 12) -> Latencies:
    """Latencies in ns that no two seeds have in common."""
    drawn = numpy.random.default_rng(seed).lognormal(0, 0.1, count)
    return (drawn * milliseconds * MILLISECOND).astype(numpy.int64)


def changed(source: Source, **values: Any) -> Source:
    """The same run with other figures in its first block, and the hash of its content renewed."""
    first, *others = source.result.benchmarks
    blocks = (first.model_copy(update=values), *others)
    return Source(resealed(source.result, benchmarks=blocks), source.folder)


def problems(source: Source) -> list[str]:
    """What is wrong with a source, in sentences."""
    found = examine(source).findings
    assert all(finding.problem.endswith(".") and "\n" not in finding.problem for finding in found)
    return [finding.problem for finding in found]


def with_percentile(block: MeasurementResult, name: str, factor: float) -> Any:
    """A block's latency figures with one percentile that is not that of its raw latencies."""
    assert block.latency is not None
    percentiles: Sequence[Percentile] = [
        entry.model_copy(update={"milliseconds": entry.milliseconds * factor})
        if entry.name == name
        else entry
        for entry in block.latency.percentiles
    ]
    return block.latency.model_copy(update={"percentiles": tuple(percentiles)})


@pytest.mark.parametrize("name", NAMES)
class TestEveryScenario:
    """What holds for Offline's batches as for the queries of the others."""

    def test_what_belongs_together_has_no_finding(self, tmp_path: Path, name: str) -> None:
        blocks = [latencies(seed=seed) for seed in (1, 2)]
        evidence = examine(raw_source(tmp_path, blocks, name))
        assert (evidence.findings, evidence.notes) == ((), ())
        assert [(block.measurement, block.block) for block in evidence.blocks] == [
            (name, 1),
            (name, 2),
        ]
        together = evidence.latencies(name)
        assert together is not None
        assert together.total == 600
        assert together.of == ("batch" if name == "offline-b8" else "query")
        assert len(evidence.throughput(name)) == 2
        assert evidence.latencies("another") is None
        assert evidence.throughput("another") == ()

    @pytest.mark.parametrize("percentile", ["p50", "p90", "p95", "p99", "p99.9"])
    @pytest.mark.parametrize("factor", [1 + 1e-9, 0.97])
    def test_a_percentile_that_is_not_that_of_the_raw_latencies_is_found(
        self, tmp_path: Path, name: str, percentile: str, factor: float
    ) -> None:
        source = raw_source(tmp_path, [latencies()], name)
        latency = with_percentile(source.result.benchmarks[0], percentile, factor)
        (problem,) = problems(changed(source, latency=latency))
        assert f"The {percentile} of the raw latencies is" in problem

    @pytest.mark.parametrize("figure", ["minimum_ms", "mean_ms", "maximum_ms"])
    def test_so_is_another_shortest_mean_or_longest(
        self, tmp_path: Path, name: str, figure: str
    ) -> None:
        source = raw_source(tmp_path, [latencies()], name)
        latency = source.result.benchmarks[0].latency
        assert latency is not None
        other = latency.model_copy(update={figure: getattr(latency, figure) * 1.001})
        assert len(problems(changed(source, latency=other))) == 1

    def test_so_are_other_counts(self, tmp_path: Path, name: str) -> None:
        source = raw_source(tmp_path, [latencies()], name)
        block = source.result.benchmarks[0]
        assert block.samples is not None
        assert block.latency is not None
        assert "samples" in problems(changed(source, samples=block.samples + 1))[0]
        count = block.latency.model_copy(update={"count": 299})
        assert problems(changed(source, latency=count)) == [
            "There are 300 raw latencies, and the result file says 299."
        ]
        assert block.batch_sizes is not None
        sizes = block.batch_sizes.model_copy(update={"largest": 64})
        assert "of up to 64" in problems(changed(source, batch_sizes=sizes))[0]

    @pytest.mark.parametrize("factor", [1.1, 2.0])
    def test_so_is_a_throughput_that_the_raw_data_are_too_slow_for(
        self, tmp_path: Path, name: str, factor: float
    ) -> None:
        source = raw_source(tmp_path, [latencies()], name)
        faster = (source.result.benchmarks[0].throughput_samples_per_s or 0) * factor
        (problem,) = problems(changed(source, throughput_samples_per_s=faster))
        assert "at the throughput that the result file says" in problem

    def test_a_file_that_was_exchanged_is_found_and_not_plotted(
        self, tmp_path: Path, name: str
    ) -> None:
        source = raw_source(tmp_path, [latencies()], name)
        for path in tmp_path.rglob("*.npy"):
            path.write_bytes(path.read_bytes()[:-8] + b"\7\0\0\0\0\0\0\0")
        evidence = examine(source)
        assert len(evidence.findings) == len(source.result.benchmarks[0].raw_files)
        assert all("not the file that was measured" in each.problem for each in evidence.findings)
        assert evidence.latencies(name) is None
        assert evidence.notes == ()


class TestQueries:
    """What the other scenarios have and Offline has not."""

    def test_a_query_too_many_is_found(self, tmp_path: Path) -> None:
        source = raw_source(tmp_path, [latencies()])
        assert problems(changed(source, queries=299)) == [
            "There are 300 raw queries, and the result file says 299."
        ]

    def test_a_throughput_that_the_raw_data_are_too_fast_for_is_found(self, tmp_path: Path) -> None:
        source = raw_source(tmp_path, [latencies()])
        slower = (source.result.benchmarks[0].throughput_samples_per_s or 0) * 0.9
        assert len(problems(changed(source, throughput_samples_per_s=slower))) == 1

    def test_a_finding_names_its_block(self, tmp_path: Path) -> None:
        source = changed(raw_source(tmp_path, [latencies()]), queries=299)
        (finding,) = examine(source).findings
        assert isinstance(finding, RawFinding)
        assert (finding.measurement, finding.block) == (NAME, 1)
        assert finding.run == source.result.run_id


class TestWhatIsNotThere:
    """A result file may travel alone."""

    @pytest.mark.parametrize("kept", ["nothing", "one file", "no folder"])
    def test_missing_files_are_noted_and_are_no_finding(self, tmp_path: Path, kept: str) -> None:
        source = raw_source(tmp_path, [latencies(seed=seed) for seed in (1, 2)])
        missing = list(tmp_path.rglob("*.npy" if kept == "nothing" else f"*1/{LATENCIES_FILE}"))
        for path in missing:
            path.unlink()
        evidence = examine(Source(source.result, None) if kept == "no folder" else source)
        assert evidence.findings == ()
        (note,) = evidence.notes
        count = 1 if kept == "one file" else 2
        assert f"raw files of {count} of 2 good blocks of run {source.result.run_id}" in note

    def test_void_blocks_and_those_without_figures_are_left_alone(self, tmp_path: Path) -> None:
        source = raw_source(tmp_path, [latencies(), latencies(seed=2)])
        for path in tmp_path.rglob("*.npy"):
            path.write_bytes(b"nothing")
        void, dead = source.result.benchmarks
        blocks = (
            void.model_copy(update={"void": True, "void_reasons": ("throttled",)}),
            dead.model_copy(update={"throughput_samples_per_s": None}),
        )
        evidence = examine(Source(resealed(source.result, benchmarks=blocks), tmp_path))
        assert (evidence.blocks, evidence.findings, evidence.notes) == ((), (), ())


class TestUnreadable:
    """What cannot be a raw file ends the comparison with a sentence."""

    def test_a_file_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        block = raw_block(tmp_path, latencies())
        raw = [
            stored(tmp_path, entry.path, saved(numpy.full((4, 3), numpy.nan)))
            for entry in block.raw_files
        ]
        source = changed(raw_source(tmp_path / "other", [latencies()]), raw_files=tuple(raw))
        with pytest.raises(ResultFileError, match="float64"):
            examine(Source(source.result, tmp_path))

    def test_a_path_out_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        source = raw_source(tmp_path, [latencies()])
        raw = source.result.benchmarks[0].raw_files
        out = tuple(entry.model_copy(update={"path": f"../{entry.path}"}) for entry in raw)
        with pytest.raises(ResultFileError, match="no path inside"):
            examine(changed(source, raw_files=out))


class TestSeveral:
    """Many results at once, in several threads."""

    def test_evidence_is_in_the_order_of_the_sources_whatever_the_threads(
        self, tmp_path: Path
    ) -> None:
        sources = [
            raw_source(
                tmp_path / str(number),
                [latencies(seed=10 * number + block) for block in range(3)],
                started_at=STARTED + number * timedelta(hours=1),
            )
            for number in range(4)
        ]
        sources[2] = changed(sources[2], queries=1)
        one, four = examine_all(sources, 1), examine_all(sources, 4)
        assert one == four == tuple(examine(source) for source in sources)
        assert [len(each.findings) for each in one] == [0, 0, 1, 0]
        assert [each.blocks[0].run for each in one] == [each.result.run_id for each in sources]

    def test_legs_keep_their_own_evidence(self, tmp_path: Path) -> None:
        first = [raw_source(tmp_path / "a", [latencies(seed=1)])]
        second = [
            raw_source(tmp_path / "b", [latencies(seed=2)], leg="xen"),
            changed(raw_source(tmp_path / "c", [latencies(seed=3)], leg="xen"), queries=1),
            Source(raw_source(tmp_path / "d", [latencies(seed=4)], leg="xen").result, None),
        ]
        found = examine_legs(first, second)
        assert (len(found.first.blocks), len(found.second.blocks)) == (1, 3)
        assert found.findings == found.second.findings != ()
        assert found.notes == found.second.notes != ()
        assert found.first.findings == ()

    def test_nothing_is_nothing(self) -> None:
        assert examine_all([]) == ()
        assert examine_legs([], []).findings == ()


values_ns = st.lists(st.integers(0, 365 * 86_400 * 10**9), min_size=1, max_size=200)


class TestBins:
    """Bins that are the same for every file."""

    @given(values=values_ns)
    def test_every_latency_lies_in_its_bin_and_bins_are_narrow(self, values: list[int]) -> None:
        found = histogram("query", numpy.array(values))
        edges = found.edges_ms() * MILLISECOND
        assert found.total == len(values)
        assert found.counts[0] > 0 < found.counts[-1]
        assert (numpy.diff(edges) <= edges[:-1] / 256 * (1 + 1e-9)).all()
        counted = [0] * len(found.counts)
        # Beyond 2**53 a latency in ns is no exact double; half a year is.
        for value in (float(max(1, value)) for value in values):
            inside = numpy.searchsorted(edges * (1 - 1e-12), value, side="right") - 1
            # Just below the last edge, the tolerance finds it beyond.
            counted[min(int(inside), len(counted) - 1)] += 1
        wrong = sum(abs(one - other) for one, other in zip(counted, found.counts, strict=True))
        near = sum(
            bool((numpy.abs(edges - max(1, value)) <= 1e-9 * value).any()) for value in values
        )
        assert wrong <= 2 * near

    @given(first=values_ns, second=values_ns)
    def test_pooling_is_counting_all_at_once(self, first: list[int], second: list[int]) -> None:
        one, other = (histogram("query", numpy.array(each)) for each in (first, second))
        assert pooled([one, other]) == histogram("query", numpy.array(first + second))

    def test_what_is_not_of_one_kind_is_not_pooled(self) -> None:
        values = latencies()
        assert pooled([histogram("query", values), histogram("batch", values)]) is None
        assert pooled([]) is None
        alone = histogram("batch", values)
        assert pooled([alone]) == alone
        assert isinstance(alone, LatencyHistogram)

    @given(
        rows=st.lists(
            st.tuples(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(1, 64)),
            min_size=1,
            max_size=40,
        ),
        order=st.randoms(use_true_random=False),
    )
    def test_the_order_of_batches_does_not_matter(
        self, rows: list[tuple[int, int, int]], order: Any
    ) -> None:
        batches = [(0, 1000, 1)] + [(start, start + took, n) for start, took, n in rows]
        shuffled = list(batches)
        order.shuffle(shuffled)
        width, samples = samples_over_time(numpy.array(batches), 7)
        other_width, other_samples = samples_over_time(numpy.array(shuffled), 7)
        assert width == other_width
        assert samples == pytest.approx(other_samples, rel=1e-9, abs=1e-6)
        assert sum(samples) == pytest.approx(sum(batch[2] for batch in batches))

    def test_a_moment_has_no_rate(self) -> None:
        with pytest.raises(ValueError, match="span no time"):
            samples_over_time(numpy.array([(5, 5, 1)]), 10)


@given(values=values_ns)
def test_figures_agree_exactly_with_those_that_the_benchmark_computes(values: list[int]) -> None:
    column = numpy.array(values)
    block = a_measurement(NAME, 1.0, latency=summarize_latencies(column, offline=False))
    assert list(latency_problems(block, column)) == []
