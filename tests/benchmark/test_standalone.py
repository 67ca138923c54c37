"""``python -m benchmark``, the real one: ResNet-50 under LoadGen in processes of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy
import pytest
from jsonschema import Draft202012Validator

from benchmark.files import file_sha256
from benchmark.percentiles import order_statistic
from benchmark.plan import load_profile
from benchmark.progress import (
    Failed,
    Finished,
    MeasurementFinished,
    MeasurementStarted,
    PhaseEntered,
    Prepared,
    ProbesFinished,
    Progressed,
    ProgressRecord,
    Started,
    parse_progress,
)
from benchmark.results import MeasurementResult, Result, read_result, result_json_schema
from tests.benchmark.loadgen_client import REPOSITORY, detail_of

COMMAND = [sys.executable, "-m", "benchmark"]
STOP_S = 2.0
"""Within this a benchmark has ended that was asked to."""

HEADER = """
sample_count = 4
device = "cpu"
precision = "fp32"
execution = "eager"
weights = "random"

[warm_up]
minimum_s = 0.2
maximum_s = 1
"""

TINY = f"""{HEADER}
[[scenarios]]
scenario = "Offline"
duration_s = 1

[[scenarios]]
scenario = "SingleStream"
query_count = 64
"""

LONG = f"""{HEADER}
[[scenarios]]
scenario = "Offline"
batch_sizes = [1, 2]
duration_s = 600
"""


def environment() -> dict[str, str]:
    """Return a surrounding in which nothing is shown on a GPU and nothing asks for it to end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GPUBENCH_")}
    return {**kept, "PYTHONPATH": str(REPOSITORY)}


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def next_record(stream: IO[str] | None, kind: type[Any], **fields: Any) -> Any:
    """Read records until one of this kind with these fields."""
    assert stream is not None
    for line in stream:
        record = parse_progress(line)
        if isinstance(record, kind) and all(
            getattr(record, name) == value for name, value in fields.items()
        ):
            return record
    raise AssertionError(f"the benchmark ended without {kind.__name__} {fields}")


def children_of(process: int) -> list[int]:
    """Return a process's children and theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *children_of(int(child))]
    return found


class Watched:
    """Processes by file descriptors, which tell of their end without a race for their ids."""

    def __init__(self, processes: list[int]) -> None:
        self._descriptors = [os.pidfd_open(process) for process in processes]

    def all_end_within(self, seconds: float) -> bool:
        poll = select.poll()
        left = set(self._descriptors)
        for descriptor in left:
            poll.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + seconds
        while left and (remaining := deadline - time.monotonic()) > 0:
            for descriptor, _event in poll.poll(remaining * 1000):
                poll.unregister(descriptor)
                left.discard(descriptor)
        return not left

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)


@dataclass(frozen=True)
class Ran:
    """A benchmark that ran to its end."""

    folder: Path
    records: list[ProgressRecord]
    errors: str
    status: int

    @property
    def result(self) -> Result:
        return read_result(self.folder / "out" / "benchmark_results.json")

    def measurement(self, name: str) -> tuple[MeasurementResult, Path]:
        found = next(part for part in self.result.benchmarks if part.name == name)
        return found, self.folder / "out" / "measurements" / f"{name}-block{found.block}"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.toml").write_text(f"probes = true\n{TINY}")
    process = start(
        folder, "--profile", "tiny.toml", "--output", "out", "--leg", "xen", "--run-id", "r1"
    )
    output, errors = process.communicate()
    records = [parse_progress(line) for line in output.splitlines()]
    return Ran(folder, records, errors, process.returncode)


@pytest.mark.real
class TestATinyProfile:
    """One Offline second and 64 SingleStream queries."""

    def test_it_succeeds_and_says_so_last(self, tiny: Ran) -> None:
        assert tiny.status == 0, tiny.errors
        last = tiny.records[-1]
        assert isinstance(last, Finished)
        assert last.complete
        assert last.good + last.void == 2
        assert Path(tiny.folder, last.result_file).samefile(
            tiny.folder / "out" / "benchmark_results.json"
        )

    def test_stdout_holds_records_in_an_order_that_makes_sense(self, tiny: Ran) -> None:
        kinds = [type(record) for record in tiny.records if not isinstance(record, Progressed)]
        assert kinds[:2] == [Started, Prepared]
        assert kinds.count(MeasurementStarted) == kinds.count(MeasurementFinished) == 2
        phases = [
            record.phase
            for record in tiny.records
            if isinstance(record, PhaseEntered) and record.name == "singlestream-b1"
        ]
        assert phases == [
            "loading",
            "building",
            "checking",
            "warming up",
            "measuring",
            "collecting",
        ]

    def test_progress_counts_up_to_what_was_promised(self, tiny: Ran) -> None:
        seen = [
            record
            for record in tiny.records
            if isinstance(record, Progressed)
            and record.name == "singlestream-b1"
            and record.phase == "measuring"
        ]
        counts = [record.samples_done for record in seen]
        assert counts == sorted(counts)
        assert {record.samples_total for record in seen} == {64}
        assert all(count <= 64 for count in counts)
        assert all(
            record.remaining_s is None or record.remaining_s >= 0
            for record in tiny.records
            if isinstance(record, Progressed)
        )

    def test_the_result_is_whole_and_fits_the_published_schema(self, tiny: Ran) -> None:
        result = tiny.result
        document = json.loads((tiny.folder / "out" / "benchmark_results.json").read_text())
        Draft202012Validator(result_json_schema()).validate(document)
        assert result.complete
        assert (result.run_id, result.leg, result.device) == ("r1", "xen", "cpu")
        assert result.plan == load_profile(str(tiny.folder / "tiny.toml"))
        assert result.weights.origin == "random"
        assert result.gpu_info.name.startswith("no GPU: measured on the CPU")
        assert result.attestation.evidence
        assert [part.name for part in result.benchmarks] == ["offline-b1", "singlestream-b1"]

    def test_its_probes_ran_before_the_block_and_have_figures_or_reasons(self, tiny: Ran) -> None:
        probes = {probe.name: probe for probe in tiny.result.probes}
        assert probes["syscall"].median
        assert "CPU" in probes["launch"].problem
        kinds = [type(record) for record in tiny.records]
        assert kinds.index(ProbesFinished) < kinds.index(MeasurementStarted)
        (said,) = [record for record in tiny.records if isinstance(record, ProbesFinished)]
        assert said.count == sum(probe.count > 0 for probe in probes.values())
        assert any("launch" in problem for problem in said.problems)

    def test_records_tell_the_figures_of_the_result(self, tiny: Ran) -> None:
        for record in tiny.records:
            if isinstance(record, MeasurementFinished):
                measurement, _folder = tiny.measurement(record.name)
                assert record.throughput_samples_per_s == measurement.throughput_samples_per_s
                assert record.void_reasons == measurement.void_reasons
                assert measurement.latency is not None
                shown = measurement.latency.milliseconds(0.9)
                assert shown is not None
                assert record.p90_ms == shown.milliseconds

    def test_singlestreams_raw_latencies_agree_with_the_result_and_with_loadgen(
        self, tiny: Ran
    ) -> None:
        measurement, folder = tiny.measurement("singlestream-b1")
        times = numpy.load(folder / "latencies.npy", allow_pickle=False)
        detail = detail_of(folder)
        ordered = numpy.sort(times[:, 2])
        assert len(ordered) == measurement.queries == 64
        assert measurement.latency is not None
        for percentile in (0.5, 0.9, 0.95, 0.99, 0.999):
            nanoseconds = detail[f"result_{percentile * 100:.2f}_percentile_latency_ns"]
            assert order_statistic(ordered, percentile) == nanoseconds
            shown = measurement.latency.milliseconds(percentile)
            assert shown is not None
            assert shown.milliseconds == nanoseconds / 1e6
        supported = [entry.name for entry in measurement.latency.percentiles if entry.supported]
        assert supported == ["p50", "p90"]

    def test_offlines_batches_are_as_many_as_its_samples(self, tiny: Ran) -> None:
        measurement, folder = tiny.measurement("offline-b1")
        rows = numpy.load(folder / "batches.npy", allow_pickle=False)
        assert rows[:, 2].sum() == measurement.samples
        assert (rows[:, 1] > rows[:, 0]).all()
        assert measurement.latency is not None
        assert measurement.latency.of == "batch"
        assert measurement.throughput_samples_per_s == pytest.approx(
            detail_of(folder)["result_samples_per_second"]
        )

    def test_what_loadgen_calls_invalid_is_void(self, tiny: Ran) -> None:
        for measurement in tiny.result.benchmarks:
            assert measurement.loadgen is not None
            assert measurement.loadgen.valid or measurement.void
            assert measurement.void is bool(measurement.void_reasons)

    def test_every_measurement_was_checked_for_correctness(self, tiny: Ran) -> None:
        for measurement in tiny.result.benchmarks:
            assert measurement.correctness is not None
            assert measurement.correctness.relative_error <= measurement.correctness.tolerance
            assert measurement.warm_up is not None
            assert measurement.warm_up.batches >= 1

    def test_raw_files_are_those_that_the_result_names(self, tiny: Ran) -> None:
        for measurement in tiny.result.benchmarks:
            assert measurement.raw_files
            for raw in measurement.raw_files:
                path = tiny.folder / "out" / raw.path
                assert file_sha256(path) == raw.sha256
                assert path.stat().st_size == raw.bytes

    def test_loadgens_own_logs_are_kept_and_nothing_half_made_is_left(self, tiny: Ran) -> None:
        for measurement in tiny.result.benchmarks:
            _found, folder = tiny.measurement(measurement.name)
            names = {path.name for path in folder.iterdir()}
            assert {"mlperf_log_summary.txt", "mlperf_log_detail.txt"} <= names
            assert not names & {".progress", "outcome.json"}
        left = {path.name for path in (tiny.folder / "out").iterdir()}
        assert left == {"benchmark_results.json", "measurements"}


@dataclass(frozen=True)
class Stopped:
    """A benchmark that was stopped in its second measurement, the first having been killed."""

    folder: Path
    last: ProgressRecord
    status: int
    seconds: float
    children_ended: bool

    @property
    def result(self) -> Result:
        return read_result(self.folder / "out" / "benchmark_results.json")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    # This machine is shared: the quickest of some stops counts.
    for _ in range(3):
        found = stop_in_the_middle(tmp_path_factory.mktemp("stopped"))
        if found.seconds < STOP_S:
            break
    return found


def stop_in_the_middle(folder: Path) -> Stopped:
    (folder / "long.toml").write_text(LONG)
    stale = folder / "out" / "measurements" / "offline-b1-block1" / "telemetry.jsonl"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier session\n")
    process = start(folder, "--profile", "long.toml", "--output", "out")
    next_record(process.stdout, PhaseEntered, name="offline-b1", phase="measuring")
    for child in children_of(process.pid):
        os.kill(child, signal.SIGKILL)
    next_record(process.stdout, PhaseEntered, name="offline-b2", phase="measuring")
    children = children_of(process.pid)
    assert children
    watched = Watched(children)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _errors = process.communicate()
    seconds = time.monotonic() - began
    ended = watched.all_end_within(0.1)
    watched.close()
    last = [parse_progress(line) for line in output.splitlines()][-1]
    return Stopped(folder, last, process.returncode, seconds, ended)


@pytest.mark.real
class TestAStop:
    """SIGTERM in the middle of a measurement."""

    def test_it_ends_within_two_seconds_with_130(self, stopped: Stopped) -> None:
        assert stopped.status == 130
        assert stopped.seconds < STOP_S
        assert isinstance(stopped.last, Failed)
        assert stopped.last.exit_code == 130
        assert "interrupted" in stopped.last.sentence

    def test_no_child_process_is_left(self, stopped: Stopped) -> None:
        assert stopped.children_ended

    def test_what_had_finished_is_in_a_whole_result_file(self, stopped: Stopped) -> None:
        assert [part.name for part in stopped.result.benchmarks] == ["offline-b1"]
        assert not stopped.result.complete

    def test_a_measurement_whose_process_died_is_void_alone_and_says_why(
        self, stopped: Stopped
    ) -> None:
        (measurement,) = stopped.result.benchmarks
        assert measurement.void
        assert "SIGKILL" in " ".join(measurement.void_reasons)
        assert measurement.throughput_samples_per_s is None
        assert measurement.latency is None

    def test_telemetry_of_an_earlier_session_is_replaced(self, stopped: Stopped) -> None:
        (measurement,) = stopped.result.benchmarks
        assert not any("File exists" in remark for remark in measurement.remarks)
        folder = stopped.folder / "out" / "measurements" / "offline-b1-block1"
        lines = (folder / "telemetry.jsonl").read_text().splitlines()
        assert lines
        assert all(isinstance(json.loads(line), dict) for line in lines)


@pytest.mark.real
def test_a_benchmark_that_is_killed_takes_its_children_with_it(tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(LONG)
    process = start(tmp_path, "--profile", "long.toml", "--output", "out")
    next_record(process.stdout, PhaseEntered, phase="building")
    watched = Watched(children_of(process.pid))
    process.kill()
    assert watched.all_end_within(60)
    watched.close()
    process.communicate()


@pytest.mark.real
def test_a_benchmark_to_which_nobody_listens_ends(tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(LONG)
    process = start(tmp_path, "--profile", "long.toml", "--output", "out")
    next_record(process.stdout, Started)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=120) == 1
    process.stderr.close()


def refused(folder: Path, *arguments: str) -> tuple[str, int]:
    """Run into a refusal and return the one sentence, checked to be on stderr and in the record."""
    process = start(folder, *arguments)
    output, errors = process.communicate()
    last = [parse_progress(line) for line in output.splitlines()][-1]
    assert isinstance(last, Failed)
    assert last.exit_code == process.returncode
    assert errors.splitlines()[-1] == f"{last.sentence} {last.remedy}".strip()
    assert "Traceback" not in errors
    return last.sentence, process.returncode


@pytest.mark.real
def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(small_disk: Path) -> None:
    profile = small_disk.parent / "tiny.toml"
    profile.write_text(TINY)
    output = small_disk / "out"
    sentence, status = refused(
        small_disk.parent, "--profile", str(profile), "--output", str(output)
    )
    assert status == 1
    assert "The disk is full" in sentence
    assert str(output) in sentence
    assert not list(output.rglob("*.tmp"))
    written = output / "benchmark_results.json"
    assert not written.exists() or read_result(written)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profile", "absent.toml"], "Profile absent.toml cannot be read"),
        (["--profile", "broken.toml"], "is not valid TOML"),
        (["--profile", "tiny.toml", "--repeats", "0"], "repeats"),
        (["--profile", "tiny.toml", "--weights", ""], "weights"),
        (["--profile", "tiny.toml", "--precision", "fp8"], "precision"),
        (["--plan", "absent.json"], "Plan absent.json cannot be read"),
        (["--plan", "broken.toml"], "Plan broken.toml cannot be read"),
        (["--plan", "list.json"], "list.json cannot be run"),
        (["--plan", "deep.json"], "Plan deep.json cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_sentence_and_changes_nothing(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "broken.toml").write_text("sample_count = ")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    sentence, status = refused(tmp_path, *arguments, "--output", "out")
    assert status == 2
    assert said in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", ["file", "file/out"])
def test_an_output_that_cannot_be_a_folder_is_one_sentence(tmp_path: Path, output: str) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "file").write_text("precious")
    sentence, status = refused(tmp_path, "--profile", "tiny.toml", "--output", output)
    assert status == 2
    assert output in sentence
    assert (tmp_path / "file").read_text() == "precious"


def test_results_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "out").mkdir()
    earlier = tmp_path / "out" / "benchmark_results.json"
    earlier.write_text("precious")
    sentence, status = refused(tmp_path, "--profile", "tiny.toml", "--output", "out")
    assert status == 2
    assert "already holds results" in sentence
    assert earlier.read_text() == "precious"


@pytest.mark.real
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weights", "absent.pth"], "absent.pth cannot be read"),
        (["--dataset", "absent"], "Image folder absent is not there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_only_the_machine_can_tell_is_wrong_is_one_sentence_too(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    sentence, status = refused(tmp_path, "--profile", "tiny.toml", *arguments, "--output", "out")
    assert status == 2
    assert said in sentence
    assert list((tmp_path / "out").iterdir()) == []
