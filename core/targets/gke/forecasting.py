"""What a run on GKE will take and cost, from what earlier runs took and what things cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.estimate import planned_seconds
from benchmark.plan import Plan
from core.money.forecast import Charge, Forecast, Step, Task, expected_seconds, forecast
from core.money.meter import MACHINE_MINIMUM_S
from core.money.table import PriceItem, usd_per_hour
from core.run.cost_events import ForecastStep, RunPlanned
from core.run.events import Stage
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.pricing import GPU_NODE, PRICES_FILE, PriceBook, Prices, RunPrices

History = Mapping[Stage, Sequence[float]]
"""How long each stage took in earlier runs, in seconds."""

GPUS_OFF = "GPU nodes to zero"
# Of the reference session (DESIGN.md section 1); preflight, results and the nodes' end as seen.
_TYPICAL_S = {
    Stage.PREFLIGHT: 10.0,
    Stage.CLUSTER: 360.0,
    Stage.IMAGE: 240.0,
    Stage.DRIVERS: 180.0,
    Stage.RESULTS: 15.0,
    Stage.TEARDOWN: 300.0,
}
_REUSED_CLUSTER_S = 15.0
# The reference session's benchmark, until the plan is known.
_JOB_S = 450.0
_PULL_AND_START_S = 60.0
_GPUS_OFF_S = 40.0
# Limits are kept also when the teardown takes half as long again.
_RESERVE = 1.5


@dataclass(frozen=True, slots=True)
class Billed:
    """What is, or was, billed of a kind of thing."""

    usd_per_hour: float
    """Now; 0 where nothing of it is there."""
    since_s: float | None
    """After the run's start; None: there never was any."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """A run's plan in time and money."""

    forecast: Forecast
    prices: RunPrices
    source: str
    """Where the prices are from."""
    unknown: tuple[str, ...]
    """What of the run has no known price."""
    owns_cluster: bool

    @property
    def reserve_s(self) -> float:
        """Return how long before a limit the run has to stop: its teardown, and half of it more."""
        return _RESERVE * self.step(Stage.TEARDOWN).seconds

    def step(self, name: str) -> Step:
        """Return a step by its name."""
        return next(step for step in self.forecast.steps if step.name == name)

    def needed_usd(self, poll_s: float) -> float | None:
        """Return the least budget with which the run is not stopped if all goes as expected; None
        where a price is not known. The limit holds back a whole teardown with everything still
        standing, which is more than the teardown takes in the end.
        """
        if self.forecast.usd is None:
            return None
        ends_s = self.step(Stage.RESULTS).ends_s
        base_s = ends_s - self.step(Stage.CLUSTER).starts_s
        gpu_s = ends_s - self.step(Stage.DRIVERS).starts_s
        held_s = poll_s + self.reserve_s
        total = self._base_rate * (base_s + held_s) + self._gpu_rate * (gpu_s + held_s)
        return max(self.forecast.usd, total / 3600)

    def needed_s(self, poll_s: float) -> float:
        """Return the shortest deadline, in seconds from the run's start, that does not stop it."""
        return self.step(Stage.RESULTS).ends_s + poll_s + self.reserve_s

    def projected_usd(
        self, spent: float, now_s: float, base: Billed, gpu: Billed, *, ending: bool
    ) -> float | None:
        """Return what the run will have cost at its end; None where a price is not known.

        Steps that are late move those that follow them. ``now_s`` counts from the run's start.

        Args:
            base: cluster, system node and their disks.
            gpu: GPU nodes and their disks.
            ending: everything is being removed already.
        """
        if self.forecast.usd is None:
            return None
        teardown = self.step(Stage.TEARDOWN)
        if ending:
            future_s = teardown.seconds if base.usd_per_hour else 0.0
            soon = gpu.usd_per_hour * self.step(GPUS_OFF).seconds
            return spent + (base.usd_per_hour * future_s + soon) / 3600
        gpu_starts = gpu.since_s
        if gpu_starts is None:
            gpu_starts = max(now_s, self.step(Stage.DRIVERS).starts_s)
        off = self.step(GPUS_OFF)
        gpu_ends = gpu_starts + off.ends_s - self.step(Stage.DRIVERS).starts_s
        if gpu.usd_per_hour:
            gpu_ends = max(gpu_ends, now_s + off.seconds)
        elif gpu.since_s is not None:
            gpu_ends = min(gpu_ends, now_s)
        ends = max(now_s, gpu_ends + teardown.ends_s - off.ends_s)
        base_starts = base.since_s
        if base_starts is None:
            base_starts = max(now_s, self.step(Stage.CLUSTER).starts_s)
        base_s = max(0.0, ends - max(now_s, base_starts))
        gpu_s = max(0.0, gpu_ends - max(now_s, gpu_starts))
        base_rate, gpu_rate = base.usd_per_hour, gpu.usd_per_hour
        # Before it is there, what it will cost.
        base_rate = base_rate if base.since_s is not None else self._base_rate
        gpu_rate = gpu_rate or self._gpu_rate
        return spent + (base_rate * base_s + gpu_rate * gpu_s) / 3600

    def record(self, budget_usd: float, deadline_s: float) -> RunPlanned:
        """Return the plan as an event."""
        return RunPlanned(
            steps=tuple(
                ForecastStep(
                    name=step.name,
                    starts_s=round(step.starts_s, 1),
                    seconds=round(step.seconds, 1),
                    usd=step.usd,
                    basis=step.basis,
                )
                for step in self.forecast.steps
            ),
            seconds=round(self.forecast.seconds, 1),
            usd=self.forecast.usd,
            budget_usd=budget_usd,
            deadline_s=deadline_s,
            source=self.source,
        )

    @property
    def _base_rate(self) -> float:
        if not self.owns_cluster:
            return 0.0
        return usd_per_hour((*(self.prices.fee or ()), *(self.prices.system or ())))

    @property
    def _gpu_rate(self) -> float:
        return usd_per_hour(self.prices.gpu or ())


@dataclass
class Prospect:
    """What preflight and the watch over the costs share: prices, and the plan made of them."""

    deployment: GkeDeployment
    history: History = field(default_factory=dict)
    job_s: float = _JOB_S
    """How long the benchmark takes by the plan's sizes; preflight knows the plan."""
    book: PriceBook = field(init=False)
    outlook: Outlook | None = None
    """As preflight found it."""

    def __post_init__(self) -> None:
        path = self.deployment.settings.state_dir / PRICES_FILE
        self.book = PriceBook(self.deployment, path)

    async def look_ahead(self, plan: Plan, *, owns_cluster: bool = True) -> Outlook:
        """Return what a plan takes by the prices of today, and keep it."""
        prices = await self.book.prices()
        self.job_s = planned_seconds(plan)
        self.outlook = self._outlook(prices, owns_cluster)
        return self.outlook

    def current(self) -> Outlook:
        """Return the plan by what is known without asking anybody."""
        if self.outlook is None:
            return self._outlook(self.book.known(), True)
        return self.outlook

    def _outlook(self, prices: Prices, owns_cluster: bool) -> Outlook:
        of_run = self.book.of_run(prices)
        return outlook_of(self.job_s, self.history, of_run, prices, owns_cluster=owns_cluster)


def outlook_of(
    job_s: float,
    history: History,
    of_run: RunPrices,
    prices: Prices,
    *,
    owns_cluster: bool = True,
) -> Outlook:
    """Return the plan of a run: what runs beside what, how long, and what is billed meanwhile.

    ``job_s`` is what the benchmark takes by its plan's sizes, in seconds.
    """
    charges = [_charge(GPU_NODE, of_run.gpu, Stage.DRIVERS, GPUS_OFF, MACHINE_MINIMUM_S)]
    if owns_cluster:
        first, last = Stage.CLUSTER, Stage.TEARDOWN
        charges += [
            _charge("cluster fee", of_run.fee, first, last),
            _charge("system node", of_run.system, first, last, MACHINE_MINIMUM_S),
        ]
    items = of_run.items if owns_cluster else of_run.gpu or ()
    unknown = tuple(part for part in of_run.unknown if owns_cluster or part == GPU_NODE)
    return Outlook(
        forecast(_tasks(job_s, history, owns_cluster), charges),
        of_run,
        _source(prices, items, unknown),
        unknown,
        owns_cluster,
    )


def _tasks(job_s: float, history: History, owns_cluster: bool) -> list[Task]:
    # The order of the target's own stages: the image beside the cluster, GPUs when both are there.
    after: dict[Stage, tuple[str, ...]] = {
        Stage.PREFLIGHT: (),
        Stage.CLUSTER: (Stage.PREFLIGHT,),
        Stage.IMAGE: (Stage.PREFLIGHT,),
        Stage.DRIVERS: (Stage.CLUSTER, Stage.IMAGE),
        Stage.JOB: (Stage.DRIVERS,),
        Stage.RESULTS: (Stage.JOB,),
        Stage.TEARDOWN: (Stage.RESULTS,),
    }
    tasks = []
    for stage, needs in after.items():
        seconds, basis = _expected(stage, job_s, history, owns_cluster)
        tasks.append(Task(str(stage), seconds, tuple(map(str, needs)), basis))
    # Asked for at the end of the results; the teardown begins beside it.
    return [*tasks, Task(GPUS_OFF, _GPUS_OFF_S, (str(Stage.RESULTS),), "typical")]


def _expected(
    stage: Stage, job_s: float, history: History, owns_cluster: bool
) -> tuple[float, str]:
    if stage is Stage.CLUSTER and not owns_cluster:
        return _REUSED_CLUSTER_S, "it is there already"
    typical = _TYPICAL_S.get(stage, 0.0)
    typical_basis = "typical (reference session)"
    if stage is Stage.JOB:
        typical = job_s + _PULL_AND_START_S
        typical_basis = "the plan's sizes"
    found = history.get(stage, ())
    seconds, basis = expected_seconds(found, typical)
    return seconds, basis if found else typical_basis


def _charge(
    what: str,
    items: tuple[PriceItem, ...] | None,
    first: Stage,
    last: str,
    minimum_s: float = 0.0,
) -> Charge:
    rate = None if items is None else usd_per_hour(items)
    return Charge(what, rate, str(first), str(last), minimum_s)


def _source(prices: Prices, items: Sequence[PriceItem], unknown: Sequence[str]) -> str:
    lacking = f"no price is known of: {', '.join(unknown)}" if unknown else ""
    return "; ".join(filter(None, [prices.said_of(items), lacking]))
