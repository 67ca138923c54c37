"""Raw data for plots: against a reference that counts one by one, and from broken files."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ResultFileError
from benchmark.measure import BATCHES_FILE, LATENCIES_FILE
from benchmark.percentiles import order_statistic
from benchmark.plan import Scenario
from benchmark.results import MeasurementResult, RawFile
from core.report.curves import (
    LatencyDistribution,
    ThroughputSeries,
    latency_curve,
    throughput_curve,
)
from tests.core.outcomes import measurement

PLACE = "measurements/some-b1-block1"
MILLISECOND = 10**6
SECOND = 10**9
Draw = Callable[[Path, MeasurementResult], LatencyDistribution | ThroughputSeries | None]
DRAWINGS: tuple[tuple[Draw, str], ...] = (
    (latency_curve, LATENCIES_FILE),
    (throughput_curve, BATCHES_FILE),
)


def stored(folder: Path, content: dict[str, bytes], **values: Any) -> MeasurementResult:
    """Write raw files and return the measurement whose they are."""
    (folder / PLACE).mkdir(parents=True, exist_ok=True)
    raw = []
    for name, data in content.items():
        (folder / PLACE / name).write_bytes(data)
        raw.append(raw_file(f"{PLACE}/{name}", data))
    return measurement(1, raw_files=tuple(raw), **values)


def raw_file(path: str, data: bytes) -> RawFile:
    return RawFile(
        path=path, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), holds="rows"
    )


def saved(rows: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    numpy.save(stream, rows, **options)
    return stream.getvalue()


def rows_of(rows: list[tuple[int, int, int]]) -> bytes:
    return saved(numpy.array(rows, dtype=numpy.int64))


def queries(latencies: list[int]) -> bytes:
    return rows_of([(place * 1000, 5, value) for place, value in enumerate(latencies)])


def distribution(folder: Path, latencies: list[int], **options: Any) -> LatencyDistribution:
    found = latency_curve(folder, stored(folder, {LATENCIES_FILE: queries(latencies)}), **options)
    assert found is not None
    return found


def series(folder: Path, rows: list[tuple[int, int, int]], **options: Any) -> ThroughputSeries:
    found = throughput_curve(folder, stored(folder, {BATCHES_FILE: rows_of(rows)}), **options)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every example of a property writes over."""
    return tmp_path_factory.mktemp("result")


latencies_ns = st.lists(st.integers(0, 10**12), min_size=1, max_size=200)
starts_and_lengths = st.lists(
    st.tuples(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(1, 64)),
    min_size=1,
    max_size=40,
)


class TestLatencies:
    """A histogram of every latency."""

    @given(latencies=latencies_ns, bins=st.integers(1, 60))
    def test_every_query_is_in_the_bin_it_belongs_to(
        self, folder: Path, latencies: list[int], bins: int
    ) -> None:
        found = distribution(folder, latencies, bins=bins)
        edges = [edge * MILLISECOND for edge in found.edges_ms]
        assert edges == sorted(set(edges))
        assert len(found.counts) == len(edges) - 1 <= bins
        counted = [0] * len(found.counts)
        near_an_edge = 0
        for value in latencies:
            # Edges lose their last digits on the way to milliseconds.
            inside = [edge for edge in edges[1:-1] if abs(edge - value) <= 1e-6 * value]
            near_an_edge += bool(inside)
            counted[sum(value >= edge for edge in edges[1:-1])] += 1
        assert sum(found.counts) == found.total == len(latencies)
        wrong = sum(abs(one - other) for one, other in zip(counted, found.counts, strict=True))
        assert wrong <= 2 * near_an_edge

    def test_a_bin_holds_its_lower_edge_and_the_last_one_both(self, folder: Path) -> None:
        assert distribution(folder, [100, 102, 104, 106, 108]).counts == (1, 1, 1, 2)

    @given(latencies=latencies_ns)
    def test_percentiles_and_ends_are_those_of_the_raw_values(
        self, folder: Path, latencies: list[int]
    ) -> None:
        found = distribution(folder, latencies)
        ordered = numpy.array(sorted(latencies))
        assert [(p.name, p.milliseconds) for p in found.percentiles] == [
            (name, order_statistic(ordered, fraction) / 1e6)
            for name, fraction in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
        ]
        assert (found.minimum_ms, found.maximum_ms) == (
            min(latencies) / 1e6,
            max(latencies) / 1e6,
        )
        assert found.edges_ms[0] <= found.minimum_ms <= found.maximum_ms <= found.edges_ms[-1]

    def test_a_narrow_range_is_linear_and_a_wide_one_logarithmic(self, folder: Path) -> None:
        narrow = distribution(folder, [n * MILLISECOND for n in range(100, 200)])
        assert narrow.scale == "linear"
        widths = numpy.diff(narrow.edges_ms)
        assert max(widths) == pytest.approx(min(widths))
        wide = distribution(folder, [n * MILLISECOND for n in range(1, 200)])
        assert wide.scale == "logarithmic"
        ratios = numpy.diff(numpy.log(wide.edges_ms))
        assert max(ratios) == pytest.approx(min(ratios))

    def test_few_queries_have_few_bins(self, folder: Path) -> None:
        assert len(distribution(folder, list(range(100, 109))).counts) == 4
        assert len(distribution(folder, list(range(1000, 2000))).counts) == 32
        assert len(distribution(folder, list(range(5000, 10000))).counts) == 48

    @pytest.mark.parametrize("value", [0, 1, 7 * MILLISECOND])
    def test_queries_that_all_took_as_long_are_one_bin_around_it(
        self, folder: Path, value: int
    ) -> None:
        found = distribution(folder, [value] * 5)
        assert found.counts == (5,)
        low, high = found.edges_ms
        assert low <= value / 1e6 < high

    def test_a_percentile_of_too_few_queries_is_advisory(self, folder: Path) -> None:
        found = distribution(folder, list(range(1000, 1100)))
        assert [p.supported for p in found.percentiles] == [True, True, False]

    def test_offline_takes_the_time_of_its_batches(self, folder: Path) -> None:
        rows = [(0, 2 * MILLISECOND, 8), (2 * MILLISECOND, 5 * MILLISECOND, 8)]
        kept = stored(folder, {BATCHES_FILE: rows_of(rows)}, scenario=Scenario.OFFLINE)
        found = latency_curve(folder, kept)
        assert found is not None
        assert (found.of, found.total) == ("batch", 2)
        assert (found.minimum_ms, found.maximum_ms) == (2, 3)
        assert distribution(folder, [5]).of == "query"


class TestThroughput:
    """Samples/s over time."""

    @given(rows=starts_and_lengths, bins=st.integers(1, 30))
    def test_the_area_is_the_samples_and_every_batch_is_where_it_ran(
        self, folder: Path, rows: list[tuple[int, int, int]], bins: int
    ) -> None:
        batches = [(0, 1000, 1)] + [(start, start + took, n) for start, took, n in rows]
        found = series(folder, batches, bins=bins)
        samples = sum(batch[2] for batch in batches)
        assert (found.samples, found.batches) == (samples, len(batches))
        assert len(found.samples_per_s) == min(bins, len(batches))
        assert found.bin_s * len(found.samples_per_s) == pytest.approx(found.duration_s)
        assert sum(found.samples_per_s) * found.bin_s == pytest.approx(samples)
        assert min(found.samples_per_s) >= -1e-6 * max(found.samples_per_s)
        done = [rate * found.bin_s for rate in found.samples_per_s]
        assert done == pytest.approx(spread(batches, len(done)), rel=1e-6, abs=1e-6)

    def test_a_steady_rate_is_flat_also_where_a_batch_is_longer_than_a_bin(
        self, folder: Path
    ) -> None:
        batches = [(n * SECOND, (n + 1) * SECOND, 32) for n in range(7)]
        found = series(folder, batches, bins=5)
        assert found.samples_per_s == pytest.approx([32.0] * 5)
        assert (found.duration_s, found.bin_s) == (7, 1.4)

    def test_a_pause_is_a_gap(self, folder: Path) -> None:
        batches = [(0, SECOND, 10), (3 * SECOND, 4 * SECOND, 10), (4 * SECOND, 4 * SECOND, 1)]
        found = series(folder, [*batches, (4 * SECOND, 4 * SECOND, 1)], bins=4)
        assert found.samples_per_s == pytest.approx([10, 0, 0, 12])

    def test_batches_on_their_way_together_add_up(self, folder: Path) -> None:
        found = series(folder, [(0, SECOND, 10), (0, SECOND, 30)], bins=1)
        assert found.samples_per_s == pytest.approx([40])

    def test_it_begins_with_the_first_batch(self, folder: Path) -> None:
        found = series(folder, [(5 * SECOND, 6 * SECOND, 3)])
        assert (found.duration_s, found.samples_per_s) == (1, pytest.approx((3,)))


def spread(batches: list[tuple[int, int, int]], bins: int) -> list[float]:
    """Samples in each bin, batch by batch."""
    first = min(batch[0] for batch in batches)
    width = (max(batch[1] for batch in batches) - first) / bins
    found = [0.0] * bins
    for start, end, samples in batches:
        end = max(end, start + 1)
        for place in range(bins):
            low, high = first + place * width, first + (place + 1) * width
            if place == bins - 1:
                high = max(high, end)
            found[place] += samples * max(0.0, min(end, high) - max(start, low)) / (end - start)
    return found


@pytest.mark.parametrize(("draw", "name"), DRAWINGS)
class TestDamagedFiles:
    """One sentence that names the file, or None where there is none; never anything else."""

    def test_a_measurement_that_left_no_file_has_no_curve(
        self, tmp_path: Path, draw: Draw, name: str
    ) -> None:
        assert draw(tmp_path, measurement(1)) is None
        kept = stored(tmp_path, {name: queries([1, 2])})
        (tmp_path / PLACE / name).unlink()
        assert draw(tmp_path, kept) is None
        assert draw(tmp_path / "nowhere", kept) is None

    def refused(self, folder: Path, draw: Draw, name: str, data: bytes) -> str:
        kept = stored(folder, {name: data})
        with pytest.raises(ResultFileError) as caught:
            draw(folder, kept)
        assert str(folder / PLACE / name) in caught.value.sentence
        assert "\n" not in caught.value.sentence
        return caught.value.sentence

    def test_a_file_that_was_changed(self, tmp_path: Path, draw: Draw, name: str) -> None:
        kept = stored(tmp_path, {name: rows_of([(0, 5, 1), (5, 9, 1)])})
        assert draw(tmp_path, kept) is not None
        (tmp_path / PLACE / name).write_bytes(rows_of([(0, 5, 1), (5, 8, 1)]))
        with pytest.raises(ResultFileError, match="not the file that was measured"):
            draw(tmp_path, kept)

    @pytest.mark.parametrize(
        "rows",
        [
            numpy.zeros((4, 3)),
            numpy.full((4, 3), numpy.nan),
            numpy.zeros((4, 3), dtype=numpy.int32),
            numpy.zeros((4, 3), dtype=">i8"),
            numpy.zeros((4, 2), dtype=numpy.int64),
            numpy.zeros(12, dtype=numpy.int64),
            numpy.zeros((0, 3), dtype=numpy.int64),
            numpy.asfortranarray(numpy.ones((4, 3), dtype=numpy.int64)),
            numpy.zeros((4,), dtype=[("a", "<i8"), ("b", "<i8"), ("c", "<i8")]),
            numpy.full((4, 3), 2**62, dtype=numpy.int64),
            numpy.full((4, 3), -(2**63), dtype=numpy.int64),
        ],
        ids=lambda rows: f"{rows.dtype}-{rows.shape}",
    )
    def test_other_columns_and_types(
        self, tmp_path: Path, draw: Draw, name: str, rows: Any
    ) -> None:
        self.refused(tmp_path, draw, name, saved(rows))

    def test_objects_are_never_unpickled(self, tmp_path: Path, draw: Draw, name: str) -> None:
        trap = tmp_path / "sprung"
        data = saved(numpy.array([[Trap(trap)] * 3], dtype=object), allow_pickle=True)
        self.refused(tmp_path, draw, name, data)
        self.refused(tmp_path, draw, name, pickle.dumps(Trap(trap)))
        assert not trap.exists()

    @given(cut=st.integers(0, 500))
    def test_a_file_that_was_cut_short(self, folder: Path, draw: Draw, name: str, cut: int) -> None:
        whole = queries(list(range(1, 20)))
        self.refused(folder, draw, name, whole[: min(cut, len(whole) - 1)])
        self.refused(folder, draw, name, whole + b"x")

    @given(data=st.binary(max_size=300), place=st.integers(0, 200))
    def test_noise_in_the_header(
        self, folder: Path, draw: Draw, name: str, data: bytes, place: int
    ) -> None:
        whole = bytearray(rows_of([(0, 5, 1), (5, 9, 1)]))
        whole[place : place + len(data)] = data
        kept = stored(folder, {name: bytes(whole)})
        # Whatever else it raised would be a crash of the screen.
        with contextlib.suppress(ResultFileError):
            draw(folder, kept)

    def test_a_header_that_promises_too_much(self, tmp_path: Path, draw: Draw, name: str) -> None:
        whole = queries([1, 2])
        said = self.refused(tmp_path, draw, name, huge_shape(whole))
        assert "rows that its header names" in said

    def test_a_file_that_is_too_large_is_not_read(
        self, tmp_path: Path, draw: Draw, name: str
    ) -> None:
        kept = stored(tmp_path, {name: queries([1])})
        with (tmp_path / PLACE / name).open("r+b") as stream:
            stream.truncate(2**40)
        with pytest.raises(ResultFileError, match="larger than 192 MB"):
            draw(tmp_path, kept)

    def test_what_is_no_file(self, tmp_path: Path, draw: Draw, name: str) -> None:

        kept = stored(tmp_path, {name: queries([1])})
        (tmp_path / PLACE / name).unlink()
        os.mkfifo(tmp_path / PLACE / name)
        with pytest.raises(ResultFileError, match="is no file"):
            draw(tmp_path, kept)

    @pytest.mark.parametrize("path", ["../{}", "/etc/{}", "a/../../{}", "nul\0/{}"])
    def test_a_path_that_leads_out_of_the_results_folder(
        self, tmp_path: Path, draw: Draw, name: str, path: str
    ) -> None:
        data = rows_of([(0, 5, 1)])
        (tmp_path / name).write_bytes(data)
        inside = tmp_path / "result"
        inside.mkdir()
        kept = measurement(1, raw_files=(raw_file(path.format(name), data),))
        with pytest.raises(ResultFileError, match="no path inside"):
            draw(inside, kept)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def huge_shape(whole: bytes) -> bytes:
    """A header for far more rows than follow, of the same length."""
    return whole.replace(b"(2, 3), }        ", b"(10000000, 3), } ")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((5, 4, 1), "ended before it started"),
        ((0, 4, 0), "no samples"),
        ((0, 4, 10**9), "more than there can be"),
    ],
)
def test_batches_that_cannot_be(tmp_path: Path, row: tuple[int, int, int], words: str) -> None:
    kept = stored(tmp_path, {BATCHES_FILE: rows_of([(0, 5, 1), row])})
    with pytest.raises(ResultFileError, match=words):
        throughput_curve(tmp_path, kept)


def test_a_latency_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match="negative latency"):
        distribution(tmp_path, [5, -1])


def test_batches_that_took_no_time_have_no_rate(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match="span no time"):
        series(tmp_path, [(5, 5, 1)])
