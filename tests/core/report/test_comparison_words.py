"""What a comparison says in words: the headline, what more blocks cost, the method, the marks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.report.comparison_costs import CostPair, LegCost
from core.report.comparison_method import method_text
from core.report.comparison_words import (
    advisory_notes,
    allowed_mark,
    endpoint_verdict_text,
    further_text,
    headline,
    look_text,
    table_mark,
    target_text,
    title,
    verdict_text,
    when,
)
from core.verdict.model import Further, Question, Refusal, Verdict
from tests.core.verdict.comparison_parts import comparison, endpoint, measurement
from tests.core.verdict.comparisons import (
    KINDS,
    allowed,
    everything,
    exceeds,
    inconclusive,
    noise_question,
    refused,
    with_looks,
    with_mechanisms,
    with_noise,
    within,
)


def leg_cost(usd_per_hour: float | None) -> LegCost:
    return LegCost(1.0, False, False, "prices", "$1.0000", usd_per_hour)


class TestHeadline:
    """One line for whoever reads no second one."""

    def test_each_verdict_says_another_thing(self) -> None:
        lines = {
            verdict: headline(replace(within(), verdict=verdict, question=question))
            for question in Question
            for verdict in Verdict
        }
        assert len(set(lines.values())) == len(Verdict)

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_one_line_that_names_the_target_or_what_is_refused(self, kind: str) -> None:
        found = headline(KINDS[kind])
        assert "\n" not in found
        assert ("5 %" in found) == (KINDS[kind].verdict is not Verdict.REFUSED)

    def test_it_names_the_legs(self) -> None:
        assert headline(exceeds()) == "xen is more than 5 % worse than baseline."
        assert headline(refused()) == "baseline and xen cannot be compared."

    def test_what_it_holds_under_follows_what_is_sure_and_nothing_else(self) -> None:
        clauses = ("for one boot of each leg", "for these two runs, one after the other")
        for verdict in Verdict:
            for question in Question:
                kind = replace(within(), verdict=verdict, question=question, conditions=clauses)
                sure = verdict in (Verdict.WITHIN, Verdict.EXCEEDS)
                assert (f", {clauses[0]}, {clauses[1]}" in headline(kind)) == sure
        found = replace(within(), conditions=clauses[1:])
        assert headline(found) == f"xen is less than 5 % worse than baseline, {clauses[1]}."

    def test_of_two_equal_legs_it_speaks_of_neither_as_worse(self) -> None:
        for verdict in (Verdict.WITHIN, Verdict.EXCEEDS, Verdict.INCONCLUSIVE):
            found = headline(replace(noise_question(), verdict=verdict))
            assert "worse" not in found
            assert "measured twice" in found

    @pytest.mark.parametrize(
        ("percent", "shown"), [(5.0, "5 %"), (2.5, "2.5 %"), (100 * 0.07, "7 %")]
    )
    def test_the_target_is_written_as_it_was_given(self, percent: float, shown: str) -> None:
        assert target_text(replace(within(), target_percent=percent)) == shown


class TestFurther:
    """What would settle it: blocks, time, dollars."""

    def test_blocks_and_time_are_said(self) -> None:
        found = further_text(inconclusive(), None)
        assert "12 more blocks of each leg" in found
        assert "1 h 00 min" in found
        assert "90 % power" in found
        assert "$" not in found

    def test_dollars_are_those_of_both_legs_blocks(self) -> None:
        # 12 blocks of 150 s at 0.6 and 1.2 dollars an hour: half an hour of each.
        cost = CostPair(leg_cost(0.6), leg_cost(1.2), ())
        assert "about $0.9000 while measuring" in further_text(inconclusive(), cost)

    def test_a_leg_of_unknown_cost_makes_it_a_least(self) -> None:
        for cost in (
            CostPair(leg_cost(0.6), None, ()),
            CostPair(leg_cost(None), leg_cost(0.6), ()),
        ):
            assert "at least $0.3000" in further_text(inconclusive(), cost)
        assert "$" not in further_text(inconclusive(), CostPair(leg_cost(None), None, ()))

    def test_too_near_the_target_is_said(self) -> None:
        near = replace(inconclusive(), further=None)
        assert "too near the target" in further_text(near, None)

    def test_nothing_is_said_to_settle_what_more_blocks_cannot(self) -> None:
        near = replace(inconclusive(), further=None)
        noisy = replace(near, noise=with_noise(Verdict.INCONCLUSIVE).noise)
        for capped in (noisy, replace(near, refusals=allowed().refusals)):
            assert further_text(capped, None) == ""

    def test_boots_are_said_with_the_blocks_of_each(self) -> None:
        found = replace(inconclusive(), further=Further(10, 3600.0, "boot", 3))
        assert "About 3 more boots of each leg (4 blocks each)" in further_text(found, None)
        one = replace(inconclusive(), further=Further(1, 3600.0))
        assert "About 1 more block of each leg" in further_text(one, None)

    @pytest.mark.parametrize("found", [within(), exceeds(), refused(), allowed()])
    def test_nothing_is_said_where_blocks_are_not_what_is_missing(self, found: object) -> None:
        assert further_text(found, None) == ""  # type: ignore[arg-type]


class TestMarks:
    """What was allowed, and what only advises."""

    def test_an_allowed_key_is_named_once(self) -> None:
        twice = (Refusal("void", "One.", allowed=True), Refusal("void", "Two.", allowed=True))
        found = replace(within(), refusals=(*twice, Refusal("driver", "Three.", allowed=True)))
        assert "--allow void, driver although" in allowed_mark(found)
        assert table_mark(found).endswith("void, driver.")
        assert 'never "within target"' in allowed_mark(found)

    def test_every_verdict_is_on_a_condition_where_something_was_allowed(self) -> None:
        advisory = endpoint("p99", 1.0, advisory="fewer than 10,000 queries")
        shown = endpoint_verdict_text(advisory, allowed=True)
        assert shown == "within target, if comparable *"
        assert verdict_text(Verdict.EXCEEDS, allowed=True) == "exceeds target, if comparable"
        assert verdict_text(Verdict.INCONCLUSIVE, allowed=True) == "inconclusive, if comparable"
        assert verdict_text(Verdict.REFUSED, allowed=True) == "refused"
        assert verdict_text(None, allowed=True) == "no verdict"

    def test_more_blocks_are_not_what_is_missing_where_something_was_allowed(self) -> None:
        assert "yet" in headline(inconclusive())
        assert "yet" not in headline(allowed())
        for found in (allowed(), replace(exceeds(), refusals=allowed().refusals)):
            assert headline(found).endswith(", if the legs are comparable.")
            assert title(found).endswith(", if comparable")
        assert "comparable" not in headline(exceeds()) + title(exceeds())

    def test_nothing_allowed_has_no_mark(self) -> None:
        for found in (within(), refused()):
            assert (allowed_mark(found), table_mark(found)) == ("", "")

    def test_an_advisory_endpoint_is_marked_and_its_reason_names_it(self) -> None:
        advisory = endpoint("p99", 1.0, advisory="fewer than 10,000 queries")
        assert endpoint_verdict_text(advisory) == "within target *"
        assert endpoint_verdict_text(endpoint("p90", 1.0)) == "within target"
        (note, *others) = advisory_notes(within())
        assert note == (
            "* p99 of singlestream-b1, offline-b8, server-b8: fewer than 10,000 queries."
        )
        assert others == []

    def test_an_inconclusive_endpoint_says_how_many_blocks_it_lacks(self) -> None:
        found = endpoint("p90", 4.9, 3.0, further=40)
        assert endpoint_verdict_text(found) == "inconclusive (40 more blocks)"
        assert endpoint_verdict_text(found, "boot") == "inconclusive (40 more boots)"
        one = replace(found, further_blocks=1)
        assert endpoint_verdict_text(one) == "inconclusive (1 more block)"
        assert endpoint_verdict_text(replace(found, verdict=None)) == "no verdict"

    def test_a_look_says_which_of_which_and_its_level(self) -> None:
        found = look_text(with_looks())
        assert "look 1 of 2" in found
        assert "5, 10 blocks" in found
        assert "0.61 %" in found
        assert look_text(within()) == ""


class TestMethod:
    """What was done is told with its source, and nothing else."""

    def test_everything_is_cited(self) -> None:
        found = method_text(everything())
        for source in (
            *("Kalibera and Jones 2020", "Student 1908", "Welch 1947", "Schuirmann 1987"),
            *("Berger 1982", "Simes 1986", "Sarkar 1998", "Lan and DeMets (1983)"),
            *("Armitage, McPherson and Rowe 1969", "Jennison and Turnbull 2000", "Holm 1979"),
        ):
            assert source in found, source

    def test_what_was_not_done_is_not_told(self) -> None:
        found = method_text(within())
        for source in ("Welch", "DeMets", "Holm", "noise floor"):
            assert source not in found
        one = comparison(
            Verdict.WITHIN, "", [measurement(overheads={"p90": 1.0}, method="Welch t")]
        )
        assert "Simes" not in method_text(one)
        assert "Student" not in method_text(one)
        assert "Holm" in method_text(with_mechanisms())

    def test_it_names_the_interval_that_decides(self) -> None:
        assert "when its 90 % interval lies wholly below 5 %" in method_text(within())
        looking = method_text(with_looks())
        assert "the interval that decides at this look, its 98.78 % interval," in looking
        assert "tests at 0.61 %" in looking
        assert "its 90 % interval" not in looking

    def test_equal_legs_are_asked_both_ways(self) -> None:
        found = method_text(noise_question())
        assert "both directions" in found
        assert "non-inferiority" not in found

    def test_a_refusal_computed_nothing(self) -> None:
        assert "Student" not in method_text(refused())

    def test_a_unit_of_boots_is_said(self) -> None:
        boots = replace(within().measurements[0], unit="boot")
        assert "the boot of a machine" in method_text(replace(within(), measurements=(boots,)))


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2026, 5, 4, 12, tzinfo=UTC), "2026-05-04 12:00:00 UTC"),
        (
            datetime(2026, 5, 4, 12, tzinfo=timezone(timedelta(hours=2))),
            "2026-05-04 10:00:00 UTC",
        ),
        (datetime(2026, 5, 4, 12), "2026-05-04 12:00:00"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=2))), "0001-01-01 00:00:00+02:00"),
    ],
)
def test_a_time_is_shown_as_that_of_utc(moment: datetime, shown: str) -> None:
    assert when(moment) == shown
