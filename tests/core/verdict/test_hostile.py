"""Files that nobody's benchmark wrote: one sentence that names the file, and never a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.environment import GpuInfo
from benchmark.errors import InputError, ProblemError, ResultFileError
from benchmark.loadgen_log import LoadgenVerdict
from benchmark.plan import Execution
from benchmark.results import (
    RESULT_FILE,
    Latency,
    Result,
    content_sha256,
    result_text,
    write_result,
)
from core.errors import RunNotFoundError
from core.report.reading import read_leg, read_source
from core.run.journal import Journal
from core.text import harmless
from core.verdict.comparison import compare
from core.verdict.consistency import inconsistency
from core.verdict.legs import Source
from tests.core.records import HOSTILE
from tests.core.verdict.known import OFFLINE
from tests.core.verdict.scene import (
    BLOCK,
    NAME,
    STARTED,
    a_latency,
    a_measurement,
    a_result,
    legs,
    plan_of,
    resealed,
)

Read = Callable[[str | Path], tuple[Source, ...]]


@pytest.fixture
def read(results: Path, journal: Journal) -> Read:
    """Read a leg by its name, where nothing was ever run."""
    return lambda name: read_leg(str(name), results, journal)


def sealed(document: dict[str, Any]) -> str:
    """Return the file's text, with a hash that fits what it says."""
    text = json.dumps({**document, "content_sha256": content_sha256(document)})
    # JSON has no word for infinity, and reads a number that is too large as it.
    return text.replace("Infinity", "1e999")


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / RESULT_FILE
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result_text(a_result([100.0] * 3, **changes)))
    return found


def refuse(read: Read, path: Path) -> str:
    with pytest.raises(ResultFileError) as caught:
        read(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


class TestBroken:
    """What is no result file of this version is not read as one."""

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "is not a result file"),
            ("{", "is not a result file"),
            ("[]", "holds no JSON object"),
            (b"\xff\xfe\x00", "not UTF-8"),
            ("[" * 100_000, "is not a result file"),
            ('{"schema_version": 2}', "schema_version 2"),
            ('{"schema_version": "1"}', "schema_version '1'"),
            ("{}", "schema_version None"),
            ('{"schema_version": 1}', "is missing"),
            ('{"schema_version": NaN}', "NaN"),
        ],
        ids=range(10),
    )
    def test_it_is_one_sentence(
        self, read: Read, tmp_path: Path, text: str | bytes, words: str
    ) -> None:
        assert words in refuse(read, written(tmp_path, text))

    @pytest.mark.parametrize("kept", [10, 1000, -1, -3])
    def test_a_truncated_one(self, read: Read, tmp_path: Path, kept: int) -> None:
        refuse(read, written(tmp_path, result_text(a_result())[:kept].rstrip("\n}")))

    def test_an_edited_one(self, read: Read, tmp_path: Path) -> None:
        text = result_text(a_result()).replace('"hostname": "node"', '"hostname": "mode"')
        assert "was edited after it was written" in refuse(read, written(tmp_path, text))

    @pytest.mark.parametrize("depth", [60, 600])
    def test_one_nested_deep(self, read: Read, tmp_path: Path, depth: int) -> None:
        found = document()
        for _ in range(depth):
            found["benchmarks"][0]["engine"] = {"a": found["benchmarks"][0]["engine"]}
        assert "nested more than 50 levels" in refuse(read, written(tmp_path, sealed(found)))

    def test_one_nested_without_end(self, read: Read, tmp_path: Path) -> None:
        path = written(tmp_path, '{"a":' * 100_000 + "1" + "}" * 100_000)
        assert "nested more than 50 levels" in refuse(read, path)

    def test_what_an_engine_says_may_have_some_levels(self, read: Read, tmp_path: Path) -> None:
        engine: dict[str, Any] = {}
        for _ in range(20):
            engine = {"a": [engine]}
        assert read(written(tmp_path, result_text(with_block(engine=engine))))

    def test_one_of_ten_gigabytes(self, read: Read, tmp_path: Path) -> None:
        path = written(tmp_path, "{")
        os.truncate(path, 10 * 2**30)
        assert "larger than 256 MiB" in refuse(read, path)


def with_block(**changes: Any) -> Result:
    result = a_result([100.0] * 3)
    first, *others = result.benchmarks
    return resealed(result, benchmarks=(first.model_copy(update=changes), *others))


LATENCY = a_latency(10.0, 500)


def with_percentile(name: str, milliseconds: float | None) -> Latency:
    """Latencies with another percentile; None: without it."""
    percentiles = tuple(
        each.model_copy(update={"milliseconds": milliseconds}) if each.name == name else each
        for each in LATENCY.percentiles
        if each.name != name or milliseconds is not None
    )
    return LATENCY.model_copy(update={"percentiles": percentiles, "minimum_ms": 0.0})


SUMMARY = {"validity": "VALID", "90.00_percentile_latency_ns": 1.0e7}


class TestContradicting:
    """A hash that fits does not make figures possible."""

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"latency": LATENCY.model_copy(update={"minimum_ms": -1.0})}, "negative"),
            ({"latency": a_latency(10.0, 499)}, "has 500 queries and 499 latencies"),
            ({"samples": 499}, "has 500 queries and 499 samples"),
            ({"queries": -1, "latency": None}, "has a negative count"),
            ({"throughput_samples_per_s": 200.0}, "samples in"),
            ({"throughput_samples_per_s": 1e13, "duration_s": None}, "claims 1e+13 samples/s"),
            ({"latency": LATENCY.model_copy(update={"maximum_ms": 1.0})}, "not in order"),
            ({"latency": LATENCY.model_copy(update={"mean_ms": 1.0})}, "mean latency beyond"),
            (
                {
                    "latency": LATENCY.model_copy(
                        update={"percentiles": LATENCY.percentiles[:1] + LATENCY.percentiles}
                    )
                },
                "has a percentile twice",
            ),
            (
                {"loadgen": LoadgenVerdict(version="6", valid=True, summary=SUMMARY)},
                "has other figures than LoadGen's summary in it (90.00_percentile_latency_ns)",
            ),
            ({"block": 2}, "is there twice"),
            ({"batch_size": 8}, "has another batch_size than the plan: 8, not 1"),
            ({"host_to_device": False}, "has another host_to_device than the plan"),
            ({"execution": Execution.EAGER}, "has another execution than the plan: eager, not"),
            ({"name": "other"}, "is no measurement of the plan"),
            ({"block": 4}, "is none of the 3 that were planned"),
            (
                {"queries": 10, "samples": 10, "latency": a_latency(10.0, 10), "duration_s": 0.1},
                "has 10 queries, and the plan asks for 500",
            ),
            ({"latency": a_latency(10.0, 500, "batch")}, "has latencies of a batch"),
            ({"latency": with_percentile("p90", None)}, "lacks p90 of its latencies"),
            ({"latency": with_percentile("p50", 0.0)}, "claims a p50 of 0 ms"),
            ({"started_at": STARTED + BLOCK}, "began 0 s after"),
            ({"started_at": STARTED + BLOCK - timedelta(seconds=4)}, "began 4 s after"),
            ({"queries": 10**400, "latency": None, "samples": None}, "that cannot be"),
            ({"build_s": float("inf")}, "that cannot be"),
        ],
    )
    def test_it_is_one_sentence(
        self, read: Read, tmp_path: Path, changes: dict[str, Any], words: str
    ) -> None:
        path = written(tmp_path, sealed(json.loads(result_text(with_block(**changes)))))
        assert words in refuse(read, path)

    def test_a_void_block_may_be_short_of_anything(self, read: Read, tmp_path: Path) -> None:
        died = with_block(
            void=True, void_reasons=("it died",), queries=None, samples=None, latency=None,
            throughput_samples_per_s=None, duration_s=None, raw_files=(),
        )  # fmt: skip
        assert read(written(tmp_path, result_text(died)))

    def test_an_offline_measurement(self, read: Read, tmp_path: Path) -> None:
        result = a_result({OFFLINE: [400.0] * 3})
        assert read(written(tmp_path, result_text(result)))
        entry = result.benchmarks[0]
        assert entry.samples is not None
        for changes, words in (
            ({"samples": entry.samples + 1}, "8001 samples in 1000 batches of 8"),
            ({"samples": 4000, "duration_s": 10.0}, "lasted 10 s, and the plan asks for 20 s"),
        ):
            changed = entry.model_copy(update=changes)
            part = resealed(result, benchmarks=(changed, *result.benchmarks[1:]))
            assert words in refuse(read, written(tmp_path, result_text(part)))

    @pytest.mark.parametrize(
        ("planned", "resolved", "measured", "fits"),
        [
            ([], "graph", "graph", True),
            (["eager", "graph"], "graph", "eager", True),
            (["eager", "graph"], "graph", "graph", False),
            (["auto"], "graph", "graph", True),
        ],
    )
    def test_auto_is_what_the_configuration_says(
        self, planned: list[str], resolved: str, measured: str, fits: bool
    ) -> None:
        scenario = {
            "scenario": "SingleStream", "batch_sizes": [1], "query_count": 500,
            "executions": planned,
        }  # fmt: skip
        plan = plan_of([NAME], scenarios=[scenario])
        name = plan.measurements()[0].name
        entry = a_measurement(NAME, 100.0, execution=Execution(measured)).model_copy(
            update={"name": name}
        )
        result = a_result(
            [100.0], plan=plan, benchmarks=(entry,), complete=False,
            configuration={"execution": Execution(resolved)},
        )  # fmt: skip
        assert (inconsistency(result) == "") is fits

    @pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"])
    def test_times_out_of_ours(self, read: Read, tmp_path: Path, moment: str) -> None:
        found = document()
        found["benchmarks"][0]["started_at"] = moment
        assert "benchmarks.0.started_at" in refuse(read, written(tmp_path, sealed(found)))

    def test_what_loadgen_said_and_what_stands_beside_it_may_agree(self, tmp_path: Path) -> None:
        summary: dict[str, float | str] = {
            "validity": "VALID",
            "qps_with_loadgen_overhead": 100.0,
            "50.00_percentile_latency_ns": 1.0e7,
        }
        loadgen = LoadgenVerdict(version="6", valid=True, summary=summary)
        path = written(tmp_path, result_text(with_block(loadgen=loadgen)))
        assert read_source(path).folder == tmp_path

    def test_a_block_that_was_left_out(self, read: Read, tmp_path: Path) -> None:
        result = a_result([100.0] * 3)
        kept = (*result.benchmarks[:1], *result.benchmarks[2:])
        path = written(tmp_path, result_text(resealed(result, benchmarks=kept)))
        assert f"{NAME}, block 2, is missing" in refuse(read, path)
        stopped = resealed(result, benchmarks=kept, complete=False)
        assert read(written(tmp_path, result_text(stopped)))


class TestPlaces:
    """Whatever the path leads to, the answer is one sentence, and comes at once."""

    def test_nothing(self, read: Read, tmp_path: Path) -> None:
        for name in ("", "nothing", tmp_path / "nothing", "a\0b", "x" * 5000):
            with pytest.raises(RunNotFoundError):
                read(name)

    def test_a_pipe_a_device_and_a_loop(self, read: Read, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "loop").symlink_to("loop")
        for name in (tmp_path / "pipe", "/dev/zero", "/dev/null", tmp_path / "loop"):
            with pytest.raises(RunNotFoundError):
                read(name)

    def test_a_pipe_where_the_result_should_be(self, read: Read, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / RESULT_FILE)
        with pytest.raises(InputError, match="lies in it or below it"):
            read(tmp_path)

    def test_a_folder_of_ten_thousand_files(self, read: Read, tmp_path: Path) -> None:
        for number in range(10_000):
            os.close(os.open(tmp_path / str(number), os.O_CREAT))
        with pytest.raises(InputError, match="lies in it or below it"):
            read(tmp_path)

    def test_folders_that_lead_in_a_circle(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "back").symlink_to(tmp_path)
        with pytest.raises(InputError, match="lies in it or below it"):
            read(tmp_path)

    def test_more_results_than_a_leg_has(self, read: Read, tmp_path: Path) -> None:
        for number in range(1001):
            (tmp_path / str(number)).mkdir()
            (tmp_path / str(number) / RESULT_FILE).touch()
        with pytest.raises(InputError, match="more than 1,000 results"):
            read(tmp_path)

    def test_results_below_a_folder_are_one_leg(self, read: Read, tmp_path: Path) -> None:
        first, _ = legs([100.0, 101.0, 102.0], [100.0])
        for number, source in enumerate(first):
            folder = tmp_path / "runs" / f"{number}"
            folder.mkdir(parents=True)
            write_result(source.result, folder / RESULT_FILE)
        (tmp_path / "latest").symlink_to("runs/2")
        found = read(tmp_path)
        assert [source.result for source in found] == [source.result for source in first]
        assert [source.folder for source in found] == [
            tmp_path / "runs" / f"{number}" for number in range(3)
        ]

    def test_one_broken_result_below_a_folder_is_named(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / "good").mkdir()
        write_result(a_result(), tmp_path / "good" / RESULT_FILE)
        (tmp_path / "worse").mkdir()
        broken = written(tmp_path / "worse", "{")
        with pytest.raises(ResultFileError) as caught:
            read(tmp_path)
        assert str(broken) in str(caught.value)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_is_carried_and_steers_nothing(text: str) -> None:
    named = {
        "gpu_info": GpuInfo(name=text, cuda_version=None, total_memory_gb=None),
        "environment": {"kernel": text, "hostname": text, "gpu": text},
        "gpu": {"driver_version": text},
    }
    found = compare(*legs([100.0] * 3, [99.0] * 3, of_second=named))
    shown = [refusal.sentence for refusal in found.refusals] + list(found.warnings)
    assert any(text in sentence for sentence in shown)
    assert all(harmless(sentence).isprintable() for sentence in shown)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document that holds no other."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    else:
        yield path


WHOLE = document()
# One block stands for all of them; evidence has tests of its own.
PLACES = [
    path
    for path in leaves(WHOLE)
    if path[0] not in ("content_sha256", "attestation") and path[:2] not in {("benchmarks", 1)}
]
STRANGE = (None, 0, -1, 1, 2**63, 10**400, -1e308, 1e-320, 1e999, "", "\x1b[2J", [], {}, True)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(STRANGE)), max_size=2))
def test_any_change_is_compared_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[tuple[Any, ...], Any]]
) -> None:
    changed = json.loads(json.dumps(WHOLE))
    for path, value in changes:
        put(changed, path, value)
    file = written(tmp_path_factory.mktemp("changed"), sealed(changed))
    _, second = legs([1.0], [100.0] * 3)
    try:
        source = read_source(file)
    except ProblemError as problem:
        sentence = str(problem)
    else:
        sentence = compare((source,), second).reason
    assert sentence


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    """Change one place; an earlier change may have taken it away."""
    for part in path[:-1]:
        if not isinstance(document, dict | list):
            return
        document = document[part] if document else None
    if isinstance(document, dict | list) and document:
        document[path[-1]] = value
