"""What a run will take and cost: what runs beside what, and until when it could go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmark.estimate import planned_seconds
from core.money.budget import Budget
from core.money.prices import shipped_table
from core.money.table import PriceItem
from core.run.events import RunFinished, RunState, Stage, StageFinished
from core.run.journal import Journal
from core.settings import Settings
from core.targets.expectation import expect
from core.targets.gke.forecasting import GPUS_OFF, Billed, History, Outlook, outlook_of
from core.targets.gke.pricing import Prices, RunPrices
from tests.core.runs import named_run, small_plan

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FEE, SYSTEM, GPU = 0.1, 0.04, 0.55
BASE = FEE + SYSTEM
POLL_S = 10.0


def item(usd: float) -> tuple[PriceItem, ...]:
    return (PriceItem("something", usd, "live prices of 2026-11-23: SKU"),)


ALL = RunPrices(item(FEE), item(SYSTEM), item(GPU))


def outlook(
    history: History | None = None, of_run: RunPrices = ALL, *, owns_cluster: bool = True
) -> Outlook:
    prices = Prices(shipped_table())
    return outlook_of(420.0, history or {}, of_run, prices, owns_cluster=owns_cluster)


def test_without_earlier_runs_it_is_the_reference_session() -> None:
    found = outlook()
    # Cluster, driver, benchmark and its start, results, teardown; the image fits in beside.
    assert found.forecast.seconds == 10 + 360 + 180 + (420 + 60) + 15 + 300
    image, cluster = found.step("image"), found.step("cluster")
    assert (image.starts_s, cluster.starts_s) == (10, 10)
    assert "cluster" in image.beside
    assert cluster.critical
    assert not image.critical
    assert cluster.basis == "typical (reference session)"
    assert found.step("job").basis == "the plan's sizes"


def test_gpus_are_billed_from_the_drivers_to_the_results_alone() -> None:
    found = outlook(of_run=RunPrices((), (), item(GPU)))
    gpu_s = 180 + 480 + 15 + found.step(GPUS_OFF).seconds
    assert found.forecast.usd == pytest.approx(GPU * gpu_s / 3600)
    assert sum(found.step(name).usd for name in ("preflight", "cluster", "image")) == 0


def test_earlier_runs_tell_better() -> None:
    found = outlook({Stage.CLUSTER: [300.0, 500.0, 400.0], Stage.JOB: [600.0]})
    assert found.step("cluster").seconds == 400
    assert found.step("cluster").basis == "median of 3 runs"
    assert found.step("job").seconds == 600
    assert found.step("job").basis == "median of 1 run"


def test_a_cluster_that_is_there_takes_no_time_and_no_fee() -> None:
    found = outlook(owns_cluster=False)
    assert found.step("cluster").seconds < 60
    assert found.forecast.usd == pytest.approx(
        outlook(of_run=RunPrices((), (), item(GPU))).forecast.usd or 0
    )


def test_a_price_that_is_not_known_leaves_the_sum_unknown() -> None:
    found = outlook(of_run=RunPrices(item(FEE), item(SYSTEM), None))
    assert found.forecast.usd is None
    assert found.needed_usd(POLL_S) is None
    assert found.unknown == ("GPU node",)
    assert "no price is known of: GPU node" in found.source
    nothing = Billed(0, None)
    assert found.projected_usd(0.0, 0.0, nothing, nothing, ending=False) is None


def test_the_plan_is_told_with_its_limits() -> None:
    record = outlook().record(5.0, 7200.0)
    assert [step.name for step in record.steps][:3] == ["preflight", "cluster", "image"]
    assert record.usd == pytest.approx(sum(step.usd for step in record.steps))
    assert (record.budget_usd, record.deadline_s) == (5.0, 7200.0)
    assert record.source == "live prices of 2026-11-23"


def stopped_at(found: Outlook, budget: Budget) -> float | None:
    """Let the run go as expected to the end of its results; return when it is stopped."""
    starts, gpus = found.step("cluster").starts_s, found.step("drivers").starts_s
    seconds = 0.0
    while seconds <= found.step("results").ends_s:
        base_s, gpu_s = max(0.0, seconds - starts), max(0.0, seconds - gpus)
        judged = budget.judge(
            spent=(BASE * base_s + GPU * gpu_s) / 3600,
            rate=(BASE if base_s else 0) + (GPU if gpu_s else 0),
            teardown_s=found.reserve_s,
            teardown_usd=0.0,
            now=NOON + timedelta(seconds=seconds),
            poll_s=POLL_S,
        )
        if judged.stop:
            return seconds
        seconds += POLL_S
    return None


def test_the_budget_that_is_needed_is_the_least_that_does_not_end_the_run() -> None:
    found = outlook()
    needed = found.needed_usd(POLL_S)
    assert needed is not None
    assert stopped_at(found, Budget(needed + 1e-6)) is None
    assert stopped_at(found, Budget(needed * 0.97)) is not None


def test_the_deadline_that_is_needed_is_the_least_that_does_not_end_the_run() -> None:
    found = outlook()
    needed_s = found.needed_s(POLL_S)
    assert stopped_at(found, Budget(None, NOON + timedelta(seconds=needed_s + 1))) is None
    assert stopped_at(found, Budget(None, NOON + timedelta(seconds=needed_s - 30))) is not None


def on_schedule(found: Outlook, now_s: float) -> float | None:
    """What is projected of a run that goes as expected."""
    base_s = found.step("cluster").starts_s
    gpu_s = found.step("drivers").starts_s
    spent = (BASE * max(0.0, now_s - base_s) + GPU * max(0.0, now_s - gpu_s)) / 3600
    base = Billed(BASE, base_s) if now_s >= base_s else Billed(0, None)
    gpu = Billed(GPU, gpu_s) if now_s >= gpu_s else Billed(0, None)
    return found.projected_usd(spent, now_s, base, gpu, ending=False)


@pytest.mark.parametrize("now_s", [0.0, 100.0, 370.0, 600.0, 1045.0])
def test_on_schedule_the_projection_is_the_forecast(now_s: float) -> None:
    found = outlook()
    assert on_schedule(found, now_s) == pytest.approx(found.forecast.usd)


def test_what_is_late_makes_it_dearer() -> None:
    found = outlook()
    late = found.projected_usd(0.0, 970.0, Billed(BASE, 10.0), Billed(0, None), ending=False)
    in_time = found.projected_usd(0.0, 370.0, Billed(BASE, 10.0), Billed(0, None), ending=False)
    assert late == pytest.approx(in_time)
    slow = found.projected_usd(0.3, 3000.0, Billed(BASE, 10.0), Billed(GPU, 370.0), ending=False)
    assert slow is not None
    assert slow > 0.3 + GPU * found.step(GPUS_OFF).seconds / 3600


def test_gpus_that_are_gone_cost_nothing_more() -> None:
    found = outlook()
    left = found.projected_usd(0.2, 1100.0, Billed(BASE, 10.0), Billed(0, 370.0), ending=False)
    assert left is not None
    assert 0.2 < left <= 0.2 + BASE * found.step("teardown").seconds / 3600


def test_while_everything_goes_only_the_teardown_is_still_to_come() -> None:
    found = outlook()
    left = found.projected_usd(0.2, 500.0, Billed(BASE, 10.0), Billed(0, None), ending=True)
    assert left == pytest.approx(0.2 + BASE * found.step("teardown").seconds / 3600)
    assert found.projected_usd(0.2, 500.0, Billed(0, 10.0), Billed(0, 370.0), ending=True) == 0.2


class TestBeforeTheStart:
    """What the form and the command say without asking Google."""

    SETTINGS = Settings(target="gke", project="a-project")

    def test_minutes_and_dollars_are_the_shipped_prices_and_typical_times(self) -> None:
        plan = small_plan()
        found = expect(self.SETTINGS, plan, None)
        assert found.seconds == outlook().forecast.seconds - 420 + planned_seconds(plan)
        assert found.usd is not None
        assert 0.03 < found.usd < 0.3
        assert found.source.startswith("typical; shipped prices as of ")

    def test_earlier_runs_like_it_tell_better(self, tmp_path: Path) -> None:
        plan = small_plan()
        with Journal(tmp_path) as journal:
            run = named_run(journal, "one", plan, target="gke")
            done = StageFinished(seconds=200.0, summary="it runs")
            journal.append(run.id, done, time=NOON, stage=Stage.CLUSTER)
            end = RunFinished(state=RunState.DONE, exit_code=0, seconds=900, sentence="Done.")
            journal.append(run.id, end, time=NOON)
            found = expect(self.SETTINGS, plan, journal)
        typical = expect(self.SETTINGS, plan, None)
        # The image is what the drivers wait for now.
        assert found.seconds == typical.seconds - 360 + 240
        assert found.source.startswith("by the stages of earlier runs; ")

    def test_what_has_no_known_price_is_not_called_free(self) -> None:
        settings = Settings(target="gke", project="a-project", zone="asia-east1-a")
        assert expect(settings, small_plan(), None).usd is None
