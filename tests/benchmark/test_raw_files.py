"""Raw files that are read with suspicion: what a benchmark wrote, and what somebody else did."""

from __future__ import annotations

import contextlib
import os
import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import InputError, ResultFileError
from benchmark.measure import BATCHES_FILE, LATENCIES_FILE
from benchmark.raw_files import RawFileChangedError, raw_file, raw_path, read_rows
from benchmark.results import MeasurementResult, RawFile
from tests.core.outcomes import measurement
from tests.core.verdict.raw_scene import raw_file_of, saved, stored

PLACE = f"measurements/some-b1-block1/{LATENCIES_FILE}"
ROWS = numpy.array([[0, 5, 100], [1000, 4, 300], [2000, 6, 200]], dtype=numpy.int64)


def kept(folder: Path, data: bytes, path: str = PLACE) -> MeasurementResult:
    """Write a raw file and return the measurement whose it is."""
    return measurement(1, raw_files=(stored(folder, path, data),))


def refusal(folder: Path, data: bytes, name: str = LATENCIES_FILE) -> str:
    """The sentence that a file is refused with."""
    path = PLACE.replace(LATENCIES_FILE, name)
    with pytest.raises(ResultFileError) as caught:
        read_rows(folder, kept(folder, data, path), name)
    assert not isinstance(caught.value, RawFileChangedError)
    assert str(folder / path) in caught.value.sentence
    assert "\n" not in caught.value.sentence
    return caught.value.sentence


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every example of a property writes over."""
    return tmp_path_factory.mktemp("result")


class TestWhatWasWritten:
    """What a benchmark wrote comes back."""

    @given(
        rows=st.lists(
            st.tuples(*[st.integers(0, 365 * 86_400 * 10**9)] * 3), min_size=1, max_size=50
        )
    )
    def test_rows_come_back_as_they_were_saved(
        self, folder: Path, rows: list[tuple[int, int, int]]
    ) -> None:
        found = read_rows(folder, kept(folder, saved(numpy.array(rows))), LATENCIES_FILE)
        assert found is not None
        assert found.tolist() == [list(row) for row in rows]

    def test_a_file_of_many_chunks_comes_back_too(self, tmp_path: Path) -> None:
        rows = numpy.arange(3 * 150_000, dtype=numpy.int64).reshape(-1, 3)
        found = read_rows(tmp_path, kept(tmp_path, saved(rows)), LATENCIES_FILE)
        assert found is not None
        assert numpy.array_equal(found, rows)

    def test_what_is_not_there_is_none(self, tmp_path: Path) -> None:
        there = kept(tmp_path, saved(ROWS))
        assert read_rows(tmp_path, measurement(1), LATENCIES_FILE) is None
        assert read_rows(tmp_path, there, BATCHES_FILE) is None
        (tmp_path / PLACE).unlink()
        assert read_rows(tmp_path, there, LATENCIES_FILE) is None
        assert read_rows(tmp_path / "nowhere", there, LATENCIES_FILE) is None

    def test_a_file_is_found_by_its_name(self, tmp_path: Path) -> None:
        there = kept(tmp_path, saved(ROWS))
        assert raw_file(there, LATENCIES_FILE) == there.raw_files[0]
        assert raw_file(there, BATCHES_FILE) is None
        assert raw_path(tmp_path, there.raw_files[0]) == tmp_path / PLACE


class TestAnotherFile:
    """A file that is not the one that was measured is told apart from one that is unreadable."""

    @given(place=st.integers(0, 199), change=st.integers(1, 255))
    def test_one_changed_byte_is_seen(self, folder: Path, place: int, change: int) -> None:
        data = bytearray(saved(ROWS))
        there = kept(folder, bytes(data))
        data[place % len(data)] ^= change
        (folder / PLACE).write_bytes(data)
        with pytest.raises(RawFileChangedError, match="not the file that was measured"):
            read_rows(folder, there, LATENCIES_FILE)

    @pytest.mark.parametrize("length", [0, 10, -1, 1000])
    def test_another_length_is_seen(self, tmp_path: Path, length: int) -> None:
        there = kept(tmp_path, saved(ROWS))
        size = length if length >= 0 else len(saved(ROWS)) - 1
        os.truncate(tmp_path / PLACE, size)
        with pytest.raises(RawFileChangedError):
            read_rows(tmp_path, there, LATENCIES_FILE)

    def test_a_claim_of_ten_gigabytes_reserves_nothing(self, tmp_path: Path) -> None:
        data = saved(ROWS)
        (tmp_path / "measurements/some-b1-block1").mkdir(parents=True)
        (tmp_path / PLACE).write_bytes(data)
        claim = RawFile(path=PLACE, sha256=sha256(data).hexdigest(), bytes=10**10, holds="rows")
        with pytest.raises(RawFileChangedError):
            read_rows(tmp_path, measurement(1, raw_files=(claim,)), LATENCIES_FILE)

    def test_both_are_wrong_input(self) -> None:
        assert issubclass(RawFileChangedError, ResultFileError)
        assert issubclass(RawFileChangedError, InputError)


class TestNoRawFile:
    """What no benchmark writes is refused in one sentence, and never run."""

    @pytest.mark.parametrize(
        ("rows", "words"),
        [
            (numpy.zeros((4, 3)), "float64"),
            (numpy.full((4, 3), numpy.nan), "float64"),
            (numpy.zeros((4, 3), dtype=numpy.int32), "int32"),
            (numpy.zeros((4, 3), dtype=">i8"), ">i8"),
            (numpy.zeros((4, 2), dtype=numpy.int64), "shape"),
            (numpy.zeros(12, dtype=numpy.int64), "shape"),
            (numpy.asfortranarray(numpy.ones((4, 3), dtype=numpy.int64)), "rows of 3"),
            (numpy.zeros((0, 3), dtype=numpy.int64), "no rows"),
            (numpy.full((4, 3), 2**62, dtype=numpy.int64), "more than a year"),
            (numpy.full((4, 3), -(2**63), dtype=numpy.int64), "more than a year"),
            (numpy.array([[0, 0, 5], [1, 0, -1]]), "negative latency"),
        ],
        ids=lambda value: value if isinstance(value, str) else f"{value.dtype}-{value.shape}",
    )
    def test_other_content_is_refused(self, tmp_path: Path, rows: Any, words: str) -> None:
        assert words in refusal(tmp_path, saved(rows))

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ((5, 4, 1), "ended before it started"),
            ((0, 4, 0), "no samples"),
            ((0, 4, -1), "no samples"),
            ((0, 4, 10**9), "more than there can be"),
        ],
    )
    def test_batches_that_cannot_be(
        self, tmp_path: Path, row: tuple[int, int, int], words: str
    ) -> None:
        assert words in refusal(tmp_path, saved(numpy.array([(0, 5, 1), row])), BATCHES_FILE)

    def test_a_pickle_is_never_opened(self, tmp_path: Path) -> None:
        trap = tmp_path / "sprung"
        objects = saved(numpy.array([[Trap(trap)] * 3], dtype=object), allow_pickle=True)
        refusal(tmp_path, objects)
        refusal(tmp_path, pickle.dumps(Trap(trap)))
        assert not trap.exists()

    @pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
    @given(data=st.binary(max_size=300), place=st.integers(0, 200))
    def test_noise_in_the_header_ends_in_a_sentence_or_in_rows(
        self, folder: Path, data: bytes, place: int
    ) -> None:
        whole = bytearray(saved(ROWS))
        whole[place : place + len(data)] = data
        # Whatever else it raised would be a traceback in front of a person.
        with contextlib.suppress(ResultFileError):
            found = read_rows(folder, kept(folder, bytes(whole)), LATENCIES_FILE)
            assert found is not None
            assert found.shape[1] == 3

    def test_a_header_that_promises_too_much(self, tmp_path: Path) -> None:
        more = saved(ROWS).replace(b"(3, 3), }        ", b"(10000000, 3), } ")
        assert "10000000 rows that its header names" in refusal(tmp_path, more)

    @pytest.mark.parametrize("more", [b"seven..", bytes(24)])
    def test_bytes_after_the_last_row(self, tmp_path: Path, more: bytes) -> None:
        assert "3 rows that its header names" in refusal(tmp_path, saved(ROWS) + more)

    @pytest.mark.parametrize("length", [0, 5, 9, 10, 60])
    def test_a_file_that_ends_within_its_header(self, tmp_path: Path, length: int) -> None:
        assert "header cannot be read" in refusal(tmp_path, saved(ROWS)[:length])

    @pytest.mark.parametrize("place", [0, 75_000, 149_999])
    def test_one_wrong_row_among_many_is_seen(self, tmp_path: Path, place: int) -> None:
        rows = numpy.ones((150_000, 3), dtype=numpy.int64)
        rows[place, 2] = -1
        assert "negative latency" in refusal(tmp_path, saved(rows))

    def test_a_file_that_is_too_large_is_not_read(self, tmp_path: Path) -> None:
        there = kept(tmp_path, saved(ROWS))
        os.truncate(tmp_path / PLACE, 2**40)
        with pytest.raises(ResultFileError, match="larger than 192 MB"):
            read_rows(tmp_path, there, LATENCIES_FILE)

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        there = kept(tmp_path, saved(ROWS))
        (tmp_path / PLACE).unlink()
        os.mkfifo(tmp_path / PLACE)
        with pytest.raises(ResultFileError, match="is no file"):
            read_rows(tmp_path, there, LATENCIES_FILE)

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        there = kept(tmp_path, saved(ROWS))
        (tmp_path / PLACE).unlink()
        (tmp_path / PLACE).mkdir()
        with pytest.raises(ResultFileError, match="cannot be read"):
            read_rows(tmp_path, there, LATENCIES_FILE)


class TestOutside:
    """A result file has no say over files outside its own folder."""

    @pytest.mark.parametrize("path", ["../{}", "/etc/{}", "a/../../{}", "nul\0/{}"])
    def test_a_path_that_leads_out_is_refused(self, tmp_path: Path, path: str) -> None:
        claim = raw_file_of(path.format(LATENCIES_FILE), saved(ROWS))
        with pytest.raises(ResultFileError, match="no path inside"):
            read_rows(tmp_path, measurement(1, raw_files=(claim,)), LATENCIES_FILE)

    @pytest.mark.parametrize("target", ["file", "folder"])
    def test_a_link_that_leads_out_is_refused(self, tmp_path: Path, target: str) -> None:
        outside, inside = tmp_path / "outside", tmp_path / "result"
        claim = stored(outside, PLACE, saved(ROWS))
        link = inside / (PLACE if target == "file" else "measurements")
        link.parent.mkdir(parents=True)
        link.symlink_to(outside / link.relative_to(inside))
        with pytest.raises(ResultFileError, match="no path inside"):
            read_rows(inside, measurement(1, raw_files=(claim,)), LATENCIES_FILE)

    def test_a_link_to_the_whole_result_is_followed(self, tmp_path: Path) -> None:
        there = kept(tmp_path / "runs", saved(ROWS))
        (tmp_path / "latest").symlink_to(tmp_path / "runs")
        assert read_rows(tmp_path / "latest", there, LATENCIES_FILE) is not None

    def test_links_in_a_circle_end_in_a_sentence(self, tmp_path: Path) -> None:
        there = kept(tmp_path, saved(ROWS))
        (tmp_path / PLACE).unlink()
        (tmp_path / PLACE).symlink_to(tmp_path / PLACE)
        with pytest.raises(ResultFileError, match="cannot be read"):
            read_rows(tmp_path, there, LATENCIES_FILE)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)
