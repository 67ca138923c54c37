"""Does the measured configuration compute what fp32 eager computes?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.configuration import Configuration
from benchmark.engine import Engine, set_precision_mode
from benchmark.errors import CorrectnessError
from benchmark.plan import Precision
from benchmark.validation import Record

if TYPE_CHECKING:
    import torch

CHECKED_SAMPLES = 4

# Ten times what was seen with torchvision's initialisation (FACTS.md section 9: fp32 variants 3e-5,
# fp16 8e-4, bf16 5e-3); a wrong layer or a lost input is off by a factor of one.
TOLERANCES = {
    Precision.FP32: 3e-4,
    Precision.TF32: 5e-3,
    Precision.FP16: 1e-2,
    Precision.BF16: 5e-2,
}


class Correctness(Record):
    """How far the configuration's logits are from fp32 eager's on a few samples."""

    samples: int
    relative_error: float
    """Norm of the difference divided by the norm of the reference, the worst sample's."""
    tolerance: float
    top1_agreement: float | None
    """Share of samples with the same class; null for random weights, which have one class."""


def reference_logits(
    model: torch.nn.Module, samples: torch.Tensor, configuration: Configuration
) -> torch.Tensor:
    """Return fp32 eager logits of the first samples, computed on the configuration's device."""
    import torch

    set_precision_mode(Precision.FP32)
    chosen = samples[:CHECKED_SAMPLES].permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode():
        reference = model.to(configuration.device)
        logits: torch.Tensor = reference(chosen.to(configuration.device)).float().cpu()
    model.to("cpu")
    set_precision_mode(configuration.precision)
    return logits


def check(
    engine: Engine,
    reference: torch.Tensor,
    precision: Precision,
    batch_size: int,
    *,
    trained: bool,
) -> Correctness:
    """Compare the engine's logits, computed in batches of ``batch_size``, with the reference.

    Raises:
        CorrectnessError: the relative error is beyond the precision's tolerance, or not a number.
    """
    import torch

    count = len(reference)
    rows = []
    for start in range(0, count, batch_size):
        # A full batch is sent even where fewer rows are compared: that is the measured program.
        indices = [(start + offset) % count for offset in range(batch_size)]
        rows.append(engine.logits(indices)[: min(batch_size, count - start)])
    logits = torch.cat(rows)
    errors = torch.linalg.vector_norm(logits - reference, dim=1) / torch.linalg.vector_norm(
        reference, dim=1
    )
    worst = float(errors.max())
    tolerance = TOLERANCES[precision]
    if not worst <= tolerance:
        raise CorrectnessError(
            f"The configuration's logits differ from fp32 eager by {worst:.2g} (relative), more "
            f"than the {tolerance:.0e} that {precision} explains: its speed means nothing.",
            "Choose another --execution or --precision, and report this machine's versions.",
        )
    agreement = float((logits.argmax(1) == reference.argmax(1)).float().mean())
    return Correctness(
        samples=count,
        relative_error=worst,
        tolerance=tolerance,
        top1_agreement=agreement if trained else None,
    )
