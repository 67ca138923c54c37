"""Every engine computes what fp32 eager computes, and one that does not is found out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.configuration import Configuration
from benchmark.correctness import TOLERANCES, check, reference_logits
from benchmark.engine import Engine, consecutive_runs, graph_sizes, make_engine
from benchmark.errors import CorrectnessError
from benchmark.model import build
from benchmark.plan import Allocator, Execution, MemoryFormat, Precision

# ResNet-50 takes any size; a quarter of the usual one costs a sixteenth.
SIZE = 64
SAMPLE_COUNT = 6
BATCH_SIZE = 3
BATCHES: tuple[Sequence[int], ...] = (
    (0, 1, 2),
    range(3, 6),
    (4, 0, 2),
    (5, 4, 3),
    (1, 1, 1),
    (3, 4, 2),
    (0, 1, 5),
    (2, 3),
    (5, 0),
    (4,),
)
# It computes on all CPUs in this process, which flushes denormals meanwhile.
pytestmark = pytest.mark.xdist_group("machine")
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def configuration(
    precision: Precision = Precision.FP32,
    memory_format: MemoryFormat = MemoryFormat.CHANNELS_LAST,
    device: str = "cpu",
) -> Configuration:
    return Configuration(
        device=device,
        precision=precision,
        memory_format=memory_format,
        execution=Execution.EAGER,
        allocator=Allocator.SYSTEM,
        threads=1,
    )


@pytest.fixture(scope="module", autouse=True)
def other_tests_keep_their_small_numbers() -> Iterator[None]:
    """An engine makes its whole process flush denormals, which other tests can do without."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return build(None, 4)


@pytest.fixture(scope="module")
def samples() -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn((SAMPLE_COUNT, SIZE, SIZE, 3), generator=generator)


@pytest.fixture(scope="module")
def expected(model: torch.nn.Module, samples: torch.Tensor) -> torch.Tensor:
    """Return fp32 eager logits of every sample, computed here one by one."""
    with torch.inference_mode():
        rows = [model(sample.permute(2, 0, 1).contiguous()[None]) for sample in samples]
    return torch.cat(rows)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(
        (
            torch.linalg.vector_norm(found - expected, dim=1)
            / torch.linalg.vector_norm(expected, dim=1)
        ).max()
    )


@pytest.mark.parametrize(
    ("execution", "precision", "memory_format", "device", "copies"),
    [
        ("eager", "fp32", "channels_last", "cpu", True),
        ("eager", "fp32", "contiguous", "cpu", True),
        ("jit", "fp32", "channels_last", "cpu", True),
        ("jit", "fp32", "contiguous", "cpu", True),
        ("jit", "bf16", "channels_last", "cpu", True),
        pytest.param("eager", "fp32", "channels_last", "cuda:0", True, marks=NEEDS_CUDA),
        pytest.param("eager", "fp16", "channels_last", "cuda:0", False, marks=NEEDS_CUDA),
        pytest.param("graph", "fp16", "channels_last", "cuda:0", True, marks=NEEDS_CUDA),
        pytest.param("graph", "fp16", "contiguous", "cuda:0", False, marks=NEEDS_CUDA),
    ],
)
def test_every_path_agrees_with_fp32_eager_for_every_kind_of_batch(
    model: torch.nn.Module,
    samples: torch.Tensor,
    expected: torch.Tensor,
    execution: str,
    precision: str,
    memory_format: str,
    device: str,
    copies: bool,
) -> None:
    chosen = configuration(Precision(precision), MemoryFormat(memory_format), device)
    with torch.inference_mode():
        engine = make_engine(
            model,
            samples,
            chosen,
            Execution(execution),
            BATCH_SIZE,
            any_size=True,
            host_to_device=copies,
        )
        for indices in BATCHES:
            found = engine.logits(indices)
            assert found.shape == (len(indices), 1000)
            assert found.dtype == torch.float32
            error = relative_error(found, expected[list(indices)])
            assert error <= TOLERANCES[chosen.precision], indices
        check_correctness(engine, model, samples, chosen)
        check_order_on_the_way(engine, expected, TOLERANCES[chosen.precision])
    assert engine.describe()["batch_norm_folded"] is (execution != "eager")


def check_correctness(
    engine: Engine, model: torch.nn.Module, samples: torch.Tensor, chosen: Configuration
) -> None:
    reference = reference_logits(model, samples, chosen)
    found = check(engine, reference, chosen.precision, BATCH_SIZE, trained=True)
    assert found.samples == len(reference)
    assert found.relative_error <= found.tolerance
    # Untrained weights give every sample the same class by a wide margin.
    assert found.top1_agreement == 1.0


def check_order_on_the_way(engine: Engine, expected: torch.Tensor, tolerance: float) -> None:
    """As many batches as may be on their way do not disturb one another."""
    tickets = [engine.submit([index]) for index in range(engine.depth)]
    for ticket in tickets:
        engine.finish(ticket)
    assert relative_error(engine.logits([0]), expected[:1]) <= tolerance


def test_the_model_given_stays_as_it_was(model: torch.nn.Module, samples: torch.Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        make_engine(model, samples, configuration(Precision.BF16), Execution.JIT, 1, any_size=False)
    after = model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert next(model.parameters()).dtype == torch.float32


class WrongEngine:
    """Answers with given logits, whatever it is asked."""

    depth = 1

    def __init__(self, answers: torch.Tensor) -> None:
        self._answers = answers
        self.sizes: list[int] = []

    def submit(self, indices: Sequence[int]) -> int:
        raise NotImplementedError

    def finish(self, ticket: int) -> None:
        raise NotImplementedError

    def logits(self, indices: Sequence[int]) -> torch.Tensor:
        self.sizes.append(len(indices))
        return self._answers[list(indices)]

    def describe(self) -> dict[str, object]:
        return {}


REFERENCE = torch.randn((4, 1000), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "answers",
    [
        torch.zeros(4, 1000),
        torch.full((4, 1000), torch.nan),
        torch.full((4, 1000), torch.inf),
        REFERENCE.flip(0),
        -REFERENCE,
        REFERENCE * 1.001,
        torch.cat([REFERENCE[:3], torch.full((1, 1000), torch.nan)]),
    ],
    ids=["zeros", "nan", "infinity", "other samples", "negated", "slightly", "one row nan"],
)
@pytest.mark.parametrize("batch_size", [1, 3, 4, 32])
def test_an_engine_that_computes_something_else_is_found_out(
    answers: torch.Tensor, batch_size: int
) -> None:
    with pytest.raises(CorrectnessError) as caught:
        check(WrongEngine(answers), REFERENCE, Precision.FP32, batch_size, trained=False)
    assert "its speed means nothing" in caught.value.sentence
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("batch_size", [1, 3, 4, 32])
def test_a_faithful_engine_passes_with_full_batches_and_no_error(batch_size: int) -> None:
    engine = WrongEngine(REFERENCE)
    found = check(engine, REFERENCE, Precision.FP32, batch_size, trained=False)
    assert found.relative_error == 0
    assert found.samples == 4
    assert found.top1_agreement is None
    assert set(engine.sizes) == {batch_size}


def test_a_precision_is_allowed_its_own_error_and_no_more() -> None:
    engine = WrongEngine(REFERENCE * 1.02)
    found = check(engine, REFERENCE, Precision.BF16, 4, trained=True)
    assert found.relative_error == pytest.approx(0.02, rel=1e-3)
    assert found.top1_agreement == 1.0
    with pytest.raises(CorrectnessError):
        check(engine, REFERENCE, Precision.FP16, 4, trained=True)


@given(st.lists(st.integers(0, 9), max_size=20))
def test_runs_of_neighbours_put_together_are_the_indices(indices: list[int]) -> None:
    runs = consecutive_runs(indices)
    rebuilt: list[int] = []
    for offset, first, length in runs:
        assert offset == len(rebuilt)
        assert length >= 1
        rebuilt += range(first, first + length)
    assert rebuilt == indices
    # No two runs could have been one.
    for (_, first, length), (_, following, _) in pairwise(runs):
        assert first + length != following


@given(st.integers(1, 4096))
def test_a_graph_fits_every_batch_and_wastes_less_than_half(batch_size: int) -> None:
    sizes = graph_sizes(batch_size, any_size=True)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == batch_size
    for count in {1, 2, 3, batch_size // 2 + 1, batch_size - 1, batch_size} - {0}:
        if count <= batch_size:
            smallest = next(size for size in sizes if size >= count)
            assert smallest < 2 * count
    assert graph_sizes(batch_size, any_size=False) == [batch_size]
