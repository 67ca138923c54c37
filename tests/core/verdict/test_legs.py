"""Results pooled into legs, which blocks are void, which are partners, and what is drawn anew."""

from __future__ import annotations

from datetime import timedelta
from statistics import geometric_mean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.correctness import Correctness
from benchmark.loadgen_log import LoadgenVerdict
from benchmark.results import MeasurementResult
from core.verdict.draws import CLOSE, Draws, draws
from core.verdict.legs import Leg, Source
from core.verdict.model import METRICS
from core.verdict.voids import void_evidence
from tests.core.verdict.machine import telemetry
from tests.core.verdict.scene import BLOCK, NAME, STARTED, a_leg, a_measurement, legs

THROUGHPUT = METRICS[0]
INVALID = LoadgenVerdict(version="6", valid=False, summary={"validity": "INVALID"})


def drawn(first: tuple[Source, ...], second: tuple[Source, ...], name: str = NAME) -> Draws:
    return draws(Leg.of(first).blocks(name), Leg.of(second).blocks(name))


class TestPooling:
    """A leg is its blocks in time order, from however many files."""

    @settings(max_examples=20, deadline=None)
    @given(st.permutations(range(5)), st.integers(1, 5))
    def test_the_order_of_files_changes_nothing(self, order: list[int], runs: int) -> None:
        whole = a_leg([100.0, 101.0, 102.0, 103.0, 104.0], runs=runs)
        shuffled = [whole[place] for place in order if place < len(whole)]
        blocks = Leg.of(shuffled).blocks(NAME)
        assert [block.value(THROUGHPUT) for block in blocks] == [100, 101, 102, 103, 104]

    def test_a_result_given_twice_is_there_once(self) -> None:
        run = a_leg([100.0, 101.0])
        assert len(Leg.of((*run, *run)).blocks(NAME)) == 2

    def test_nothing_is_no_leg(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            Leg.of(())

    def test_measurements_are_named_in_the_order_of_the_plan(self) -> None:
        names = ["offline-b8", "server-b8", "singlestream-b1"]
        leg = Leg.of(a_leg({name: [50.0] for name in names}))
        assert list(leg.measurements()) == names
        assert leg.measurements()["offline-b8"] == ("Offline", 8)


class TestPairing:
    """Partners are found in the times, never in a label or a number."""

    def test_alternating_blocks_are_pairs(self) -> None:
        found = drawn(*legs([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
        assert found.paired
        assert found.values(THROUGHPUT) == ([1, 2, 3], [4, 5, 6])

    def test_one_leg_after_the_other_has_no_pairs(self) -> None:
        assert not drawn(*legs([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], interleaved=False)).paired

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.booleans(), min_size=1, max_size=4))
    def test_either_leg_may_come_first_in_a_pair(self, swapped: list[bool]) -> None:
        first, second = [], []
        for pair, swap in enumerate(swapped):
            times = [STARTED + (2 * pair + place) * BLOCK for place in (0, 1)]
            first += a_leg([100.0 + pair], started_at=times[swap])
            second += a_leg([200.0 + pair], leg="xen", started_at=times[not swap])
        found = drawn(tuple(first), tuple(second))
        assert found.paired
        pairs = range(len(swapped))
        assert found.values(THROUGHPUT) == ([100 + n for n in pairs], [200 + n for n in pairs])

    def test_two_in_a_row_of_one_leg_are_no_pair(self) -> None:
        first = a_leg([1.0, 2.0, 3.0, 4.0])
        second = a_leg([1.0, 2.0, 3.0, 4.0], leg="xen", started_at=STARTED + 1.5 * BLOCK)
        assert not drawn(first, second).paired

    def test_the_last_block_may_lack_its_partner(self) -> None:
        found = drawn(*legs([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0]))
        assert found.paired
        assert found.usable() == (3, 3)
        assert [unit.value(THROUGHPUT) for unit in found.alone] == [4]

    @pytest.mark.parametrize("lost", range(10))
    def test_a_lost_block_costs_one_pair_and_shifts_none_where_pairs_stand_apart(
        self, lost: int
    ) -> None:
        values = [float(number) for number in range(1, 11)]
        first = a_leg(values, runs=10, between=3 * BLOCK)
        second = a_leg(values, runs=10, between=3 * BLOCK, leg="xen", started_at=STARTED + BLOCK)
        found = drawn(first, second[:lost] + second[lost + 1 :])
        assert found.paired
        assert found.usable() == (9, 9)
        assert found.values(THROUGHPUT)[0] == found.values(THROUGHPUT)[1]
        assert [unit.value(THROUGHPUT) for unit in found.alone] == [lost + 1]

    def test_where_too_many_lack_a_partner_nothing_is_paired(self) -> None:
        first, second = legs([1.0] * 8, [1.0] * 8)
        assert drawn(first, second[2:]).paired
        assert not drawn(first, second[4:]).paired

    @pytest.mark.parametrize(("hours", "paired"), [(6, True), (6.1, False), (7 * 24, False)])
    def test_partners_are_close_in_time(self, hours: float, paired: bool) -> None:
        apart = timedelta(hours=hours)
        first = a_leg([1.0, 2.0, 3.0], runs=3, between=2 * apart)
        second = a_leg(
            [1.0, 2.0, 3.0], runs=3, between=2 * apart, leg="xen", started_at=STARTED + apart
        )
        assert drawn(first, second).paired is paired

    def test_a_night_between_two_partners_leaves_both_alone(self) -> None:
        first = a_leg([1.0] * 6, runs=6, between=2 * BLOCK)
        night = timedelta(hours=12)
        early = a_leg([1.0] * 5, runs=5, between=2 * BLOCK, leg="xen", started_at=STARTED + BLOCK)
        late = a_leg([1.0], leg="xen", started_at=STARTED + 11 * BLOCK + night)
        found = drawn(first, early + late)
        assert found.usable() == (5, 5)
        assert [unit.blocks[0].result.leg for unit in found.alone] == ["baseline", "xen"]

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), min_size=1, max_size=14))
    def test_partners_are_neighbours_and_nobody_is_lost(
        self, order: list[tuple[bool, int]]
    ) -> None:
        sides: tuple[list[Source], list[Source]] = ([], [])
        time = STARTED
        for is_second, minutes in order:
            time += timedelta(minutes=minutes)
            label = ("baseline", "xen")[is_second]
            sides[is_second].extend(a_leg([1.0], leg=label, started_at=time))
        if not all(sides):
            return
        found = drawn(*map(tuple, sides))
        units = [*found.first, *found.second, *found.alone]
        assert len({unit.started_at for unit in units}) == len(units) == len(order)
        if found.paired:
            times = sorted(unit.started_at for unit in units)
            for one, other in zip(found.first, found.second, strict=True):
                assert abs(times.index(one.started_at) - times.index(other.started_at)) == 1
                assert abs(one.started_at - other.started_at) <= CLOSE

    def test_a_void_block_takes_its_partner_with_it_and_moves_no_other(self) -> None:
        found = drawn(
            *legs([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], of_first={"void": {2: "?"}})
        )
        assert found.paired
        assert found.usable() == (3, 3)
        assert found.values(THROUGHPUT) == ([1, 3, 4], [5, 7, 8])

    def test_without_pairs_a_void_block_goes_alone(self) -> None:
        sides = legs(
            [1.0, 2.0, 3.0], [5.0, 6.0, 7.0], interleaved=False, of_first={"void": {2: "?"}}
        )
        assert drawn(*sides).usable() == (2, 3)


class TestBoots:
    """With several boots of each leg the boot is what is drawn anew."""

    BOOTS = ("b1", "b2", "b3")

    @staticmethod
    def booted(boots: int, **both: Any) -> Draws:
        first, second = [], []
        for boot in range(boots):
            for start, leg, base, side in ((0, "baseline", 100, first), (4, "xen", 200, second)):
                side += a_leg(
                    [base + boot, base + boot + 2.0],
                    leg=leg,
                    started_at=STARTED + (8 * boot + start) * BLOCK,
                    boots=[f"{leg} {boot}"],
                    **both,
                )
        return drawn(tuple(first), tuple(second))

    def test_three_boots_of_each_leg_are_three_units(self) -> None:
        found = self.booted(3)
        assert (found.unit, found.paired, found.usable()) == ("boot", True, (3, 3))
        assert found.values(THROUGHPUT)[0] == pytest.approx(
            [geometric_mean([100 + boot, 102 + boot]) for boot in range(3)]
        )

    def test_two_are_too_few(self) -> None:
        assert self.booted(2).unit == "block"

    def test_a_boot_that_is_not_known_is_no_boot(self) -> None:
        found = drawn(*legs([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], environment={"boot_id": None}))
        assert found.unit == "block"

    def test_one_boot_of_one_leg_leaves_blocks(self) -> None:
        found = drawn(*legs([1.0] * 3, [1.0] * 3, of_second={"boots": self.BOOTS}))
        assert found.unit == "block"

    def test_a_boot_with_a_void_block_keeps_the_others(self) -> None:
        found = self.booted(3, void={1: "?"})
        assert found.values(THROUGHPUT)[0] == pytest.approx([102, 103, 104])


# What the record itself says, the mark aside: on a GPU.
SPOILT: dict[str, dict[str, Any]] = {
    "a reason": {"void_reasons": ("a foreign process was on the GPU",)},
    "LoadGen's INVALID": {"loadgen": INVALID},
    "LoadGen's summary": {
        "loadgen": LoadgenVerdict(version="6", valid=True, summary={"validity": "INVALID"})
    },
    "LoadGen's reasons": {
        "loadgen": LoadgenVerdict(version="6", valid=True, invalid_reasons=("Min queries",))
    },
    "LoadGen's silence": {"loadgen": None},
    "heat": {"telemetry": telemetry(throttle_reason_samples={"hw_thermal_slowdown": 1})},
    "heat in software": {
        "telemetry": telemetry(throttle_reason_samples={"sw_thermal_slowdown": 1})
    },
    "the power brake": {
        "telemetry": telemetry(throttle_reason_samples={"hw_power_brake_slowdown": 2})
    },
    "a lasting slowdown": {"telemetry": telemetry(throttle_reason_samples={"hw_slowdown": 51})},
    "ECC errors": {"telemetry": telemetry(ecc_uncorrected=1)},
    "no telemetry": {"telemetry": None},
    "no sample of the GPU": {"telemetry": telemetry(gpu_sample_count=0)},
    "no raw files": {"raw_files": ()},
    "no throughput": {"throughput_samples_per_s": None},
    "no latencies": {"latency": None},
    "a wrong result": {
        "correctness": Correctness(
            samples=4, relative_error=0.5, tolerance=3e-4, top1_agreement=None
        )
    },
}


class TestVoid:
    """A mark is believed, and so is the evidence where the mark was taken away."""

    def measurement(self, **changes: Any) -> MeasurementResult:
        return a_measurement(NAME, 100.0, **{"void": False, **changes})

    def test_a_clean_block_is_good(self) -> None:
        assert void_evidence(self.measurement(), "cuda") == ()

    @pytest.mark.parametrize("kind", SPOILT)
    def test_the_record_speaks_without_the_mark(self, kind: str) -> None:
        assert void_evidence(self.measurement(**SPOILT[kind]), "cuda")

    def test_a_moment_may_lie_between_two_samples_of_the_gpu(self) -> None:
        unseen = telemetry(gpu_sample_count=0)
        entry = self.measurement(telemetry=unseen, duration_s=0.2)
        assert void_evidence(entry, "cuda") == ()

    def test_a_cpu_needs_no_telemetry_of_a_gpu(self) -> None:
        entry = self.measurement(telemetry=telemetry(gpu_sample_count=0))
        assert void_evidence(entry, "cpu") == ()
        assert void_evidence(self.measurement(telemetry=None), "cpu") == ()

    def test_a_mark_without_a_reason_is_a_mark(self) -> None:
        (reason,) = void_evidence(self.measurement(void=True), "cuda")
        assert "without a reason" in reason

    @pytest.mark.parametrize("count", [1, 50])
    def test_a_slowdown_of_a_moment_voids_nothing(self, count: int) -> None:
        summary = telemetry(throttle_reason_samples={"hw_slowdown": count, "sw_power_cap": 90})
        assert void_evidence(self.measurement(telemetry=summary), "cuda") == ()

    def test_a_cpu_that_was_slowed_by_heat_voids_a_cpu_alone(self) -> None:
        entry = self.measurement(telemetry=telemetry(thermal_throttle_count=2))
        assert void_evidence(entry, "cpu")
        assert void_evidence(entry, "cuda") == ()

    def test_a_leg_names_its_good_blocks(self) -> None:
        leg = Leg.of(a_leg([1.0, 2.0, 3.0], void={2: "heat"}))
        assert [block.good for block in leg.blocks(NAME)] == [True, False, True]
        assert leg.blocks(NAME)[1].label.endswith("block 2")


def test_blocks_of_one_run_are_ordered_by_time_and_not_by_number() -> None:
    late = a_measurement(NAME, 1.0, block=1, started_at=STARTED + timedelta(hours=1))
    early = a_measurement(NAME, 2.0, block=2)
    leg = Leg.of(a_leg([1.0], benchmarks=(late, early)))
    assert [block.value(THROUGHPUT) for block in leg.blocks(NAME)] == [2, 1]
