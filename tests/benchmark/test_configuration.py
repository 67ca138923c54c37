"""``auto`` becomes what the machine really runs; what it cannot run is said before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.configuration import (
    Hardware,
    cpu_flags,
    detect_hardware,
    resolve,
    resolve_execution,
    usable_cpu_count,
)
from benchmark.errors import PlanError
from benchmark.plan import Allocator, Execution, MemoryFormat, Plan, Precision, make_plan

T4 = Hardware(cuda_devices=((7, 5),), cpu_flags=frozenset({"avx2"}), usable_cpus=4)
A100 = Hardware(cuda_devices=((8, 0),), usable_cpus=12)
PASCAL = Hardware(cuda_devices=((6, 1),))
SAPPHIRE_RAPIDS = Hardware(
    cpu_flags=frozenset({"avx512f", "amx_bf16"}), usable_cpus=2, cxx_compiler="/usr/bin/g++"
)
ZEN3 = Hardware(cpu_flags=frozenset({"avx2"}), usable_cpus=8, cxx_compiler="/usr/bin/g++")


def plan(scenario: dict[str, Any] | None = None, **values: Any) -> Plan:
    offline = {"scenario": "Offline", "duration_s": 1, **(scenario or {})}
    return make_plan({"scenarios": [offline], **values}, "the test's plan")


def test_auto_on_a_t4_is_fp16_by_graphs() -> None:
    found = resolve(plan(), T4)
    assert (found.device, found.precision, found.execution) == (
        "cuda:0",
        Precision.FP16,
        Execution.GRAPH,
    )
    assert found.memory_format is MemoryFormat.CHANNELS_LAST
    assert found.allocator is Allocator.SYSTEM
    assert found.on_gpu
    assert found.threads == 4


def test_auto_on_ampere_is_fp16_by_graphs() -> None:
    found = resolve(plan(), A100)
    assert (found.precision, found.execution) == (Precision.FP16, Execution.GRAPH)


def test_auto_on_a_gpu_without_fast_halves_is_fp32() -> None:
    assert resolve(plan(), PASCAL).precision is Precision.FP32


@pytest.mark.parametrize("flag", ["amx_bf16", "avx512_bf16", "bf16"])
def test_auto_on_a_cpu_with_native_bf16_is_bf16_compiled(flag: str) -> None:
    hardware = Hardware(cpu_flags=frozenset({flag}), usable_cpus=2, cxx_compiler="/usr/bin/g++")
    found = resolve(plan(), hardware)
    assert (found.device, found.precision, found.execution) == (
        "cpu",
        Precision.BF16,
        Execution.COMPILE,
    )
    assert found.allocator is Allocator.RETAIN
    assert not found.on_gpu


def test_auto_on_a_cpu_that_would_emulate_bf16_is_fp32() -> None:
    assert resolve(plan(), ZEN3).precision is Precision.FP32


def test_auto_without_a_compiler_is_torchscript_and_without_that_eager() -> None:
    bare = Hardware()
    assert resolve(plan(), bare).execution is Execution.JIT
    future = bare.model_copy(update={"python_runs_torchscript": False})
    assert resolve(plan(), future).execution is Execution.EAGER


def test_without_glibc_there_is_no_allocator_to_set() -> None:
    assert resolve(plan(), Hardware(glibc=False)).allocator is Allocator.SYSTEM


def test_what_the_plan_says_is_kept() -> None:
    found = resolve(
        plan(
            device="cpu",
            precision="fp32",
            execution="eager",
            memory_format="contiguous",
            allocator="system",
            threads=3,
        ),
        A100,
    )
    assert found.model_dump(exclude={"openmp_wait_policy", "flush_denormal"}) == {
        "device": "cpu",
        "precision": "fp32",
        "execution": "eager",
        "memory_format": "contiguous",
        "allocator": "system",
        "threads": 3,
    }


def test_a_second_gpu_is_found_by_its_number() -> None:
    two = Hardware(cuda_devices=((7, 5), (8, 0)))
    assert resolve(plan(device="cuda:1", precision="tf32"), two).device == "cuda:1"
    assert resolve(plan(device="cuda"), two).device == "cuda:0"


@pytest.mark.parametrize(
    ("values", "hardware", "said"),
    [
        ({"device": "cuda"}, ZEN3, "0 CUDA device"),
        ({"device": "cuda:1"}, T4, "1 CUDA device"),
        ({"precision": "fp16"}, ZEN3, "Precision fp16 needs a GPU"),
        ({"precision": "tf32"}, ZEN3, "Precision tf32 needs a GPU"),
        ({"precision": "fp16", "device": "cpu"}, T4, "Precision fp16 needs a GPU"),
        ({"precision": "tf32"}, T4, "capability 8.0, and cuda:0 has 7.5"),
        ({"precision": "bf16"}, T4, "capability 8.0, and cuda:0 has 7.5"),
        ({"execution": "graph"}, ZEN3, "'graph' needs a CUDA device"),
        ({"execution": "compile"}, Hardware(), "'compile' needs a C++ compiler"),
        ({"execution": "jit"}, T4, "'jit' is for a CPU"),
        ({"scenario": {"executions": ["eager", "graph"]}}, ZEN3, "'graph' needs a CUDA device"),
        ({"scenario": {"executions": ["compile"]}}, Hardware(), "'compile' needs a C++ compiler"),
        ({"scenario": {"host_to_device": [False]}}, ZEN3, "which a CPU does not have"),
    ],
)
def test_what_the_machine_cannot_do_is_refused_with_a_remedy(
    values: dict[str, Any], hardware: Hardware, said: str
) -> None:
    with pytest.raises(PlanError) as caught:
        resolve(plan(**values), hardware)
    assert said in caught.value.sentence
    assert caught.value.remedy


@pytest.mark.parametrize("hardware", [T4, A100, PASCAL, SAPPHIRE_RAPIDS, ZEN3, Hardware()])
def test_auto_is_always_possible_and_never_stays_auto(hardware: Hardware) -> None:
    found = resolve(plan(), hardware)
    assert "auto" not in found.model_dump(mode="json").values()
    assert resolve_execution(found.execution, found.on_gpu, hardware) is found.execution


def test_the_first_processors_flags_are_read(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n\nflags\t: other\n")
    assert cpu_flags(cpuinfo) == {"fpu", "avx2", "amx_bf16"}
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert "bf16" in cpu_flags(cpuinfo)
    assert cpu_flags(tmp_path / "absent") == frozenset()


def test_this_machine_can_be_resolved() -> None:
    hardware = detect_hardware()
    assert hardware.usable_cpus == usable_cpu_count() >= 1
    assert resolve(plan(device="cpu"), hardware).device == "cpu"
