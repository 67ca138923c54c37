"""Which two CPUs hand work to each other, and what kind of pair they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.probes import SIBLINGS
from benchmark.probes.switches import switch_probes, two_cpus


def machine(root: Path, cores: dict[int, str]) -> Path:
    """A ``/sys`` that names each CPU's siblings."""
    for cpu, siblings in cores.items():
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(siblings + "\n")
    return root


@pytest.mark.parametrize(
    ("cores", "allowed", "pair"),
    [
        # A guest numbers a core's threads side by side, a server by all first threads first.
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, {0, 1, 2, 3}, (0, 2)),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, {0, 1, 2, 3}, (0, 1)),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, {2, 3}, (2, 3)),
        ({4: "4-5,64-65", 5: "4-5,64-65"}, {4, 5, 64, 65, 70}, (4, 70)),
    ],
)
def test_another_core_is_taken_however_threads_are_numbered(
    tmp_path: Path, cores: dict[int, str], allowed: set[int], pair: tuple[int, int]
) -> None:
    root = machine(tmp_path, cores)
    assert two_cpus(allowed, root) == (*pair, {SIBLINGS: 0})


def test_threads_of_one_core_are_taken_where_there_is_nothing_else_and_recorded(
    tmp_path: Path,
) -> None:
    root = machine(tmp_path, {3: "3,67", 67: "3,67"})
    assert two_cpus({67, 3}, root) == (3, 67, {SIBLINGS: 1})


@pytest.mark.parametrize("text", [None, "", "all", "7-9", "0-x"])
def test_a_pair_is_of_unknown_kind_where_the_kernel_does_not_tell(
    tmp_path: Path, text: str | None
) -> None:
    root = tmp_path if text is None else machine(tmp_path, {0: text})
    assert two_cpus({0, 1, 2}, root) == (0, 1, {})


def test_one_cpu_has_no_other(tmp_path: Path) -> None:
    assert two_cpus({5}, machine(tmp_path, {5: "5,6"})) == (5, None, {})


def test_the_kind_of_the_pair_stands_in_the_parameters(tmp_path: Path) -> None:
    root = machine(tmp_path, {0: "0-1", 1: "0-1"})
    parameters = {probe.name: probe.parameters for probe in switch_probes(root, allowed={0, 1})}
    assert parameters["cross-cpu"][SIBLINGS] == 1
    assert parameters["cross-cpu"]["operations"] == 20
    assert SIBLINGS not in parameters["context-switch"]
