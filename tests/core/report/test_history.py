"""A history for a terminal and for a program, hostile text included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from benchmark.results import Result
from core.report.history import ASCII_BARS, BARS, render_json, render_text, sparkline
from core.report.past_runs import FoundHistory
from core.verdict.history import StoredRun, history_of
from tests.core.records import HOSTILE
from tests.core.verdict.scene import STARTED, a_result

NOISE = (0.0, 0.003, -0.002, 0.001, -0.003)


def a_run(day: int, factor: float = 1.0, **changes: Any) -> Result:
    level = 200 * factor * (1 + NOISE[day % len(NOISE)])
    return a_result([level, level * 1.01], started_at=STARTED + timedelta(days=day), **changes)


def found(results: Sequence[Result], skipped: tuple[str, ...] = ()) -> FoundHistory:
    stored = [StoredRun(result, "local") for result in results]
    return FoundHistory(history_of(stored[0], stored), skipped)


@pytest.fixture
def changed() -> FoundHistory:
    """Five runs, the last one slower and with another driver."""
    later = {"gpu": {"driver_version": "560.28"}}
    return found([*(a_run(day) for day in range(4)), a_run(4, 0.95, **later)])


class TestText:
    """For a terminal."""

    def test_a_change_stands_with_its_run_size_interval_and_what_else_changed(
        self, changed: FoundHistory
    ) -> None:
        text = render_text(changed)
        assert "Changed beyond the noise with run 5, 20260705-120000-baseline" in text
        (line,) = [
            line for line in text.splitlines() if line.startswith("  singlestream-b1 throughput")
        ]
        change = changed.history.series[0].changes[0]
        assert f"{-change.percent:.2f} % lower, worse (90 % interval -" in line
        assert f"among {changed.history.tests} places" in line
        assert "  Other than in the run before it: driver 550.90.07 -> 560.28." in text
        assert "History of leg baseline on target local: 5 runs, 2026-07-01 12:00" in text

    def test_a_change_beside_which_nothing_else_is_known_to_have_changed(self) -> None:
        text = render_text(found([*(a_run(day) for day in range(4)), a_run(4, 0.95)]))
        assert "Nothing that is recorded is other than in the run before it." in text

    def test_each_metric_has_its_newest_figure_and_its_noise(self, changed: FoundHistory) -> None:
        (line,) = [
            line
            for line in render_text(changed).splitlines()
            if line.startswith("singlestream-b1  throughput")
        ]
        cells = [cell for cell in line.split("  ") if cell.strip()]
        assert cells[1].strip() == "throughput (samples/s)"
        assert cells[2].strip() == "5"
        assert cells[3].strip() == "████▁"
        assert cells[4].strip().startswith("190.3")
        assert cells[-1].strip() == "5"

    def test_without_a_change_that_is_said(self) -> None:
        text = render_text(found([a_run(day) for day in range(5)]))
        assert "Nothing changed beyond the noise." in text

    def test_a_single_run_says_that_it_lacks_what_changes_from_run_to_run(self) -> None:
        text = render_text(found([a_run(0)]))
        assert "1 run is too few" in text
        assert "lack what changes from run to run" in text
        assert "beyond the noise." not in text

    def test_void_blocks_and_runs_left_out_are_told(self) -> None:
        results = [a_run(0), a_run(1, void={2: "heat"}), a_run(2, complete=False)]
        text = render_text(found(results))
        assert "1, 1 void" in text
        assert "Run 20260703-120000-baseline is left out" in text

    def test_of_many_runs_the_newest_and_those_with_a_change_are_listed(self) -> None:
        results = [a_run(day, 1.0 if day < 10 else 0.9) for day in range(60)]
        lines = render_text(found(results)).splitlines()
        listed = [line.split()[0] for line in lines if line[:1].isdigit()]
        assert listed == ["11", *map(str, range(21, 61))]
        assert any(line.startswith("Of the 20 oldest runs") for line in lines)

    @pytest.mark.parametrize("text", HOSTILE)
    def test_nothing_in_a_file_can_steer_the_terminal(self, text: str) -> None:
        later = {"kernel": text, "hostname": text, "cpu": {"mitigations": {text: text}}}
        results = [a_run(day) for day in range(4)]
        results.append(a_run(4, 0.9, environment=later, plan={"profile": text[:50]}))
        said = render_text(found(results))
        printable = said.replace("\n", "")
        assert printable.isprintable()
        assert len(said.splitlines()) == said.count("\n")


class TestSparkline:
    """One bar a run."""

    def test_noise_looks_flat_and_a_step_of_five_per_cent_takes_the_whole_height(self) -> None:
        steady = found([a_run(day) for day in range(5)]).history
        assert set(sparkline(steady.series[0], 5)) <= set(BARS[3:5])
        results = [a_run(day, 1.0 if day < 3 else 0.94) for day in range(6)]
        bars = sparkline(found(results).history.series[0], 6)
        assert (bars[0], bars[-1]) == (BARS[-1], BARS[0])

    def test_a_run_without_the_figure_leaves_a_gap(self) -> None:
        results = [a_run(0), a_run(1, void={1: "heat", 2: "heat"}), a_run(2)]
        assert sparkline(found(results).history.series[0], 3)[1] == " "

    def test_signs_for_a_terminal_without_others(self, changed: FoundHistory) -> None:
        assert render_text(changed, ASCII_BARS).isascii()

    def test_no_more_bars_than_fit(self) -> None:
        series = found([a_run(day) for day in range(60)]).history.series[0]
        assert len(sparkline(series, 60)) == 40


class TestJson:
    """For a program."""

    def test_it_is_versioned_and_whole(self, changed: FoundHistory) -> None:
        document = json.loads(render_json(changed))
        assert (document["kind"], document["version"]) == ("history", 1)
        assert document["changed_runs"] == ["20260705-120000-baseline"]
        assert document["runs"][4]["started_at"] == "2026-07-05T12:00:00+00:00"
        assert document["runs"][4]["differences"] == [
            {"name": "driver", "before": "550.90.07", "after": "560.28"}
        ]
        (throughput,) = [each for each in document["series"] if each["metric"] == "throughput"]
        assert len(throughput["figures"]) == 5
        change = changed.history.series[0].changes[0]
        assert throughput["changes"][0]["percent"] == change.percent
        assert throughput["changes"][0]["interval_percent"]["low"] == change.interval_percent.low  # type: ignore[union-attr]
        assert document["too_few"] is None

    def test_what_was_skipped_is_in_it(self) -> None:
        document = json.loads(render_json(found([a_run(0)], ("Run x is skipped: it is torn.",))))
        assert document["skipped"] == ["Run x is skipped: it is torn."]
        assert "1 run is too few" in document["too_few"]

    def test_numbers_at_their_ends_and_hostile_text_stay_json(self) -> None:
        results = [
            a_result(
                [1e-300, 1e300],
                p50_ms=[1.0, 1.0],
                started_at=STARTED + timedelta(days=day),
                environment={"kernel": HOSTILE[day]},
            )
            for day in range(5)
        ]
        text = render_json(found(results))
        assert json.loads(text)["runs"][1]["differences"][0]["after"] == HOSTILE[1]
        assert all(character == "\n" or character.isprintable() for character in text)
