"""Comparisons made by hand, one of each kind, for whatever shows one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.verdict.model import (
    Comparison,
    Further,
    Look,
    MeasurementComparison,
    Mechanism,
    NoiseFloor,
    NoiseRow,
    Question,
    Refusal,
    Span,
    Verdict,
)
from tests.core.verdict.comparison_parts import (
    BASELINE_RUN,
    comparison,
    estimate,
    leg,
    measurement,
)


def within() -> Comparison:
    """Three measurements well below the target."""
    return comparison(
        Verdict.WITHIN,
        "The worst gating endpoint is p90 of singlestream-b1: 1.30 %, 90 % interval 0.71 to 1.89 "
        "%, wholly below 5 %.",
        [
            measurement(overheads={"throughput": 1.2, "p50": 1.2, "p90": 1.3, "p99": 2.4}),
            measurement("offline-b8", "Offline", 8, 0.6, 0.5, queries=1),
            measurement("server-b8", "Server", 8, -0.4, 1.5, queries=1000),
        ],
    )


def exceeds() -> Comparison:
    """One measurement above the target, one below it."""
    return comparison(
        Verdict.EXCEEDS,
        "p90 of singlestream-b1 is worse by 7.40 %, 90 % interval 6.78 to 8.02 %, wholly above "
        "5 %.",
        [
            measurement(
                overheads={"throughput": 6.6, "p50": 7.1, "p90": 7.4, "p99": 9.0},
                verdict=Verdict.EXCEEDS,
                void=("Block 3 of xen is void: the GPU was throttled by heat for 4 s.",),
            ),
            measurement("offline-b8", "Offline", 8, 0.6, 0.5, queries=1),
        ],
        warnings=("The governor is not the same: performance and schedutil.",),
    )


def inconclusive() -> Comparison:
    """The interval holds the target, by less than two decimals would show."""
    return comparison(
        Verdict.INCONCLUSIVE,
        "p50 of singlestream-b1 is worse by 4.90 %, and its 90 % interval reaches beyond 5 %.",
        [
            measurement(
                overheads={"throughput": 4.1, "p50": 4.9, "p90": 4.892, "p99": 5.2},
                noise=0.171,
                verdict=Verdict.INCONCLUSIVE,
                further=12,
            ),
            measurement(
                "server-b8",
                "Server",
                8,
                4.999,
                3.0,
                queries=1000,
                verdict=Verdict.INCONCLUSIVE,
                method="Welch t",
            ),
        ],
        further=Further(blocks=12, seconds=3600.0),
    )


def refused() -> Comparison:
    """Nothing was computed, for two reasons."""
    return comparison(
        Verdict.REFUSED,
        "The legs are not comparable.",
        refusals=(
            Refusal(
                "driver",
                "The driver is not the same: 550.90.07 in baseline and 535.183.01 in xen.",
                "550.90.07",
                "535.183.01",
            ),
            Refusal("layer", "Leg xen is not attested as Xen: it says kvm.", "bare-metal", "kvm"),
        ),
        second=leg("xen", hypervisor="kvm", software="driver 535.183.01, CUDA 12.4, torch 2.6.0"),
    )


def allowed() -> Comparison:
    """What would be within target, were not a difference allowed."""
    driver = refused().refusals[0]
    return replace(
        within(),
        verdict=Verdict.INCONCLUSIVE,
        reason="Every endpoint is below 5 %, but a difference was allowed (driver), so it is not "
        "known what the overhead is of.",
        refusals=(replace(driver, allowed=True),),
    )


def with_noise(verdict: Verdict = Verdict.WITHIN) -> Comparison:
    """Within target, with the noise floor of an A/A."""
    found = within()
    rows = tuple(
        NoiseRow(each.name, end.metric, estimate(end.metric, 0.1, 0.8))
        for each in found.measurements
        for end in each.endpoints
        if end.gating
    )
    floor = NoiseFloor(
        "A/A",
        (BASELINE_RUN, "20260504-110000-kubernetes-baseline-cccc"),
        rows,
        verdict,
        "The same leg measured twice differs by 0.10 %, 90 % interval -0.37 to 0.56 %.",
    )
    return replace(found, noise=floor)


def with_looks() -> Comparison:
    """The first of two looks: its decision interval is wider than the 90 % one."""
    return replace(
        within(),
        measurements=(measurement(blocks=5, alpha=0.0061),),
        look=Look(1, 2, (5, 10), 0.0061),
    )


def with_mechanisms() -> Comparison:
    """Exceeds target, and it is the launches and the copies."""
    return replace(
        exceeds(),
        mechanisms=(
            Mechanism(
                *("launch", "kernel launch, empty kernel", "us", 4.8, 7.2, 50.0),
                Span(44.1, 56.3),
                True,
            ),
            Mechanism(
                *("h2d-pinned", "host to device, pinned, 1 MiB", "us", 92.0, 95.1, 3.37),
                Span(1.02, 5.77),
                True,
            ),
            Mechanism(
                *("timer-jitter", "timer jitter, 1 ms sleep", "us", 55.0, 54.0, -1.82),
                Span(-9.8, 6.9),
                False,
            ),
            Mechanism("steal", "steal time", "ms", 0.0, 0.4, 0.0, None, False),
        ),
        causes=("A kernel launch takes 2.4 us (50 %) more in xen; SingleStream makes many.",),
    )


def noise_question() -> Comparison:
    """A/A: the same leg twice."""
    return replace(
        within(),
        question=Question.NOISE,
        reason="Two equal legs differ by at most 1.30 %, 90 % interval 0.71 to 1.89 %.",
        first=leg("baseline", label="baseline (first)"),
        second=leg("baseline", label="baseline (second)", runs=("later-run",)),
    )


def everything() -> Comparison:
    """All parts that a comparison can have at once."""
    noise, found = with_noise(), with_mechanisms()
    return replace(
        found,
        noise=noise.noise,
        look=Look(2, 2, (5, 10), 0.0486),
        refusals=allowed().refusals,
        further=Further(12, 3600.0),
        measurements=(
            *found.measurements,
            measurement(
                "server-b8",
                "Server",
                8,
                4.9,
                3.0,
                queries=1000,
                verdict=Verdict.INCONCLUSIVE,
                method="Welch t",
                further=40,
            ),
            missing("server-b32"),
        ),
    )


def missing(name: str) -> MeasurementComparison:
    """A measurement that the second leg has no good block of."""
    found = measurement(name, "Server", 32, verdict=None)
    ends = tuple(
        replace(end, second=None, estimate=None, verdict=None, points=()) for end in found.endpoints
    )
    return replace(found, endpoints=ends, void=("Block 1 of xen is void: it was shared.",))


def hostile(text: str) -> Comparison:
    """Everything, with ``text`` wherever a file or a driver may say what it likes."""
    found = everything()
    words = ("device", "hypervisor", "evidence", "configuration", "software")
    said = dict.fromkeys(words, text) | {"runs": (text, text), "hosts": (text,)}
    assert found.noise is not None
    return replace(
        found,
        first=leg(text, label=f"{text} (first)", **said),
        second=leg(text, label=f"{text} (second)", **said),
        reason=text,
        warnings=(text, text),
        refusals=(Refusal(text, text, text, text, True), Refusal(text, text, text, text)),
        verdict=Verdict.REFUSED,
        measurements=tuple(
            replace(
                each,
                name=f"{text}{place}",
                scenario=text,
                path=text,
                void=(text,),
                endpoints=tuple(
                    replace(
                        end,
                        advisory=text if end.advisory else "",
                        points=tuple(replace(point, label=text) for point in end.points),
                    )
                    for end in each.endpoints
                ),
            )
            for place, each in enumerate(found.measurements)
        ),
        noise=replace(
            found.noise,
            runs=(text,),
            sentence=text,
            rows=tuple(replace(row, measurement=text) for row in found.noise.rows),
        ),
        mechanisms=tuple(
            replace(each, probe=text, title=text, unit=text) for each in found.mechanisms
        ),
        causes=(text,),
        notice=text,
    )


KINDS: Mapping[str, Comparison] = {
    "within": within(),
    "exceeds": exceeds(),
    "inconclusive": inconclusive(),
    "refused": refused(),
    "allowed": allowed(),
    "noise": with_noise(),
    "looks": with_looks(),
    "mechanisms": with_mechanisms(),
    "same": noise_question(),
    "everything": everything(),
}
"""One of each kind, by a name for a test's id."""
