"""What may differ, and what the order in time and the machines can hide, is told."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from benchmark.probes import ProbeResult
from core.verdict.comparison import Request, compare
from core.verdict.legs import Source
from core.verdict.model import Question
from tests.core.verdict.machine import steady, telemetry
from tests.core.verdict.scene import STARTED, legs, resealed

BLOCKS = [100.0, 101.0, 99.0, 100.5]
CPU: dict[str, Any] = {"device": "cpu", "gpu": None, "configuration": {"device": "cpu"}}


class TestOneMachine:
    """A CPU has no UUID: what could be two machines is said, or refused."""

    def warnings(self, **changes: Any) -> str:
        found = compare(*legs(BLOCKS, BLOCKS, **{**CPU, **changes}))
        assert found.refusals == ()
        return " ".join(found.warnings)

    def test_two_boots_at_the_same_time_are_refused(self) -> None:
        at_once = {"started_at": STARTED + timedelta(seconds=1)}
        sides = legs(BLOCKS, BLOCKS, interleaved=False, of_second=at_once, **CPU)
        (refusal,) = compare(*sides).refusals
        assert refusal.key == "overlap"
        assert "or on two machines" in refusal.sentence

    def test_unknown_gpus_at_the_same_time_are_refused(self) -> None:
        at_once = {"started_at": STARTED + timedelta(seconds=1)}
        found = compare(*legs(BLOCKS, BLOCKS, of_second=at_once, gpu=None))
        assert "overlap" in [refusal.key for refusal in found.refusals]

    def test_equal_host_names_are_no_proof(self) -> None:
        assert "one machine is not proved: host names node; node" in self.warnings()

    def test_kernels_that_were_alive_at_once_are_told(self) -> None:
        assert "two kernels were alive at once" in self.warnings()
        assert "two kernels were alive at once" not in self.warnings(interleaved=False)

    def test_one_boot_is_one_machine(self) -> None:
        sides = legs(BLOCKS, BLOCKS, labels=("a", "a"), **CPU)
        found = compare(*sides, Request(question=Question.NOISE))
        assert not any("one machine" in each for each in found.warnings)

    def test_a_gpu_with_a_uuid_is_one_machine(self) -> None:
        assert not any("one machine" in each for each in warnings_of_equal_legs())
        found = compare(*legs(BLOCKS, BLOCKS, gpu={"uuid": None}))
        assert any("one machine is not proved" in each for each in found.warnings)

    def test_a_processor_that_neither_knows_is_named(self) -> None:
        found = self.warnings(environment={"cpu": {"model": None}})
        assert "Not known of either leg, so it could not be compared: the CPU." in found


@cache
def warnings_of_equal_legs() -> tuple[str, ...]:
    return compare(*legs(BLOCKS, BLOCKS)).warnings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"environment": {"kernel": "Linux 6.6"}}, "The kernel is not the same: Linux 6.1.0; "),
        ({"environment": {"operating_system": "Debian"}}, "The operating system is not the same"),
        ({"environment": {"cpu": {"governor": "powersave"}}}, "The CPU governor"),
        ({"environment": {"cpu": {"microcode": "0x1"}}}, "The microcode"),
        ({"environment": {"cpu": {"smt": "off"}}}, "SMT is not the same: on; off."),
        (
            {"environment": {"cpu": {"mitigations": {"spectre_v2": "Vulnerable"}}}},
            "mitigations are not the same: spectre_v2: Mitigation: Retpolines; Vulnerable.",
        ),
        ({"environment": {"loadgen": "5.1"}}, "LoadGen is not the same: 6.0.17; 5.1."),
        ({"environment": {"cpu_library": "AVX2"}}, "instructions that PyTorch uses"),
        ({"environment": {"memory_bytes": 8 * 2**30}}, "memory is not the same: 15.0 and 8.0 GiB"),
        ({"gpu": {"persistence_mode": False}}, "Persistence mode is not the same: True; False."),
        ({"measured": {"telemetry": telemetry(sm_clock_mhz=steady(900))}}, "1,590 and 900 MHz"),
        (
            {"measured": {"telemetry": telemetry(steal_percent=steady(9))}},
            "In 4 of 4 good blocks of xen the hypervisor gave more than 5 %",
        ),
        ({"complete": False}, "was measured in 4 of 4 run(s) of xen"),
    ],
)
def test_a_soft_key_warns_and_does_not_refuse(changes: dict[str, Any], words: str) -> None:
    found = compare(*legs(BLOCKS, BLOCKS, of_second=changes))
    assert found.refusals == ()
    assert any(words in warning for warning in found.warnings), found.warnings
    assert not any(words in warning for warning in warnings_of_equal_legs())


class TestOrderOfBlocks:
    """What the order in time can hide is said."""

    def test_one_leg_after_the_other(self) -> None:
        warnings = compare(*legs(BLOCKS, BLOCKS, interleaved=False)).warnings
        assert any("one after the other" in each for each in warnings)

    def test_always_the_same_leg_first(self) -> None:
        warnings = compare(*legs(BLOCKS, BLOCKS)).warnings
        assert any("In every pair baseline was measured first" in each for each in warnings)

    def test_pairs_in_turn_need_no_warning(self) -> None:
        first, second = legs(BLOCKS, BLOCKS)
        swapped = [second[1].result.benchmarks[0], first[1].result.benchmarks[0]]
        turned = [
            Source(
                resealed(
                    each.result,
                    benchmarks=(
                        each.result.benchmarks[0].model_copy(
                            update={"started_at": partner.started_at}
                        ),
                    ),
                )
            )
            for each, partner in zip((first[1], second[1]), swapped, strict=True)
        ]
        found = compare((first[0], turned[0], *first[2:]), (second[0], turned[1], *second[2:]))
        assert found.measurements[0].paired
        assert not any("measured first" in each for each in found.warnings)

    def test_a_last_block_without_partner_is_named(self) -> None:
        found = compare(*legs([*BLOCKS, 100.0], BLOCKS))
        assert found.measurements[0].paired
        assert any("partner" in each for each in found.warnings)


class TestProbes:
    """Probes that one leg alone ran are told."""

    @pytest.mark.parametrize(("probed", "label"), [("of_first", "baseline"), ("of_second", "xen")])
    def test_in_one_leg_alone(self, probed: str, label: str) -> None:
        probe = ProbeResult(
            name="launch",
            title="kernel launch",
            unit="us",
            block=1,
            started_at=STARTED,
            count=1000,
            minimum=9.0,
            median=10.0,
            p90=11.0,
            p99=12.0,
        )
        found = compare(*legs(BLOCKS, BLOCKS, **{probed: {"probes": (probe,)}}))
        assert any(f"Probes ran in {label} alone" in each for each in found.warnings)
        both = compare(*legs(BLOCKS, BLOCKS, probes=(probe,)))
        assert not any("Probes ran in" in each for each in both.warnings)
