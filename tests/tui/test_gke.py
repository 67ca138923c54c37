"""A run on a cluster that it creates, in the console: its plan, its cost, its failover, its end."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot

from core.run.cost_events import BillingEnded, CostWarned
from core.run.events import Event, RunState
from core.run.journal import Journal
from core.run.view import RunView
from tests.tui import gke_run as told
from tests.tui.conftest import SetClock, screen_text, until, until_shown
from tests.tui.gke_run import OTHER_NODE, RUN
from tests.tui.kubernetes_run import BEGUN, Moment, append, job_running, write_down
from tests.tui.recorded import replay
from tests.tui.stand_ins import Answers, console_with
from tui.background import Answer
from tui.billing import Billing
from tui.plan import progress_of
from tui.state import Followed
from tui.widgets.cost_panel import cost_content

SIZES = [(80, 24), (200, 60)]
both_sizes = pytest.mark.parametrize("size", SIZES, ids=["80x24", "200x60"])

Open = Callable[..., AbstractAsyncContextManager[Pilot[int]]]


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def open_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: Answers) -> Open:
    """Open the console over a run that came to a moment, some seconds after its start."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("GPUBENCH_", "XDG_", "KUBECONFIG")):
            monkeypatch.delenv(name)

    def opened(
        moment: Callable[[], list[Moment]],
        after_s: float,
        size: tuple[int, int] = (120, 40),
        *,
        alive: bool = True,
    ) -> AbstractAsyncContextManager[Pilot[int]]:
        write_down(tmp_path / "state", tmp_path / "results", moment, run_id=RUN, alive=alive)
        clock = SetClock(BEGUN + timedelta(seconds=after_s))
        return console_with(tmp_path, answers, size, clock=clock)

    return opened


async def dashboard(pilot: Pilot[int], *texts: str) -> None:
    await until_shown(pilot, RUN)
    await pilot.press("enter")
    await until_shown(pilot, *texts)


def line_with(pilot: Pilot[int], *texts: str) -> str:
    lines = screen_text(pilot).splitlines()
    return next(line for line in lines if all(text in line for text in texts))


def view_of(moment: list[Moment]) -> RunView:
    return RunView.of(
        Event(number, RUN, BEGUN + timedelta(seconds=seconds), stage, 0, record)
        for number, (seconds, stage, record) in enumerate(moment, start=1)
    )


def followed_at(moment: list[Moment]) -> Followed:
    found = Followed(RUN, 1, RunView(), RunState.RUNNING)
    for number, (seconds, stage, record) in enumerate(moment, start=1):
        event = Event(number, RUN, BEGUN + timedelta(seconds=seconds), stage, 0, record)
        found.view.apply(event)
        found.billing.take(event)
    return found


class TestPlan:
    @both_sizes
    async def test_what_is_under_way_and_what_is_left_stands_on_the_dashboard(
        self, open_run: Open, size: tuple[int, int]
    ) -> None:
        async with open_run(told.cluster_creating, 100, size) as pilot:
            await dashboard(pilot, "cluster", "23/41 steps")
            await pilot.press("2")
            await until_shown(pilot, "plan", "GPU nodes to zero", "17 min 26 s left", "$0.13")
            assert "4 min 27 s left" in line_with(pilot, "▶ cluster", "$")
            assert "5 min 44 s" in line_with(pilot, "· job", "$")
            assert "of a budget of $5.00" in screen_text(pilot)

    def test_a_step_that_is_late_moves_those_that_wait_for_it_and_no_others(self) -> None:
        plan = told.plan()
        late = view_of([*told.cluster_creating()])
        found = {
            step.name: step
            for step in progress_of(plan, late, BEGUN + timedelta(seconds=600)).steps
        }
        assert found["cluster"].ends_s == 600
        assert found["drivers"].starts_s == 600
        assert found["job"].starts_s == 780
        assert found["preflight"].ends_s == pytest.approx(7.1)

    def test_what_a_run_that_failed_does_not_come_to_is_not_said_to_be_ahead(self) -> None:
        from core.run.events import Stage, StageFailed

        failed = StageFailed(seconds=60, sentence="No hardware.", remedy="")
        moment = [*told.cluster_creating(), (120, Stage.CLUSTER, failed)]
        progress = progress_of(told.plan(), view_of(moment), BEGUN + timedelta(seconds=130))
        states = {step.name: step.state for step in progress.steps}
        assert states["cluster"] == "failed"
        assert states["job"] == states["drivers"] == "skipped"
        # Nothing may be left of it.
        assert states["teardown"] == "waiting"

    def test_gpu_nodes_are_gone_only_when_that_is_proved(self) -> None:
        before = view_of(told.tearing_down()[:-4])
        after = view_of(told.tearing_down())
        now = BEGUN + timedelta(seconds=2000)
        for view, state in ((before, "running"), (after, "done")):
            steps = progress_of(told.plan(), view, now).steps
            assert next(step.state for step in steps if step.name.startswith("GPU")) == state

    def test_nothing_is_left_of_a_run_that_has_ended(self) -> None:
        progress = progress_of(
            told.plan(), view_of(told.torn_down()), BEGUN + timedelta(seconds=9000)
        )
        assert progress.left_s is None
        assert progress.ends_s == 1139
        assert {step.state for step in progress.steps} == {"done"}

    async def test_a_run_without_a_plan_has_none(self, tmp_path: Path) -> None:
        write_down(tmp_path / "state", tmp_path / "results", job_running)
        async with console_with(tmp_path, Answers(), (200, 60)) as pilot:
            await until_shown(pilot, "▶ running")
            await pilot.press("enter")
            await until_shown(pilot, "measurement", "Offline, batch 8", "preflight")
            assert "planned:" not in screen_text(pilot)


class TestCost:
    @both_sizes
    async def test_every_billed_thing_has_its_price_its_time_and_its_sum(
        self, open_run: Open, size: tuple[int, int]
    ) -> None:
        async with open_run(told.failing_over, 511, size) as pilot:
            await dashboard(pilot, "drivers")
            await pilot.press("3")
            await until_shown(pilot, "cluster gpu-benchmark-cluster ", "so far", "22:53")
            node = line_with(pilot, OTHER_NODE[-8:], "0.540")
            assert "node gke-gpu-benchmark-" in node
            assert "$0.0090" in node.replace("$0.0089", "$0.0090")
            assert "$0.67 per hour" in screen_text(pilot)
            assert "1 h 51 min left" in line_with(pilot, "deadline")
            assert "Cloud Billing Catalog, 2026-11-22" in line_with(pilot, "prices: ")

    def test_the_sum_is_that_of_the_lines_and_goes_on_between_two_meterings(self) -> None:
        found = followed_at(told.failing_over())
        figures = [
            cost.usd
            for seconds in (611, 621)
            if (cost := found.billing.cost(BEGUN + timedelta(seconds=seconds))) is not None
        ]
        rate = 0.1 + 0.0335 + 0.54
        assert figures[1] - figures[0] == pytest.approx(rate * 10 / 3600)

    def test_warnings_of_the_budget_stay_with_their_time(self) -> None:
        found = followed_at(told.measuring())
        text = cost_content(found, BEGUN + timedelta(seconds=710), 60).plain
        assert "50% at 22:55:00, 80% at 22:56:40" in text
        assert "66% of $0.12" in text

    def test_shipped_prices_are_told_from_live_ones(self) -> None:
        found = followed_at(told.shipped_prices())
        content = cost_content(found, BEGUN + timedelta(seconds=100), 60)
        line = content.split()[-1]
        assert line.plain.startswith("prices: shipped prices as of 2026-09-27")
        assert {str(span.style) for span in line.spans} == {"$text-warning"}

    def test_what_has_no_known_price_is_said_and_is_not_nothing(self) -> None:
        unpriced = told.billed("disk", "pvc-1", 20, "")
        found = followed_at([*told.cluster_creating(), (99, None, unpriced)])
        text = cost_content(found, BEGUN + timedelta(seconds=100), 60).plain
        assert "at least $" in text
        assert "disk pvc-1: no price is known" in text

    def test_what_ended_keeps_its_sum(self) -> None:
        ended = BillingEnded(kind="node", name=OTHER_NODE, until=BEGUN + timedelta(seconds=600))
        found = followed_at([*told.failing_over(), (601, None, ended)])
        texts = [
            cost_content(found, BEGUN + timedelta(seconds=seconds), 100).plain.splitlines()
            for seconds in (610, 6100)
        ]
        lines = [next(line for line in text if OTHER_NODE in line) for text in texts]
        assert lines[0] == lines[1]
        assert lines[0].startswith("- ")

    def test_the_deadline_passes(self) -> None:
        found = followed_at(told.measuring())
        text = cost_content(found, BEGUN + timedelta(seconds=7300), 60).plain
        assert "passed at 00:45 UTC" in text

    async def test_a_warning_of_the_budget_is_a_notification(
        self, open_run: Open, tmp_path: Path
    ) -> None:
        async with open_run(told.failing_over, 511, (120, 40)) as pilot:
            await dashboard(pilot, "drivers")
            assert "of the budget is spent" not in screen_text(pilot)
            warned = CostWarned(share=0.8, spent_usd=4.01, budget_usd=5)
            with Journal(tmp_path / "state") as journal:
                append(journal, [(512, None, warned)], run_id=RUN)
            await until_shown(pilot, "80% of the budget is spent")

    def test_of_hundreds_of_meterings_the_last_one_counts(self) -> None:
        billing = Billing()
        for number in range(1, 500):
            record = told.metered(0.5, number / 1000, None)
            billing.take(Event(number, RUN, BEGUN, None, 0, record))
        cost = billing.cost(BEGUN)
        assert cost is not None
        assert cost.usd == pytest.approx(0.499)


class TestRuns:
    async def test_the_list_says_what_runs_have_cost(self, open_run: Open, tmp_path: Path) -> None:
        async with open_run(told.torn_down, 9000, (200, 60)) as pilot:
            await until_shown(pilot, "spent", "19 min 01 s  $0.13", "spent $0.13")
            replay(tmp_path / "state", tmp_path / "results", "baseline")
            await until_shown(pilot, "2 in the journal")
            # Nothing of this machine is billed.
            assert screen_text(pilot).count("$") == 2

    async def test_what_a_run_under_way_has_cost_grows(
        self, open_run: Open, tmp_path: Path
    ) -> None:
        async with open_run(told.failing_over, 511, (200, 60)) as pilot:
            await until_shown(pilot, "$0.0269 …")
            clock = pilot.app.clock  # type: ignore[attr-defined]
            clock.forward(3600)
            await until_shown(pilot, "$0.69 …")


def billed_through(place: Path, name: str) -> None:
    """A recorded run during all of which a node was billed."""
    run = replay(place / "state", place / "results", name)
    with Journal(place / "state") as journal:
        begun = journal.events(run.id)[0].time
        node = told.billed("node", "gpu-node-1", 0, "", ("1 x T4", 0.54))
        journal.append(run.id, node.model_copy(update={"since": begun}), time=begun)
        end = journal.events(run.id)[-2].time
        journal.append(run.id, BillingEnded(kind="node", name="gpu-node-1", until=end), time=end)


class TestResults:
    @both_sizes
    async def test_they_say_what_the_run_and_a_million_inferences_cost(
        self, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        billed_through(tmp_path, "baseline")
        async with console_with(tmp_path, Answers(), size) as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("i")
            await until_shown(pilot, "cost $", "(node $", " per million inferences", "marks")
            if size[0] >= 200:
                assert "$/million" in screen_text(pilot)

    async def test_of_a_run_of_which_nothing_is_known_nothing_is_said(self, tmp_path: Path) -> None:
        replay(tmp_path / "state", tmp_path / "results", "baseline")
        async with console_with(tmp_path, Answers(), (200, 60)) as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("i")
            await until_shown(pilot, "SingleStream", "not an")
            assert "million" not in screen_text(pilot)

    @both_sizes
    async def test_two_legs_stand_side_by_side_with_what_is_known_of_their_cost(
        self, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        replay(tmp_path / "state", tmp_path / "results", "baseline")
        billed_through(tmp_path, "xen")
        # All of the page at once.
        async with console_with(tmp_path, Answers(), (size[0], 300)) as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("d")
            await until_shown(pilot, "cost of baseline: not known", "cost of xen: $")
            await until_shown(pilot, "USD per million inferences")


class TestFailover:
    @both_sizes
    async def test_each_place_that_was_tried_stands_with_its_reason(
        self, open_run: Open, size: tuple[int, int]
    ) -> None:
        async with open_run(told.failing_over, 511, size) as pilot:
            await dashboard(pilot, "✗ attempt us-central1-a", "GCE_STOCKOUT")
            assert "asks for a node" in line_with(pilot, "▶ attempt us-central1-c")

    async def test_it_is_still_to_be_seen_when_it_came_right(self, open_run: Open) -> None:
        async with open_run(told.measuring, 710, (200, 60)) as pilot:
            await dashboard(pilot, "✗ attempt us-central1-a", "✓ attempt us-central1-c")


class TestResume:
    async def test_a_key_takes_a_run_up_again_whose_process_is_gone(
        self, open_run: Open, answers: Answers, tmp_path: Path
    ) -> None:
        async with open_run(told.failing_over, 511, alive=False) as pilot:
            await dashboard(pilot, "✗ died", "U goes on with it, T removes")
            await pilot.press("U")
            await until_shown(pilot, "The run goes on where it was.")
        (command,) = answers.commands
        words = command[command.index("--no-ui") + 1 :]
        assert words[:3] == ["resume", RUN, "--detach"]
        assert str(tmp_path / "state") in words

    async def test_why_it_cannot_be_taken_up_is_said(
        self, open_run: Open, answers: Answers
    ) -> None:
        answers.answer = Answer(2, "", "gpubench-tui: Run X is still under way.\n")
        async with open_run(told.failing_over, 511, alive=False) as pilot:
            await dashboard(pilot, "✗ died")
            await pilot.press("U")
            await until_shown(pilot, "Run X is still under way.")
            assert pilot.app.screen.active_bindings["U"].enabled

    @pytest.mark.parametrize(
        ("moment", "alive"), [(told.failing_over, True), (told.torn_down, False)]
    )
    async def test_there_is_nothing_to_take_up_of_a_run_that_goes_on_or_has_ended(
        self, open_run: Open, moment: Callable[[], list[Moment]], alive: bool
    ) -> None:
        async with open_run(moment, 9000, alive=alive) as pilot:
            await dashboard(pilot, "21 checks passed")
            await until(pilot, lambda: not pilot.app.screen.active_bindings["U"].enabled)

    async def test_what_this_machine_measured_died_with_its_process(self, tmp_path: Path) -> None:
        replay(
            tmp_path / "state", tmp_path / "results", "baseline", until="stage_started", alive=False
        )
        async with console_with(tmp_path, Answers(), (120, 40)) as pilot:
            await until_shown(pilot, "✗ died")
            await pilot.press("enter")
            await until_shown(pilot, "left no word")
            assert "U goes on" not in screen_text(pilot)
            assert not pilot.app.screen.active_bindings["U"].enabled


class TestTeardown:
    async def test_cluster_pool_and_job_are_listed_with_costs_and_the_clusters_name_is_typed(
        self, open_run: Open, answers: Answers
    ) -> None:
        async with open_run(told.measuring, 710, (80, 24)) as pilot:
            await until_shown(pilot, "▶ running")
            await pilot.press("T")
            await until_shown(pilot, "type gpu-benchmark-cluster to confirm", "job gpu-benchmark")
            assert "$0.55/h" in screen_text(pilot)
            pilot.app.screen.query_one("#confirmation").focus()
            await pilot.press(*"gpu-benchmark-cluster", "enter")
            await until(pilot, lambda: answers.commands)
        (command,) = answers.commands
        assert command[-6:-4] == ["--yes", "gpu-benchmark-cluster"]

    async def test_a_long_proof_can_be_read_on_80_columns(self, open_run: Open) -> None:
        async with open_run(told.tearing_down, 970, (80, 40), alive=False) as pilot:
            await until_shown(pilot, "died")
            await pilot.press("T")
            await until_shown(pilot, "▶ cluster gpu-benchmark-cluster")
            lines = [line.strip(" │") for line in screen_text(pilot).splitlines()]
            place = lines.index("✓ node pool gpu-benchmark-cluster/gpu-us-central1-c")
            said = " ".join(lines[place + 1 : place + 4])
            assert said.startswith("container.googleapis.com lists no node pool gpu-us-central1-c")
            assert said.endswith("lists no instance with its label")
