"""Published figures stand beside ours only where they are of the same GPU and kind."""

from __future__ import annotations

import pytest

from benchmark.environment import GpuInfo
from benchmark.plan import Execution, MemoryFormat, Precision, Scenario
from benchmark.results import Result
from core.report.expected import NONE_PUBLISHED, expected_p90, expected_throughput, remark_on
from core.report.export import render_result
from core.report.scenarios import HEADERS, scenario_table
from tests.core.outcomes import measurement, result


def on_gpu(name: str, precision: Precision = Precision.FP16, device: str = "cuda") -> Result:
    configuration = result().configuration.model_copy(
        update={
            "device": "cuda:0",
            "precision": precision,
            "memory_format": MemoryFormat.CHANNELS_LAST,
            "execution": Execution.GRAPH,
        }
    )
    return result(
        measurement(700, name="offline-b8", scenario=Scenario.OFFLINE, batch_size=8),
        measurement(50, name="server-b8", scenario=Scenario.SERVER, batch_size=8),
        measurement(200, 4.0),
        device=device,
        gpu_info=GpuInfo(name=name, cuda_version="12.4", total_memory_gb=15.0),
        configuration=configuration,
    )


@pytest.mark.parametrize(
    ("name", "batch", "low", "high"),
    [
        ("Tesla T4", 1, 79, 332),
        ("NVIDIA T4", 8, 652, 888),
        ("Tesla V100-SXM2-16GB", 32, 2146, 2146),
        ("Tesla V100-PCIE-32GB", 128, 3249, 3249),
        ("NVIDIA A100-SXM4-40GB", 32, 2858, 2858),
        ("NVIDIA A100-PCIE-40GB", 1, 469, 469),
        ("NVIDIA A100 80GB PCIe", 8, 2051, 2051),
    ],
)
def test_a_gpu_is_known_by_the_drivers_name(name: str, batch: int, low: float, high: float) -> None:
    found = expected_throughput(name, Scenario.OFFLINE, batch, Precision.FP16)
    assert found is not None
    assert (found.low, found.high, found.unit) == (low, high, "samples/s")
    assert "NVIDIA DeepLearningExamples" in found.source


@pytest.mark.parametrize(
    "name",
    [
        "",
        "no GPU: measured on the CPU, Tesla T4",
        "NVIDIA T4G",
        "GRID T4-4Q",
        "Tesla V100S-PCIE-32GB",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA A100-4C",
        "NVIDIA H200",
        "Tesla T4\x1b[31m",
    ],
)
def test_parts_and_relatives_of_a_gpu_are_other_devices(name: str) -> None:
    assert expected_throughput(name, Scenario.OFFLINE, 8) is None
    assert expected_p90(name, Scenario.SINGLE_STREAM, 1) is None
    assert remark_on(name) == ""


def test_only_figures_of_the_same_precision_count() -> None:
    fp32 = expected_throughput("Tesla T4", Scenario.OFFLINE, 8, Precision.FP32)
    assert fp32 is not None
    assert (fp32.low, fp32.high, str(fp32)) == (363, 363, "about 363")
    assert expected_throughput("Tesla T4", Scenario.OFFLINE, 8, Precision.BF16) is None
    every = expected_throughput("Tesla T4", Scenario.OFFLINE, 8)
    assert every is not None
    assert (every.low, every.high) == (363, 888)


@pytest.mark.parametrize("scenario", [Scenario.SERVER, Scenario.MULTI_STREAM])
def test_a_throughput_that_follows_from_the_load_has_no_expected_one(scenario: Scenario) -> None:
    assert expected_throughput("Tesla T4", scenario, 8) is None
    assert expected_p90("Tesla T4", scenario, 1) is None


def test_a_batch_size_that_nobody_published_has_none() -> None:
    assert expected_throughput("Tesla T4", Scenario.OFFLINE, 7) is None


def test_single_stream_has_a_p90_and_its_sources() -> None:
    found = expected_p90("Tesla T4", Scenario.SINGLE_STREAM, 1, Precision.FP16)
    assert found is not None
    assert (found.low, found.high, found.unit, str(found)) == (3.07, 5, "ms", "3.07 to 5")
    assert "Triton" in found.source
    assert "reference deployment" in found.source


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_the_range_stands_in_the_table_and_its_sources_below(form: str) -> None:
    shown = render_result(on_gpu("Tesla T4"), form)  # type: ignore[arg-type]
    assert "652 to 888" in shown
    assert shown.count(NONE_PUBLISHED) == 2
    assert "PyTorch AMP eager; NVIDIA DeepLearningExamples 21.03, FP16 ONNX" in shown
    assert "expected p90 3.07 to 5 ms" in shown
    assert "1,000 to 3,500 samples/s" in shown
    assert "in fp16" in shown


def test_each_row_has_its_own_cell_of_it() -> None:
    rows = scenario_table(on_gpu("Tesla T4")).rows
    assert [str(row.expected) for row in rows] == ["652 to 888", "None", "None"]
    assert [row.expected_p90 is not None for row in rows] == [False, False, True]
    assert HEADERS[HEADERS.index("throughput (samples/s)") + 1] == "expected (samples/s)"


@pytest.mark.parametrize(
    "found",
    [on_gpu("NVIDIA H200"), on_gpu("Tesla T4", device="cpu")],
    ids=["unknown GPU", "a CPU with a GPU's name"],
)
def test_where_nothing_was_published_no_source_is_named(found: Result) -> None:
    shown = render_result(found, "text")
    assert shown.count(NONE_PUBLISHED) == 3
    assert "Sources" not in shown
    assert "reference deployment" not in shown
