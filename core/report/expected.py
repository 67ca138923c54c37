"""What was published for a GPU, to read a figure beside. Not a target, and never part of a verdict.

Only figures of the same kind as ours: ResNet-50 in PyTorch or FP16 TensorRT, by batch size. The
INT8 submissions to MLPerf are another model in all but name, and stay out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.plan import Precision, Scenario

NONE_PUBLISHED = "none published"


@dataclass(frozen=True, slots=True)
class ExpectedRange:
    """The lowest and the highest published figure; alike where there is one figure alone."""

    low: float
    high: float
    unit: str
    """``samples/s`` or ``ms``."""
    source: str
    """Who published the figures, and of what."""

    def __str__(self) -> str:
        """Return the range without its unit, as a table's cell shows it."""
        if self.low == self.high:
            return f"about {self.low:,g}"
        return f"{self.low:,g} to {self.high:,g}"


@dataclass(frozen=True, slots=True)
class _Published:
    gpu: str
    precision: Precision | None
    """None: the source does not say."""
    source: str
    figures: Mapping[int, float]
    """By batch size."""


_EXAMPLES = "NVIDIA DeepLearningExamples"
_THROUGHPUT = (
    _Published(
        "T4",
        Precision.FP32,
        f"{_EXAMPLES} 21.03, PyTorch FP32 eager",
        {1: 98, 8: 363, 32: 420, 128: 426},
    ),
    _Published(
        "T4",
        Precision.FP16,
        f"{_EXAMPLES} 21.03, PyTorch AMP eager",
        {1: 79, 8: 652, 32: 1128, 128: 1190},
    ),
    _Published(
        "T4",
        Precision.FP16,
        f"{_EXAMPLES} 21.03, FP16 ONNX Runtime with TensorRT under Triton",
        {1: 332, 8: 888, 32: 1130, 128: 1280},
    ),
    _Published(
        "V100",
        Precision.FP16,
        f"{_EXAMPLES}, PyTorch AMP eager",
        {1: 78, 8: 595, 32: 2146, 128: 3249},
    ),
    _Published(
        "A100",
        Precision.FP16,
        f"{_EXAMPLES}, FP16 TensorRT under Triton",
        {1: 469, 8: 2051, 32: 2858, 128: 2662},
    ),
)
_SINGLE_STREAM_P90 = (
    _Published(
        "T4",
        Precision.FP16,
        f"{_EXAMPLES} 21.03, FP16 ONNX Runtime with TensorRT under Triton",
        {1: 3.07},
    ),
    _Published("T4", None, "the reference deployment's expectation", {1: 5}),
)
# It names a range over its batch sizes and not which end belongs to which, so no row can have it.
_REMARKS = {
    "T4": (
        "The reference deployment expected 1,000 to 3,500 samples/s of a T4 over batch sizes 1, 8 "
        "and 32 together."
    )
}

# A whole GPU by the driver's name. What is only part of one (MIG, vGPU) or a faster or slower
# relative (T4G, V100S) has figures of its own, so anything further in the name is another device.
_NAME = re.compile(
    r"(?:NVIDIA )?(?:Tesla )?(?P<gpu>T4|V100|A100)"
    r"(?:-(?:SXM\d?|PCIE|DGXS))?(?:[- ](?:16|32|40|80)GB)?(?: PCIe)?"
)


def expected_throughput(
    gpu_name: str, scenario: Scenario, batch_size: int, precision: Precision | None = None
) -> ExpectedRange | None:
    """Return the published samples/s of a GPU, or None where nothing comparable was published.

    Only Offline has it: the other scenarios' throughput follows from how they are loaded. With a
    precision, only figures in that precision.
    """
    if scenario is not Scenario.OFFLINE:
        return None
    return _range(_THROUGHPUT, gpu_name, batch_size, precision, "samples/s")


def expected_p90(
    gpu_name: str, scenario: Scenario, batch_size: int, precision: Precision | None = None
) -> ExpectedRange | None:
    """Return SingleStream's published p90 in ms of a GPU, or None where there is none."""
    if scenario is not Scenario.SINGLE_STREAM:
        return None
    return _range(_SINGLE_STREAM_P90, gpu_name, batch_size, precision, "ms")


def remark_on(gpu_name: str) -> str:
    """Return what was published for a GPU as a whole, or nothing."""
    return _REMARKS.get(_gpu(gpu_name) or "", "")


def _gpu(name: str) -> str | None:
    found = _NAME.fullmatch(name.strip())
    return found["gpu"] if found else None


def _range(
    published: Sequence[_Published],
    gpu_name: str,
    batch_size: int,
    precision: Precision | None,
    unit: str,
) -> ExpectedRange | None:
    gpu = _gpu(gpu_name)
    found = [
        entry
        for entry in published
        if entry.gpu == gpu
        and batch_size in entry.figures
        and (precision is None or entry.precision in (None, precision))
    ]
    if not found:
        return None
    figures = [entry.figures[batch_size] for entry in found]
    return ExpectedRange(min(figures), max(figures), unit, "; ".join(e.source for e in found))
