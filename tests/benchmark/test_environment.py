"""The machine is described as the kernel shows it, and what cannot be known is null."""

from __future__ import annotations

from pathlib import Path

from benchmark.environment import collect_cpu, gpu_info
from tests.benchmark.builders import environment


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_processor_is_read_from_proc_and_sys(tmp_path: Path) -> None:
    write(
        tmp_path / "proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU @ 2.00GHz\nmicrocode\t: 0xffffffff\n\n"
        "processor\t: 1\nmodel name\t: another\n",
    )
    system = tmp_path / "sys/devices/system/cpu"
    write(system / "cpu0/cpufreq/scaling_governor", "performance\n")
    write(system / "smt/control", "on\n")
    write(system / "vulnerabilities/meltdown", "Mitigation: PTI\n")
    write(system / "vulnerabilities/empty", "")
    found = collect_cpu(tmp_path)
    assert found.model == "Intel(R) Xeon(R) CPU @ 2.00GHz"
    assert found.microcode == "0xffffffff"
    assert found.governor == "performance"
    assert found.smt == "on"
    assert found.mitigations == {"meltdown": "Mitigation: PTI"}
    assert 1 <= found.usable <= found.count


def test_a_machine_that_tells_nothing_is_null_and_not_made_up(tmp_path: Path) -> None:
    found = collect_cpu(tmp_path)
    assert (found.model, found.governor, found.microcode, found.smt) == (None,) * 4
    assert found.mitigations == {}


def test_a_gpu_is_named_with_its_memory_in_gibibytes() -> None:
    with_gpu = environment().model_copy(
        update={"gpu": "Tesla T4", "cuda": "12.8", "gpu_memory_bytes": 15_843_721_216}
    )
    found = gpu_info(with_gpu)
    assert (found.name, found.cuda_version, found.total_memory_gb) == ("Tesla T4", "12.8", 14.76)


def test_without_a_gpu_the_name_says_that_it_is_the_cpu() -> None:
    found = gpu_info(environment())
    assert found.name == "no GPU: measured on the CPU, A CPU"
    assert found.cuda_version is None
    assert found.total_memory_gb is None
