"""A result file is read as it was written, or refused in one sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import benchmark.results
from benchmark.errors import ResultFileError
from benchmark.probes import ProbeResult
from benchmark.results import (
    NOTICE,
    content_sha256,
    read_result,
    result_json_schema,
    write_result,
)
from tests.benchmark.builders import STARTED, measurement, result

PUBLISHED_SCHEMA = Path(benchmark.results.__file__).with_name("benchmark_results.schema.json")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A result file that can be read."""
    path = tmp_path / "benchmark_results.json"
    write_result(result(), path)
    return path


def refusal(path: Path) -> str:
    """Return the one sentence with which the file is refused."""
    with pytest.raises(ResultFileError) as caught:
        read_result(path)
    sentence = caught.value.sentence
    assert str(path) in sentence
    assert "\n" not in sentence
    assert caught.value.exit_code == 2
    return sentence


def edit(path: Path, change: Callable[[dict[str, Any]], None], *, resealed: bool = True) -> None:
    """Change a result file, and its seal as somebody who knows how would."""
    document = json.loads(path.read_text())
    change(document)
    if resealed:
        document["content_sha256"] = content_sha256(document)
    path.write_text(json.dumps(document))


def test_a_result_survives_being_written_and_read(path: Path) -> None:
    assert read_result(path) == result()


def probe(**changes: Any) -> ProbeResult:
    values = {"name": "launch", "title": "kernel launch", "unit": "us", "block": 1, "count": 9}
    figures = {"minimum": 2.0, "median": 2.5, "p90": 3.0, "p99": 9.0}
    return ProbeResult.model_validate({**values, **figures, "started_at": STARTED, **changes})


def test_probes_survive_being_written_and_read(path: Path) -> None:
    written = result(probes=(probe(), probe(block=2)))
    write_result(written, path)
    assert read_result(path) == written
    Draft202012Validator(result_json_schema()).validate(json.loads(path.read_text()))


def test_a_file_from_before_there_were_probes_is_read_and_written_as_it_was(path: Path) -> None:
    document = json.loads(path.read_text())
    assert "probes" not in document
    assert "probes" not in document["plan"]
    assert content_sha256(document) == document["content_sha256"]
    again = path.with_name("again.json")
    write_result(read_result(path), again)
    assert again.read_text() == path.read_text()
    assert read_result(again).probes == ()


def test_a_file_that_says_that_it_has_no_probes_is_read_too(path: Path) -> None:
    edit(path, lambda document: document.update(probes=[]))
    assert read_result(path).probes == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [("median", -1), ("p99", 1e999), ("p90", 0.5), ("count", 0), ("problem", "and a reason")],
)
def test_probes_that_cannot_be_are_refused(path: Path, field: str, value: Any) -> None:
    write_result(result(probes=(probe(),)), path)
    edit(path, lambda document: document["probes"][0].update({field: value}))
    refusal(path)


def test_the_reference_deployments_fields_are_where_they_were(path: Path) -> None:
    document = json.loads(path.read_text())
    assert {"timestamp", "gpu_info", "benchmarks"} <= document.keys()
    assert {"name", "cuda_version", "total_memory_gb"} == document["gpu_info"].keys()
    assert isinstance(document["benchmarks"], list)


def test_a_result_says_that_it_is_no_mlperf_result_and_that_it_is_a_cpus(path: Path) -> None:
    read = read_result(path)
    assert read.notice == NOTICE
    assert "not an MLPerf result" in read.notice
    assert "no GPU: measured on the CPU" in read.gpu_info.name


def test_the_rates_for_a_second_leg_are_those_of_its_measurements() -> None:
    assert result().arrival_rates() == {"server-b8": 8.25}


def test_the_schema_is_a_schema_and_accepts_a_result(path: Path) -> None:
    schema = result_json_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(path.read_text()))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("leg", 7),
        ("complete", "yes"),
        ("device", "tpu"),
        ("content_sha256", "short"),
        ("schema_version", 2),
        ("surprise", 1),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(path: Path, place: str, value: Any) -> None:
    edit(path, lambda document: document.update({place: value}), resealed=False)
    validator = Draft202012Validator(result_json_schema())
    assert not validator.is_valid(json.loads(path.read_text()))
    refusal(path)


def test_the_published_schema_is_the_programs_own() -> None:
    if not PUBLISHED_SCHEMA.exists():
        pytest.skip("the schema is not published yet")
    assert json.loads(PUBLISHED_SCHEMA.read_text()) == result_json_schema()


def test_a_file_that_was_edited_is_refused(path: Path) -> None:
    def flatter(document: dict[str, Any]) -> None:
        document["benchmarks"][0]["throughput_samples_per_s"] = 8.1

    edit(path, flatter, resealed=False)
    assert "was edited after it was written" in refusal(path)


def test_a_file_that_was_only_laid_out_anew_is_read(path: Path) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(document.items())), indent=8))
    assert read_result(path) == result()


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        (2, "Use the version"),
        (0, "Use the version"),
        ("1", "not a result file"),
        (None, "not a result file"),
        ([1] * 10_000, "not a result file"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_another_version_is_refused_by_its_number(path: Path, version: Any, remedy: str) -> None:
    edit(path, lambda document: document.update(schema_version=version))
    sentence = refusal(path)
    assert "schema_version" in sentence
    assert len(sentence) < len(str(path)) + 150
    with pytest.raises(ResultFileError, match=remedy):
        read_result(path)


@pytest.mark.parametrize("field", ["throughput_samples_per_s", "duration_s", "arrival_rate_qps"])
@pytest.mark.parametrize("value", [-1.0, -1e-9])
def test_a_negative_figure_is_refused(path: Path, field: str, value: float) -> None:
    edit(path, lambda document: document["benchmarks"][0].update({field: value}))
    assert "server-b8 has a negative or endless figure" in refusal(path)


def test_a_negative_percentile_is_refused(path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["benchmarks"][0]["latency"]["percentiles"][0]["milliseconds"] = -2

    edit(path, change)
    assert "negative or endless" in refusal(path)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_json_is_refused_by_its_word(path: Path, constant: str) -> None:
    path.write_text(path.read_text().replace(" 8.0,", f" {constant},", 1))
    assert f"it holds {constant}" in refusal(path)


def test_a_number_too_large_for_a_figure_is_refused(path: Path) -> None:
    path.write_text(path.read_text().replace(" 8.0,", " 1e999,", 1))
    refusal(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a result file"),
        (b"hello", "is not a result file"),
        (b"[]", "holds no JSON object"),
        (b"null", "holds no JSON object"),
        (b"{}", "schema_version None"),
        (b'{"schema_version": 1}', "leg: is missing"),
        (b'{"timestamp": "2026", "gpu_info": {}, "benchmarks": []}', "schema_version None"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b'{"a": ' + b"[" * 200_000, "is not a result file"),
        (b'{"schema_version": ' + b"1" * 10_000 + b"}", "is not a result file"),
        (b"\x80\x02}q\x00.", "it is not UTF-8 text"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_file_that_is_not_ours_is_refused(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    assert said in refusal(path)


def test_deep_nesting_inside_a_result_is_refused(path: Path) -> None:
    deep = "[" * 50_000 + "]" * 50_000
    path.write_text(path.read_text().replace('"batch_norm_folded": false', f'"deep": {deep}'))
    refusal(path)


def test_a_huge_file_is_refused_without_being_read(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(2**40)
    assert "is larger than" in refusal(path)


def test_a_device_without_end_is_refused() -> None:
    refusal(Path("/dev/zero"))


def test_what_is_not_there_or_no_file_is_refused(path: Path) -> None:
    assert "No such file" in refusal(path.with_name("absent.json"))
    assert "Is a directory" in refusal(path.parent)
    assert "Not a directory" in refusal(path / "x")


def test_a_field_name_from_a_strangers_file_steers_no_terminal(path: Path) -> None:
    edit(path, lambda document: document.update({"\x1b[2J\nnew line": 1}))
    assert refusal(path).isprintable()


GIVEN = result(probes=(probe(),))
WRITTEN = json.dumps(GIVEN.model_dump(mode="json"), indent=1).encode()


@given(st.integers(0, len(WRITTEN) - 1))
def test_a_file_cut_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.json"
    path.write_bytes(WRITTEN[:length])
    refusal(path)


changes = st.lists(
    st.tuples(
        st.integers(0, len(WRITTEN) - 1),
        st.integers(0, 12),
        st.binary(max_size=4)
        | st.sampled_from(
            [b"null", b"-1", b"{}", b"[]", b'"', b"1e999", b'"\\ud800"', b"true", b"\\", b","]
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(changes)
def test_a_damaged_file_is_refused_or_means_what_it_meant(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int, bytes]]
) -> None:
    content = WRITTEN
    for place, length, replacement in damage:
        content = content[:place] + replacement + content[place + length :]
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(content)
    try:
        read = read_result(path)
    except ResultFileError:
        return
    # Only white space, or the way in which a value is spelt, can have changed.
    assert read == GIVEN


def places(document: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value of a JSON document."""
    keys: list[Any] = []
    if isinstance(document, dict):
        keys = list(document)
    elif isinstance(document, list):
        keys = list(range(len(document)))
    return [here, *(place for key in keys for place in places(document[key], (*here, key)))]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.text(), values, max_size=2),
    max_leaves=4,
) | st.sampled_from(["\ud800", {"\ud800": 1}, "\x1b[2J", "2026-01-01T00:00:00", 10**400])


@given(st.sampled_from(places(json.loads(WRITTEN))[1:]), json_values)
def test_a_forged_file_is_refused_or_can_be_used_like_any_other(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: Any
) -> None:
    document = json.loads(WRITTEN)
    target = document
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    document["content_sha256"] = content_sha256(document)
    path = tmp_path_factory.getbasetemp() / "forged.json"
    path.write_text(json.dumps(document))
    try:
        read = read_result(path)
    except ResultFileError:
        return
    for part in read.benchmarks:
        assert part.throughput_samples_per_s is None or part.throughput_samples_per_s >= 0
    write_result(read, path)
    read.model_dump_json()


figures = st.floats(0, 1e12, allow_nan=False)


@given(
    throughput=figures,
    duration=figures,
    text=st.text(st.characters(codec="utf-8"), max_size=40),
    summary=st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=9),
        figures | st.text(st.characters(codec="utf-8"), max_size=9),
        max_size=4,
    ),
)
def test_any_figures_and_words_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    throughput: float,
    duration: float,
    text: str,
    summary: dict[str, Any],
) -> None:
    given_loadgen = measurement().loadgen
    assert given_loadgen is not None
    written = result(
        benchmarks=(
            measurement(
                throughput_samples_per_s=throughput,
                duration_s=duration,
                remarks=(text,),
                loadgen=given_loadgen.model_copy(update={"summary": summary}),
            ),
        ),
    )
    path = tmp_path_factory.getbasetemp() / "any.json"
    write_result(written, path)
    read = read_result(path)
    assert read == written
    assert not any(math.isnan(figure) for figure in (throughput, duration))


@pytest.mark.parametrize("label", ["", "Upper", "a/b", "../x", "a b", "-x", "x\n", "é"])
def test_a_leg_that_is_no_label_is_refused(tmp_path: Path, label: str) -> None:
    path = tmp_path / "foreign.json"
    document = result().model_dump(mode="json") | {"leg": label}
    path.write_text(json.dumps(document | {"content_sha256": content_sha256(document)}))
    with pytest.raises(ResultFileError, match="leg"):
        read_result(path)
