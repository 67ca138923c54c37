"""The model on its device: takes sample indices, finishes when the logits are in host memory.

An engine is asynchronous so that Offline can keep a GPU fed: ``submit`` puts a batch on its way
and ``finish`` waits for it. At most ``depth`` batches may be on their way. On a CPU ``submit``
computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from benchmark.configuration import Configuration
from benchmark.model import dtype_of, prepare
from benchmark.plan import Execution, MemoryFormat, Precision

if TYPE_CHECKING:
    import torch

    Forward = Callable[[torch.Tensor], torch.Tensor]

_CUDA_SLOTS = 3


class Engine(Protocol):
    """What a SUT needs to know of the device."""

    depth: int
    """How many batches may be submitted and not yet finished."""

    def submit(self, indices: Sequence[int]) -> int:
        """Put samples on their way and return a ticket."""

    def finish(self, ticket: int) -> None:
        """Return when the ticket's logits are in host memory."""

    def logits(self, indices: Sequence[int]) -> torch.Tensor:
        """Compute and return fp32 logits of shape [len(indices), 1000], on the host."""

    def describe(self) -> dict[str, object]:
        """Return what was built, for the result file."""


def make_engine(
    model: torch.nn.Module,
    samples: torch.Tensor,
    configuration: Configuration,
    execution: Execution,
    batch_size: int,
    *,
    any_size: bool,
    host_to_device: bool = True,
) -> Engine:
    """Build the model for batches of ``batch_size``, or of every size up to it.

    ``samples`` are fp32 NHWC; they are converted to the configuration's precision once, here.
    """
    import torch

    set_precision_mode(configuration.precision)
    torch.set_flush_denormal(configuration.flush_denormal)
    folded = execution is not Execution.EAGER
    prepared = prepare(model, configuration, fold_batch_norm=folded)
    # Inference tensors and ordinary ones are different inputs to Dynamo, and a mixture would be
    # compiled twice, the second time inside the measurement: all storage is ordinary.
    with torch.inference_mode(False):
        stored = samples.to(dtype_of(configuration.precision))
        if configuration.memory_format is MemoryFormat.CONTIGUOUS:
            stored = stored.permute(0, 3, 1, 2).contiguous()
    if configuration.on_gpu:
        return _CudaEngine(
            prepared, stored, configuration, execution, batch_size, any_size, host_to_device
        )
    return _CpuEngine(prepared, stored, configuration, execution, batch_size, any_size)


def set_precision_mode(precision: Precision) -> None:
    """Let fp32 mean fp32: TF32 units are used only where ``tf32`` was asked for."""
    import torch

    allowed = precision is Precision.TF32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def _as_nchw(batch: torch.Tensor, memory_format: MemoryFormat) -> torch.Tensor:
    """View stored samples as the model's input; channels_last is NHWC in memory."""
    return batch.permute(0, 3, 1, 2) if memory_format is MemoryFormat.CHANNELS_LAST else batch


def consecutive_runs(indices: Sequence[int]) -> list[tuple[int, int, int]]:
    """Split indices into runs of neighbours: (offset in the batch, first index, length)."""
    runs: list[tuple[int, int, int]] = []
    for offset, index in enumerate(indices):
        if runs and runs[-1][1] + runs[-1][2] == index:
            start, first, length = runs[-1]
            runs[-1] = (start, first, length + 1)
        else:
            runs.append((offset, index, 1))
    return runs


def graph_sizes(batch_size: int, *, any_size: bool) -> list[int]:
    """Return the batch sizes that graphs are captured for: powers of two and the full batch."""
    if not any_size:
        return [batch_size]
    sizes = {batch_size}
    size = 1
    while size < batch_size:
        sizes.add(size)
        size *= 2
    return sorted(sizes)


class _CpuEngine:
    depth = 1

    def __init__(
        self,
        model: torch.nn.Module,
        samples: torch.Tensor,
        configuration: Configuration,
        execution: Execution,
        batch_size: int,
        any_size: bool,
    ) -> None:
        import torch

        self._samples = samples
        self._memory_format = configuration.memory_format
        with torch.inference_mode(False):
            self._buffer = torch.empty((batch_size, *samples.shape[1:]), dtype=samples.dtype)
        self._execution = execution
        self._any_size = any_size
        self._forward = _cpu_forward(model, execution, self._gather(range(batch_size)), any_size)
        self._output: torch.Tensor | None = None

    def submit(self, indices: Sequence[int]) -> int:
        self._output = self._forward(self._gather(indices))
        return 0

    def finish(self, ticket: int) -> None:
        """Nothing is pending: ``submit`` has computed."""

    def logits(self, indices: Sequence[int]) -> torch.Tensor:
        return self._forward(self._gather(indices)).float().clone()

    def describe(self) -> dict[str, object]:
        return {
            "batch_norm_folded": self._execution is not Execution.EAGER,
            "dynamic_batch": self._any_size,
        }

    def _gather(self, indices: Sequence[int]) -> torch.Tensor:
        import torch

        count = len(indices)
        first = indices[0]
        if all(index == first + offset for offset, index in enumerate(indices)):
            batch = self._samples[first : first + count]
        else:
            batch = self._buffer[:count]
            torch.index_select(self._samples, 0, torch.tensor(indices), out=batch)
        return _as_nchw(batch, self._memory_format)


def _cpu_forward(
    model: torch.nn.Module, execution: Execution, example: torch.Tensor, any_size: bool
) -> Forward:
    import warnings

    import torch

    if execution is Execution.EAGER:
        return model
    if execution is Execution.JIT:
        with warnings.catch_warnings():
            # TorchScript announces its end at every call; the choice is recorded, that suffices.
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(model, example, check_trace=False)
            return torch.jit.optimize_for_inference(torch.jit.freeze(traced))
    import torch._dynamo
    import torch._inductor.config

    torch._inductor.config.freezing = True
    # With any size Inductor makes one program for batch 1 and one for each range of sizes that its
    # heuristics tell apart (below and from 16, say): the caller runs every size before it measures.
    return torch.compile(model, dynamic=any_size)


class _Slot:
    """Buffers of one batch on its way: pinned input is copied in, logits come back pinned."""

    def __init__(self, samples: torch.Tensor, batch_size: int, device: str) -> None:
        import torch

        shape = (batch_size, *samples.shape[1:])
        self.input = torch.zeros(shape, dtype=samples.dtype, device=device)
        self.output = torch.empty((batch_size, 1000), dtype=samples.dtype).pin_memory()
        self.ready = torch.cuda.Event()
        self.done = torch.cuda.Event()
        self.graphs: dict[int, tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}


class _CudaEngine:
    depth = _CUDA_SLOTS

    def __init__(
        self,
        model: torch.nn.Module,
        samples: torch.Tensor,
        configuration: Configuration,
        execution: Execution,
        batch_size: int,
        any_size: bool,
        host_to_device: bool,
    ) -> None:
        import torch

        torch.cuda.set_device(configuration.device)
        torch.backends.cudnn.benchmark = True
        self._memory_format = configuration.memory_format
        self._host_to_device = host_to_device
        self._execution = execution
        self._samples = samples.pin_memory() if host_to_device else samples.to(configuration.device)
        self._copy_stream = torch.cuda.Stream()
        self._compute_stream = torch.cuda.Stream()
        self._slots = [_Slot(samples, batch_size, configuration.device) for _ in range(_CUDA_SLOTS)]
        self._next = 0
        self._forward: Forward = model
        if execution is Execution.COMPILE:
            # Inductor's own graphs are left out: every path captures its graphs the same way.
            self._forward = torch.compile(model, mode="max-autotune-no-cudagraphs", dynamic=False)
        self._sizes = graph_sizes(batch_size, any_size=any_size)
        if execution in (Execution.GRAPH, Execution.COMPILE):
            for slot in self._slots:
                for size in self._sizes:
                    slot.graphs[size] = self._capture(slot, size)
        torch.cuda.synchronize()

    def submit(self, indices: Sequence[int]) -> int:
        import torch

        ticket = self._next
        self._next = (ticket + 1) % _CUDA_SLOTS
        slot = self._slots[ticket]
        with torch.cuda.stream(self._copy_stream):
            for offset, first, length in consecutive_runs(indices):
                slot.input[offset : offset + length].copy_(
                    self._samples[first : first + length], non_blocking=True
                )
            slot.ready.record()
        with torch.cuda.stream(self._compute_stream):
            self._compute_stream.wait_event(slot.ready)
            output = self._compute(slot, len(indices))
            slot.output[: len(indices)].copy_(output[: len(indices)], non_blocking=True)
            slot.done.record()
        return ticket

    def finish(self, ticket: int) -> None:
        self._slots[ticket].done.synchronize()

    def logits(self, indices: Sequence[int]) -> torch.Tensor:
        ticket = self.submit(indices)
        self.finish(ticket)
        return self._slots[ticket].output[: len(indices)].float().clone()

    def describe(self) -> dict[str, object]:
        graphs = self._execution in (Execution.GRAPH, Execution.COMPILE)
        return {
            "batch_norm_folded": self._execution is not Execution.EAGER,
            "cuda_graph_sizes": self._sizes if graphs else [],
            "batches_in_flight": _CUDA_SLOTS,
            "cudnn_benchmark": True,
            "pinned_memory": self._host_to_device,
        }

    def _compute(self, slot: _Slot, count: int) -> torch.Tensor:
        if slot.graphs:
            size = next(size for size in self._sizes if size >= count)
            graph, output = slot.graphs[size]
            graph.replay()
            return output
        return self._forward(_as_nchw(slot.input[:count], self._memory_format))

    def _capture(self, slot: _Slot, size: int) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        """Capture one forward pass over a slot's buffers, after warming it up as torch asks for."""
        import torch

        batch = _as_nchw(slot.input[:size], self._memory_format)
        self._compute_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._compute_stream):
            for _ in range(3):
                self._forward(batch)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._compute_stream):
            output = self._forward(batch)
        return graph, output
