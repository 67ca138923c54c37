"""What must be the same in both legs is refused with both values; what may differ is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from benchmark.attestation.model import Hypervisor
from benchmark.plan import Allocator, Execution, MemoryFormat, Precision
from benchmark.results import RawFile
from core.verdict.comparison import compare
from core.verdict.keys import KEYS, OTHER_KEYS, SETUP_KEYS
from core.verdict.legs import Source
from core.verdict.model import Refusal, Verdict
from tests.core.verdict.machine import steady, telemetry
from tests.core.verdict.scene import ARRIVAL_RATE, NAME, STARTED, a_leg, a_result, legs, resealed

BLOCKS = [100.0, 101.0, 99.0, 100.5]
SERVER = {"server-b8": [50.0, 50.1, 49.9, 50.2]}

# A change of the second leg that alters one key, with the values that the refusal shows.
ALTERED: dict[str, tuple[dict[str, Any], str, str]] = {
    "gpu": ({"environment": {"gpu": "NVIDIA L4"}}, "Tesla T4", "NVIDIA L4"),
    "gpu_uuid": ({"gpu": {"uuid": "GPU-2"}}, "GPU-8f6b1c1e-0000-4000-8000-000000000001", "GPU-2"),
    "vbios": ({"gpu": {"vbios_version": "90.04.B"}}, "90.04.A7.00.01", "90.04.B"),
    "driver": ({"gpu": {"driver_version": "535.1"}}, "550.90.07", "535.1"),
    "cuda": ({"environment": {"cuda": "12.4"}}, "12.8", "12.4"),
    "cudnn": ({"environment": {"cudnn": "90100"}}, "91002", "90100"),
    "mig": ({"gpu": {"mig_mode": True}}, "off", "on"),
    "ecc": ({"gpu": {"ecc_mode": False}}, "on", "off"),
    "power_limit": ({"gpu": {"enforced_power_limit_watts": 60.0}}, "70 W", "60 W"),
    "clocks": (
        {"gpu": {"application_graphics_clock_mhz": 1590}},
        "graphics 585 MHz, memory 5001 MHz",
        "graphics 1590 MHz, memory 5001 MHz",
    ),
    "pcie": (
        {"measured": {"telemetry": telemetry(pcie_width=steady(8))}},
        "generation 3, x16",
        "generation 3, x8",
    ),
    "cpu": (
        {"environment": {"cpu": {"model": "AMD EPYC"}}},
        "Intel(R) Xeon(R) CPU @ 2.00GHz",
        "AMD EPYC",
    ),
    "cpus": ({"environment": {"cpu": {"count": 8}}}, "4", "4 of 8"),
    "torch": (
        {"environment": {"torch": "2.9.1"}},
        "torch 2.10.0+cu128, torchvision 0.25.0",
        "torch 2.9.1, torchvision 0.25.0",
    ),
    "image": (
        {"environment": {"container_image": "registry.example/benchmark@sha256:b"}},
        "registry.example/benchmark@sha256:" + "a" * 64,
        "registry.example/benchmark@sha256:b",
    ),
    "precision": ({"configuration": {"precision": Precision.FP32}}, "fp16", "fp32"),
    "memory_format": (
        {"configuration": {"memory_format": MemoryFormat.CONTIGUOUS}},
        "channels_last",
        "contiguous",
    ),
    "execution": ({"configuration": {"execution": Execution.EAGER}}, "graph", "eager"),
    "allocator": ({"configuration": {"allocator": Allocator.RETAIN}}, "system", "retain"),
    "threads": ({"configuration": {"threads": 2}}, "4", "2"),
    "denormals": ({"configuration": {"flush_denormal": False}}, "on", "off"),
    "wait_policy": (
        {"configuration": {"openmp_wait_policy": "PASSIVE"}},
        "not known",
        "PASSIVE",
    ),
}


def refused(first: tuple[Source, ...], second: tuple[Source, ...]) -> dict[str, Refusal]:
    """Compare, and return the refusals by key."""
    found = compare(first, second)
    assert found.verdict is Verdict.REFUSED
    assert all(end.estimate is None for each in found.measurements for end in each.endpoints)
    return {refusal.key: refusal for refusal in found.refusals}


def altered(**changes: Any) -> dict[str, Refusal]:
    return refused(*legs(BLOCKS, BLOCKS, of_second=changes))


def test_equal_legs_are_not_refused() -> None:
    assert compare(*legs(BLOCKS, BLOCKS)).refusals == ()


@pytest.mark.parametrize("key", ALTERED)
def test_each_hard_key_refuses_with_both_values(key: str) -> None:
    changes, first, second = ALTERED[key]
    found = altered(**changes)
    assert list(found) == [key]
    assert (found[key].first, found[key].second) == (first, second)
    assert first in found[key].sentence
    assert second in found[key].sentence


def test_no_key_of_a_result_is_left_without_a_test() -> None:
    elsewhere = {"device", "weights"}
    assert {key.name for key in SETUP_KEYS} == ALTERED.keys() | elsewhere
    assert set(KEYS) == ALTERED.keys() | elsewhere | OTHER_KEYS.keys()


def test_other_weights_refuse() -> None:
    first, second = legs(BLOCKS, BLOCKS)
    weights = second[0].result.weights.model_copy(update={"sha256": "2" * 64})
    changed = tuple(Source(resealed(each.result, weights=weights)) for each in second)
    assert list(refused(first, changed)) == ["weights"]


def test_a_gpu_and_a_cpu_are_told_by_the_device_alone() -> None:
    found = altered(device="cpu", gpu=None, configuration={"device": "cpu"})
    assert list(found) == ["device"]


def test_another_gpu_of_the_same_kind_is_named_as_what_it_confounds() -> None:
    assert (
        "cannot be told from what the layer costs"
        in altered(gpu={"uuid": "X"})["gpu_uuid"].sentence
    )


@pytest.mark.parametrize("knowing", ["of_first", "of_second"])
def test_what_one_leg_alone_knows_refuses(knowing: str) -> None:
    other = "of_first" if knowing == "of_second" else "of_second"
    found = refused(*legs(BLOCKS, BLOCKS, **{other: {"gpu": {"driver_version": None}}}))
    assert list(found) == ["driver"]
    assert "known of one leg only" in found["driver"].sentence
    assert "550.90.07" in found["driver"].sentence


def test_what_neither_leg_knows_is_a_warning() -> None:
    found = compare(*legs(BLOCKS, BLOCKS, gpu={"vbios_version": None, "mig_mode": None}))
    assert found.refusals == ()
    assert (
        "Not known of either leg, so it could not be compared: the GPU's VBIOS, MIG."
        in found.warnings
    )


def test_without_nvml_every_key_of_it_is_a_warning() -> None:
    found = compare(*legs(BLOCKS, BLOCKS, gpu=None))
    assert found.refusals == ()
    (warning,) = [each for each in found.warnings if each.startswith("Not known of either leg")]
    assert "the GPU's UUID" in warning
    assert "the GPU's driver" in warning


def test_a_cpu_has_no_keys_of_a_gpu_and_its_host_name_is_no_proof() -> None:
    changes = {"device": "cpu", "gpu": None, "configuration": {"device": "cpu"}}
    here, there = legs(BLOCKS, BLOCKS, **changes, of_second={"environment": {"hostname": "other"}})
    found = compare(here, there)
    assert found.refusals == ()
    assert not any(each.startswith("Not known of either leg") for each in found.warnings)
    assert any("not proved: host names node; other" in each for each in found.warnings)


def test_an_idle_link_is_not_compared() -> None:
    found = compare(*legs(BLOCKS, BLOCKS, of_second={"gpu": {"pcie_generation": 3}}))
    assert found.refusals == ()


class TestPooledRuns:
    """Runs of one leg must agree among themselves."""

    def test_a_leg_that_changed_its_driver_is_refused(self) -> None:
        first, second = legs(BLOCKS, BLOCKS)
        odd = a_leg([100.0], started_at=STARTED + timedelta(days=1), gpu={"driver_version": "1"})
        found = refused((*first, *odd), second)
        assert "not the same in all runs of baseline: 550.90.07 and 1" in found["driver"].sentence

    def test_runs_of_several_legs_are_no_leg(self) -> None:
        first, second = legs(BLOCKS, BLOCKS)
        stray = a_leg([100.0], leg="other", started_at=STARTED + timedelta(days=1))
        found = refused((*first, *stray), second)
        assert "baseline, other" in found["leg"].sentence

    def test_a_plan_that_changed_between_runs_is_refused(self) -> None:
        first, second = legs(BLOCKS, BLOCKS)
        odd = a_leg([100.0], started_at=STARTED + timedelta(days=1), plan={"sample_count": 64})
        sentence = refused((*first, *odd), second)["plan"].sentence
        assert "in all runs of baseline: sample_count: 256 and 64" in sentence


class TestPlan:
    """What decides a block; names, repeats and resolved settings do not."""

    @pytest.mark.parametrize(
        ("changes", "shown"),
        [
            ({"sample_count": 64}, "sample_count: 256 and 64"),
            ({"seeds": {"data": 9}}, "seeds.data: 4 and 9"),
            ({"warm_up": {"minimum_s": 1.0}}, "warm_up.minimum_s: 2.0 and 1.0"),
            ({"server": {"load": 0.5}}, "server.load: 0.6 and 0.5"),
        ],
    )
    def test_another_plan_is_refused_field_by_field(
        self, changes: dict[str, Any], shown: str
    ) -> None:
        assert shown in altered(plan=changes)["plan"].sentence

    def test_what_decides_nothing_may_differ(self) -> None:
        changes = {
            "profile": "mine",
            "description": "words",
            "precision": "fp16",
            "device": "cuda",
        }
        assert compare(*legs(BLOCKS, BLOCKS, of_second={"plan": changes})).refusals == ()

    def test_blocks_may_be_spread_over_runs_otherwise(self) -> None:
        first = a_leg(BLOCKS)
        second = a_leg(BLOCKS, runs=4, leg="xen", started_at=STARTED + timedelta(days=1))
        assert compare(first, second).refusals == ()

    def test_the_rates_that_a_second_leg_takes_over_may_stand_in_its_plan(self) -> None:
        given = {"plan": {"server": {"arrival_rates": {"server-b8": ARRIVAL_RATE}}}}
        assert compare(*legs(SERVER, SERVER, of_second=given)).refusals == ()

    def test_a_measurement_that_one_leg_lacks_is_refused(self) -> None:
        found = refused(*legs({NAME: BLOCKS, **SERVER}, {NAME: BLOCKS}))
        assert {"plan", "blocks"} <= found.keys()
        assert "Of server-b8 at least 3 good" in found["blocks"].sentence


class TestLoad:
    """Both legs must carry the same load, along the same path."""

    def test_another_arrival_rate_is_refused(self) -> None:
        changes = {"measured": {"arrival_rate_qps": 2 * ARRIVAL_RATE}}
        found = refused(*legs(SERVER, SERVER, of_second=changes))
        assert list(found) == ["arrival_rates"]
        assert found["arrival_rates"].first == "50 queries/s"
        assert found["arrival_rates"].second == "100 queries/s"

    def test_an_arrival_rate_that_is_missing_is_refused(self) -> None:
        found = refused(*legs(SERVER, SERVER, of_second={"measured": {"arrival_rate_qps": None}}))
        assert found["arrival_rates"].second == "not known"

    def test_another_path_is_refused(self) -> None:
        found = altered(measured={"host_to_device": False})
        assert (found["execution"].first, found["execution"].second) == ("graph", "graph, resident")

    def test_another_engine_is_refused(self) -> None:
        found = altered(measured={"engine": {"cudnn_benchmark": True}})
        assert '{"cudnn_benchmark": true}' in found["execution"].sentence


class TestTwoMeasurements:
    """One measurement is not two."""

    def test_the_same_run_in_both_legs_is_refused(self) -> None:
        (run,) = a_leg(BLOCKS)
        assert "same_run" in refused((run,), (run,))

    def test_the_same_result_twice_in_a_leg_counts_once(self) -> None:
        first, second = legs(BLOCKS, BLOCKS)
        found = compare((*first, *first), second)
        assert found.refusals == ()
        assert found.first.blocks == len(BLOCKS)

    def test_another_result_under_the_same_id_is_refused(self) -> None:
        first, second = legs(BLOCKS, BLOCKS)
        forged = a_result([90.0], run_id=first[0].result.run_id)
        assert "same_run" in refused((*first, Source(forged)), second)

    def test_a_copied_raw_file_is_refused(self) -> None:
        raw = RawFile(path="latencies.npy", sha256="c" * 64, bytes=1, holds="times")
        sentence = altered(measured={"raw_files": (raw,)})["same_run"].sentence
        assert "are the same file" in sentence

    def test_runs_at_the_same_time_on_one_gpu_are_refused(self) -> None:
        at_once = {"started_at": STARTED + timedelta(seconds=1)}
        assert "same time" in altered(**at_once)["overlap"].sentence

    def test_runs_at_the_same_time_on_two_gpus_are_not_refused_for_that(self) -> None:
        changes = {"started_at": STARTED + timedelta(seconds=1), "gpu": {"uuid": "GPU-2"}}
        assert "overlap" not in altered(**changes)

    def test_the_baseline_given_second_is_refused(self) -> None:
        second, first = legs(BLOCKS, BLOCKS)
        assert "would look like a gain" in refused(first, second)["order"].sentence

    @pytest.mark.parametrize("label", ["baseline", "baseline-2"])
    def test_every_kind_of_baseline_belongs_first(self, label: str) -> None:
        under = {"hypervisor": Hypervisor.KVM}
        sides = legs(BLOCKS, BLOCKS, labels=("tuned", label), of_first=under)
        assert list(refused(*sides)) == ["order"]
