"""Which mechanisms differ, and only what follows from the numbers is said of them."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.plan import Precision
from benchmark.probes import COPIES, SIBLINGS, STEAL, ProbeResult
from core.verdict.comparison import compare
from core.verdict.legs import Source
from core.verdict.mechanism import FAMILY_ERROR, Block, Probed, causes, mechanisms, unlike
from core.verdict.model import MeasurementComparison, Mechanism, Span
from tests.core.verdict.comparison_parts import measurement
from tests.core.verdict.scene import BLOCK, STARTED, a_leg, resealed

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MIB = 2**20


def probe(
    name: str,
    median: float | None,
    *,
    block: int = 1,
    unit: str = "us",
    parameters: dict[str, int] | None = None,
) -> ProbeResult:
    """A probe with this median; without one it could not run."""
    title = COPIES[name].title if name in COPIES else name.replace("-", " ")
    figures = {} if median is None else dict.fromkeys(("minimum", "median", "p90", "p99"), median)
    return ProbeResult.model_validate(
        {
            "name": name,
            "title": title,
            "unit": "%" if name == STEAL else unit,
            "parameters": parameters or {},
            "block": block,
            "started_at": NOON,
            "count": 0 if median is None else 1,
            "problem": "not here" if median is None else "",
            **figures,
        }
    )


def blocks(**values: Sequence[float | None]) -> list[Block]:
    """One leg: the medians of each probe by block; ``_`` in names stands for ``-``."""
    count = max(len(medians) for medians in values.values())
    return [
        tuple(
            probe(name.replace("_", "-"), medians[place], block=place + 1)
            for name, medians in values.items()
        )
        for place in range(count)
    ]


def by_block(
    first: Sequence[Block], second: Sequence[Block], *, is_paired: bool
) -> tuple[Mechanism, ...]:
    """Both legs compared with each block a unit."""
    return mechanisms(Probed([[each] for each in first], [[each] for each in second], is_paired))


def noisy(center: float, seed: int, count: int = 10, deviation: float = 0.01) -> list[float]:
    chance = random.Random(seed)
    return [center * math.exp(chance.gauss(0, deviation)) for _ in range(count)]


def mechanism(name: str, first: float, second: float, *, differs: bool = True) -> Mechanism:
    change = 100 * (second / first - 1)
    title = COPIES[name].title if name in COPIES else name
    span = Span(change - 1, change + 1)
    return Mechanism(name, title, "us", first, second, change, span, differs)


@pytest.mark.parametrize("is_paired", [True, False])
def test_a_dearer_operation_is_found_with_its_size_and_an_equal_one_is_not(is_paired: bool) -> None:
    first = blocks(syscall=noisy(200, 1), page_fault=noisy(500, 2))
    second = blocks(syscall=noisy(260, 3), page_fault=noisy(500, 4))
    syscall, fault = by_block(first, second, is_paired=is_paired)
    assert syscall.probe == "syscall"
    assert syscall.differs
    assert syscall.interval_percent is not None
    assert syscall.interval_percent.low < 30 < syscall.interval_percent.high
    assert syscall.first == pytest.approx(200, rel=0.02)
    assert syscall.second == pytest.approx(260, rel=0.02)
    assert not fault.differs
    assert abs(fault.change_percent) < 2


def test_partners_cancel_what_both_blocks_share() -> None:
    drift = [1.0, 1.3, 1.7, 2.2, 2.9, 3.7]
    first = blocks(launch=[3.0 * step for step in drift])
    second = blocks(launch=[3.3 * step * (1 + place / 1000) for place, step in enumerate(drift)])
    (together,) = by_block(first, second, is_paired=True)
    (apart,) = by_block(first, second, is_paired=False)
    assert together.differs
    assert not apart.differs
    assert together.change_percent == pytest.approx(apart.change_percent)


def test_a_pair_that_lacks_one_half_is_left_out() -> None:
    first = blocks(launch=[1.0, None, 1.0, 1.01, 0.99])
    second = blocks(launch=[2.0, 50.0, 2.0, 2.02, None])
    (found,) = by_block(first, second, is_paired=True)
    assert (found.first, found.second) == (1.0, 2.0)
    assert found.change_percent == pytest.approx(100)


def test_legs_with_different_numbers_of_blocks_have_no_partners() -> None:
    first, second = blocks(launch=noisy(1, 5, 6)), blocks(launch=noisy(2, 6, 5))
    assert by_block(first, second, is_paired=True) == by_block(first, second, is_paired=False)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_blocks_have_a_change_and_no_interval(count: int) -> None:
    found = by_block(blocks(launch=[1.0] * count), blocks(launch=[1.5] * count), is_paired=True)
    assert found[0].change_percent == pytest.approx(50)
    assert found[0].interval_percent is None
    assert not found[0].differs
    assert causes(found, [])[0].startswith("The probes ran in fewer than 3 blocks")


def by_boot(center: float, seed: int, boots: int = 6, blocks_of_each: int = 5) -> list[list[Block]]:
    """One leg: what varies does so from boot to boot, by 10 %."""
    return [
        blocks(launch=noisy(level, 100 * seed + boot, blocks_of_each, 0.001))
        for boot, level in enumerate(noisy(center, seed, boots, 0.1))
    ]


def test_where_the_boot_is_the_unit_its_blocks_are_no_draws_of_their_own() -> None:
    first, second = by_boot(3.0, 1), by_boot(3.0, 2)
    (by_unit,) = mechanisms(Probed(first, second, is_paired=False))
    every = [[block for boot in leg for block in boot] for leg in (first, second)]
    (alone,) = by_block(every[0], every[1], is_paired=False)
    assert by_unit.interval_percent is not None
    assert alone.interval_percent is not None
    assert by_unit.change_percent == pytest.approx(alone.change_percent)

    def width(span: Span) -> float:
        return span.high - span.low

    # As five blocks of a boot are hardly more than one draw, the square root of five.
    assert width(by_unit.interval_percent) > 1.8 * width(alone.interval_percent)


def leg_of_boots(label: str, level: float, siblings: int, places: Sequence[int]) -> list[Source]:
    """Four boots of three blocks each; from boot to boot a launch varies by 10 %."""
    sources, launches = [], noisy(level, len(label), 4, 0.1)
    for boot, (place, launch) in enumerate(zip(places, launches, strict=True)):
        (source,) = a_leg(
            [100.0, 100.0 + boot, 101.0],
            leg=label,
            started_at=STARTED + 3 * place * BLOCK,
            boots=[f"{label} {boot}"],
        )
        probes = tuple(
            each
            for block in (1, 2, 3)
            for each in (
                probe("launch", launch * (1 + block / 1000), block=block),
                probe("cross-cpu", 5.0, block=block, parameters={SIBLINGS: siblings}),
            )
        )
        sources.append(Source(resealed(source.result, probes=probes)))
    return sources


@pytest.mark.parametrize(
    "places", [((0, 2, 4, 6), (1, 3, 5, 7)), ((0, 1, 2, 3), (100, 101, 102, 103))]
)
def test_a_comparison_by_boots_compares_probes_by_boots_and_says_what_was_unlike(
    places: tuple[Sequence[int], Sequence[int]],
) -> None:
    first = leg_of_boots("baseline", 3.0, 1, places[0])
    second = leg_of_boots("xen", 3.0, 0, places[1])
    found = compare(first, second)
    (launch,) = found.mechanisms
    # Four boots of each leg: twelve blocks taken for as many draws would give half of the width.
    assert launch.interval_percent is not None
    boots = [
        [[each for each in source.result.probes if each.name == "launch"] for source in leg]
        for leg in (first, second)
    ]
    estimate = found.measurements[0].endpoints[0].estimate
    is_paired = estimate is not None and estimate.method == "paired t"
    assert is_paired is (places[1][0] == 1)
    units = [[[(each,) for each in boot] for boot in leg] for leg in boots]
    (expected,) = mechanisms(Probed(units[0], units[1], is_paired))
    assert launch.interval_percent == expected.interval_percent
    assert found.causes[-1].startswith("cross cpu: not compared, for its two CPUs were two threads")


def test_boots_are_partners_too_and_stolen_time_has_a_mean_over_their_blocks() -> None:
    drift = (1.0, 1.5, 2.2, 3.0)
    first = [blocks(launch=[3 * step, 3 * step], steal=[0.0, 0.0]) for step in drift]
    second = [
        blocks(launch=[4 * step, 4 * step * (1 + step / 100)], steal=[0.0, 20.0]) for step in drift
    ]
    launch, stolen = mechanisms(Probed(first, second, is_paired=True))
    assert launch.differs
    assert launch.change_percent == pytest.approx(100 / 3, rel=0.04)
    assert (stolen.first, stolen.second) == (0.0, 10.0)
    assert stolen.change_percent == pytest.approx(100 * (math.sqrt(1.25) - 1))


def cross_cpu(*kinds: int | None) -> list[Block]:
    """One leg, with the kind of the pair of CPUs in each block."""
    return [
        (
            probe(
                "cross-cpu",
                5.0 + place / 100,
                block=place + 1,
                parameters={} if kind is None else {SIBLINGS: kind},
            ),
        )
        for place, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        ((1, 1, 1), (0, 0, 0), "two threads of one core and two cores"),
        ((None,) * 3, (0, 0, 0), "a pair of unknown kind and two cores"),
        ((0, 0, 0), (0, 1, 0), "two cores and two threads of one core"),
    ],
)
def test_wake_ups_between_unlike_cpus_are_not_compared_and_that_is_said(
    first: Sequence[int | None], second: Sequence[int | None], pairs: str
) -> None:
    legs = [[[block] for block in cross_cpu(*kinds)] for kinds in (first, second)]
    probed = Probed(legs[0], legs[1], is_paired=True)
    assert mechanisms(probed) == ()
    assert unlike(probed) == (f"cross cpu: not compared, for its two CPUs were {pairs}.",)


@pytest.mark.parametrize("kind", [0, 1, None])
def test_wake_ups_between_alike_cpus_are_compared(kind: int | None) -> None:
    leg = [[block] for block in cross_cpu(kind, kind, kind)]
    probed = Probed(leg, leg, is_paired=False)
    assert [each.probe for each in mechanisms(probed)] == ["cross-cpu"]
    assert unlike(probed) == ()


def test_operations_of_unlike_parameters_are_not_compared() -> None:
    legs = [
        [[(probe("launch", 3.0, parameters={"operations": count}),)] for _ in range(3)]
        for count in (100, 10)
    ]
    probed = Probed(legs[0], legs[1], is_paired=False)
    assert mechanisms(probed) == ()
    assert unlike(probed) == (
        "launch: not compared, for its parameters are not the same in all blocks of both legs.",
    )


def test_what_only_one_leg_could_probe_is_no_mechanism() -> None:
    first = blocks(launch=[None, None], syscall=[1.0, 1.0])
    second = blocks(launch=[1.0, 1.0], syscall=[1.0, 1.0], page_fault=[1.0, 1.0])
    assert [each.probe for each in by_block(first, second, is_paired=True)] == ["syscall"]


def test_no_probes_are_no_mechanisms_and_no_words() -> None:
    found = by_block([(), ()], [(), ()], is_paired=True)
    assert found == ()
    assert causes(found, [measurement(overheads=9.0)], Precision.FP16) == ()


def test_stolen_time_is_compared_by_how_much_longer_it_makes_work() -> None:
    first = blocks(steal=[0.0] * 6)
    second = blocks(steal=[19.9, 20.0, 20.1, 20.0, 19.9, 20.1])
    (found,) = by_block(first, second, is_paired=True)
    assert (found.first, found.second, found.unit) == (0.0, 20.0, "%")
    assert found.change_percent == pytest.approx(25, rel=0.01)
    (said,) = causes([found], [])
    assert "20.0 % against 0 %, by which all work on the CPU takes 25.0 % more" in said


def test_legs_from_which_nothing_was_stolen_are_alike() -> None:
    legs = blocks(steal=[0.0] * 6)
    (found,) = by_block(legs, legs, is_paired=True)
    assert (found.change_percent, found.interval_percent) == (0.0, Span(0.0, 0.0))
    assert not found.differs


def test_everything_stolen_has_no_ratio() -> None:
    legs = blocks(steal=[100.0] * 6)
    assert by_block(legs, legs, is_paired=True) == ()


def test_equal_probes_are_called_different_no_more_often_than_promised() -> None:
    # 150 comparisons of 12 equal probes: without Holm's step about 69 would show a difference.
    false_alarms = 0
    for trial in range(150):
        legs = [
            blocks(**{f"p{k}": noisy(5, 1000 * trial + 2 * k + leg, 8) for k in range(12)})
            for leg in (0, 1)
        ]
        found = by_block(legs[0], legs[1], is_paired=True)
        false_alarms += any(each.differs for each in found)
    # 5 % of 150 is 7.5, and a binomial count is above 17 once in a thousand times.
    assert FAMILY_ERROR == 0.05
    assert 0 < false_alarms <= 17


figures = st.floats(1e-300, 1e300)
legs_of_figures = st.integers(3, 6).flatmap(
    lambda count: st.tuples(*[st.lists(figures, min_size=count, max_size=count) for _ in range(2)])
)


@given(legs_of_figures, st.booleans())
def test_any_figures_have_a_finite_change(
    legs: tuple[list[float], list[float]], is_paired: bool
) -> None:
    first, second = (blocks(launch=leg) for leg in legs)
    (found,) = by_block(first, second, is_paired=is_paired)
    assert found.interval_percent is not None
    ends = (found.interval_percent.low, found.change_percent, found.interval_percent.high)
    assert all(math.isfinite(end) for end in ends)
    assert ends[0] <= ends[1] <= ends[2]
    assert causes([found], [])


@given(
    st.lists(st.floats(0.1, 1000), min_size=4, max_size=8),
    st.floats(0.2, 5),
    st.floats(0.001, 1000),
)
def test_swapping_the_legs_inverts_the_ratio_and_another_unit_changes_nothing(
    medians: list[float], factor: float, scale: float
) -> None:
    other = [value * factor * (1 + place / 50) for place, value in enumerate(medians)]
    first, second = blocks(launch=medians), blocks(launch=other)
    (there,) = by_block(first, second, is_paired=True)
    (back,) = by_block(second, first, is_paired=True)
    assert (1 + there.change_percent / 100) * (1 + back.change_percent / 100) == pytest.approx(1)
    assert there.differs is back.differs
    scaled = [blocks(launch=[value * scale for value in leg]) for leg in (medians, other)]
    (in_other_unit,) = by_block(scaled[0], scaled[1], is_paired=True)
    assert in_other_unit.change_percent == pytest.approx(there.change_percent, abs=1e-6)


def test_what_got_dearer_is_said_by_size_and_what_got_cheaper_after_it() -> None:
    found = [
        mechanism("syscall", 100, 110),
        mechanism("page-fault", 100, 190),
        mechanism("launch", 100, 80),
        mechanism("wake-up", 100, 300, differs=False),
    ]
    said = causes(found, [])
    assert [sentence.partition(":")[0] for sentence in said] == ["page-fault", "syscall", "launch"]
    assert said[0] == "page-fault: 90.0 % more (90 %: 89.0 to 91.0 %), 190 us against 100 us."
    assert said[2] == "launch: 20.0 % less (90 %: 19.0 to 21.0 %), 80.0 us against 100 us."


def test_copies_that_differ_in_size_alone_are_one_sentence() -> None:
    found = [
        mechanism("h2d-pinned-4kib", 10, 13),
        mechanism("h2d-pinned-1mib", 90, 100),
        mechanism("h2d-pageable-1mib", 200, 220),
    ]
    said = causes(found, [])
    assert len(said) == 2
    assert said[0].startswith("host to device, pinned, 4 KiB: 30.0 % more")
    assert said[0].endswith("; 1 other size takes more too.")
    assert "pageable" in said[1]


def test_no_difference_is_a_sentence_too() -> None:
    found = [
        mechanism("page-fault", 100, 101, differs=False),
        replace(
            mechanism("syscall", 100, 111.7, differs=False), interval_percent=Span(-18.2, 53.4)
        ),
        replace(mechanism("launch", 100, 300, differs=False), interval_percent=None),
    ]
    (said,) = causes(found, [measurement(overheads=0.1)])
    # That nothing was found is no finding, and what was not seen may be as much as the interval.
    assert said == (
        "No probe of 3 is shown to differ (Holm, 5%); the widest interval is that of syscall "
        "(90 %: -18.2 to +53.4 %)."
    )


def slower(name: str, scenario: str, batch: int = 1, path: str = "graph") -> MeasurementComparison:
    return replace(measurement(name, scenario, batch, 20.0), path=path)


def test_copying_explains_its_part_of_a_query() -> None:
    # A query takes 4 ms at p50, and 20 % of it more: 0.8 ms. fp16 at batch 8 is 2.4 MB, between the
    # probes of 1 and 16 MiB, whose 40 and 400 us more put it at 71 us.
    found = [
        mechanism("h2d-pinned-64kib", 10, 11, differs=False),
        mechanism("h2d-pinned-1mib", 100, 140),
        mechanism("h2d-pinned-16mib", 1500, 1900),
    ]
    part = (8 * 3 * 224 * 224 * 2 - MIB) / (15 * MIB)
    extra = [
        ((1 - part) * change + part * 15 * larger) / 1e3
        for change, larger in ((40, 400 / 15), (39, 385 / 15), (41, 415 / 15))
    ]
    compared = slower("multistream-b8", "MultiStream", 8)
    said = causes(found, [compared], Precision.FP16)
    span = milliseconds_of_the_query(compared)
    assert said[-1] == (
        f"multistream-b8: a query takes 0.800 ms more (90 %: {span.low:.3f} to {span.high:.3f} "
        f"ms), and copying its 2.41 MB to the device {extra[0]:.4f} ms more (90 %: {extra[1]:.4f} "
        f"to {extra[2]:.4f} ms), by the probes of the nearest sizes: "
        f"{100 * extra[1] / span.high:.0f} to {100 * extra[2] / span.low:.0f} % of it."
    )


def milliseconds_of_the_query(compared: MeasurementComparison) -> Span:
    (found,) = (end for end in compared.endpoints if end.metric == "p50")
    assert found.estimate is not None
    assert found.first is not None
    first, ratios = found.first.geometric_mean, found.estimate.ratio_interval
    return Span(first * (ratios.low - 1), first * (ratios.high - 1))


def copies(first: float, second: float, *, spread: float = 1.0) -> list[Mechanism]:
    """Copies around one image in fp16 that take as much each."""
    change = 100 * (second / first - 1)
    return [
        replace(
            mechanism(f"h2d-pinned-{size}", first, second),
            interval_percent=Span(change - spread, change + spread),
        )
        for size in ("64kib", "1mib")
    ]


def test_a_copy_that_takes_more_than_the_whole_difference_is_said_to() -> None:
    # The query takes 0.8 ms more, the copy 2 ms: something of it is hidden or measured otherwise.
    said = causes(copies(1000, 3000), [slower("ss", "SingleStream")], Precision.FP16)
    assert "a query takes 0.800 ms more" in said[-1]
    assert "to the device 2.00 ms more (90 %: 1.99 to 2.01 ms)" in said[-1]
    assert said[-1].endswith(
        ": more than the whole difference, so it does not carry over as it is."
    )


def test_a_copy_that_may_be_more_or_less_than_the_difference_is_said_so() -> None:
    said = causes(copies(1000, 1900, spread=40), [slower("ss", "SingleStream")], Precision.FP16)
    assert re.search(
        r"by these figures more than the whole difference \(6\d to 1[67]\d % of it\)\.$", said[-1]
    )
    said = causes(copies(1000, 1700, spread=40), [slower("ss", "SingleStream")], Precision.FP16)
    assert re.search(r"sizes: 3\d to 14\d % of it\.$", said[-1])


def test_copies_without_an_interval_explain_nothing() -> None:
    found = copies(1000, 1700)
    found[0] = replace(found[0], interval_percent=None, differs=False)
    said = causes(found, [slower("ss", "SingleStream")], Precision.FP16)
    assert said[-1].startswith("The probes do not explain the overhead of ss")


def test_offline_hides_copies_behind_computing_so_they_explain_at_most_their_part() -> None:
    found = [mechanism("h2d-pinned-1mib", 100, 140), mechanism("h2d-pinned-16mib", 1500, 1900)]
    said = causes(found, [slower("offline-b8", "Offline", 8)], Precision.FP16)
    # Half the reciprocal of the throughput: 8 samples at 1,200 samples/s, 20 % fewer a second.
    assert re.search(r"a batch takes 1\.67 ms more \(90 %: .*: at most 5 % of it\.$", said[-1])


@pytest.mark.parametrize(
    ("compared", "precision"),
    [
        (slower("singlestream-b1", "SingleStream"), None),
        (slower("singlestream-b1", "SingleStream"), Precision.AUTO),
        (slower("singlestream-b1-resident", "SingleStream", 1, "eager, resident"), Precision.FP16),
        (slower("server-b1", "Server"), Precision.FP16),
        (slower("offline-b4096", "Offline", 4096), Precision.FP32),
    ],
    ids=[
        "unknown precision",
        "precision not resolved",
        "no copies",
        "varying batches",
        "too large",
    ],
)
def test_what_cannot_be_computed_is_said_not_to_be_explained(
    compared: MeasurementComparison, precision: Precision | None
) -> None:
    found = [mechanism("h2d-pinned-64kib", 10, 15), mechanism("h2d-pinned-1mib", 100, 140)]
    said = causes(found, [compared], precision)
    assert said[-1] == (
        f"The probes do not explain the overhead of {compared.name}: how often the model does what "
        "they time is not known."
    )


def test_copies_that_do_not_differ_explain_nothing() -> None:
    found = [
        mechanism("syscall", 100, 140),
        mechanism("h2d-pinned-64kib", 10, 15, differs=False),
        mechanism("h2d-pinned-1mib", 100, 140, differs=False),
    ]
    said = causes(found, [slower("singlestream-b1", "SingleStream")], Precision.FP16)
    assert said[-1].startswith("The probes do not explain the overhead of singlestream-b1")


def test_overhead_beside_probes_that_do_not_differ_stays_unexplained() -> None:
    found = [mechanism("syscall", 100, 100, differs=False)]
    said = causes(found, [slower("singlestream-b1", "SingleStream"), slower("server-b8", "Server")])
    assert said[-1] == (
        "The probes do not explain the overhead of singlestream-b1, server-b8: none of them "
        "is shown to differ."
    )


def test_a_measurement_without_clear_overhead_needs_no_explanation() -> None:
    found = [mechanism("h2d-pinned-64kib", 10, 15), mechanism("h2d-pinned-1mib", 100, 140)]
    said = causes(found, [measurement(overheads=0.01)], Precision.FP16)
    assert not any("singlestream-b1" in sentence for sentence in said)
