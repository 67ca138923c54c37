"""Watches over what a run costs, from its start to the end of its teardown, and ends it before it
passes its budget or its deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from benchmark.progress import Remarked
from core.errors import ProblemError, StageError
from core.money.budget import Budget
from core.run.cost_events import CostMetered, CostWarned
from core.run.events import Event
from core.run.process import Emit, Stop
from core.targets.gke.creating import CLUSTER
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.forecasting import Outlook, Prospect
from core.targets.gke.metering import Account
from core.targets.gke.sightings import KINDS, Look, billing_of, looks

EVERY_S = 10.0
"""How often Google is asked, and how often the account is told."""
# While something goes, so that its end is known to a few seconds.
_WHILE_CHANGING_S = 3.0
_LOOK_LIMIT_S = 60.0
_LAST_LOOK_S = 10.0
# A list that fails once tells nothing: only after this much dark what may stand there counts.
_DARK = timedelta(seconds=60)


@dataclass
class CostWatch:
    """Keeps the account of one run. It opens and closes the deployment's connection to Google."""

    prospect: Prospect
    before: Sequence[Event] = ()
    """What the run's stream held when this process took it up."""
    every_s: float = EVERY_S
    _account: Account = field(init=False)
    _budget: Budget = field(init=False)
    _began: datetime = field(init=False)
    _told: CostMetered | None = None
    _unseen_since: datetime | None = None
    _dark: dict[str, datetime] = field(default_factory=dict)
    """Kinds that cannot be listed just now, and since when."""
    _priced_since: datetime | None = None
    """Since when it is known what the run's things cost: before that it asks for none."""
    _changing: set[str] = field(default_factory=set)
    _ending: bool = False
    _stopped: bool = False

    def __post_init__(self) -> None:
        deployment = self.deployment
        self._account = Account(self.before)
        self._began = deployment.created_at or deployment.clock()
        self._budget = Budget(deployment.settings.budget, deployment.deadline)

    @property
    def deployment(self) -> GkeDeployment:
        """The run's part of Google Cloud."""
        return self.prospect.deployment

    async def run(self, emit: Emit, stop: Stop) -> None:
        """Work until cancelled; then look and tell once more, so that what went last is counted."""
        async with self.deployment:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._look_again_and_again(emit))
                    group.create_task(self._tell_again_and_again(emit, stop))
            except asyncio.CancelledError:
                await asyncio.shield(self._end(emit))
                raise

    async def _look_again_and_again(self, emit: Emit) -> None:
        while True:
            await self._look(emit, _LOOK_LIMIT_S)
            pause = min(_WHILE_CHANGING_S, self.every_s) if self._changing else self.every_s
            await self.deployment.google().sleep(pause)

    async def _tell_again_and_again(self, emit: Emit, stop: Stop) -> None:
        # Apart from the looks: limits hold by what is known, however long Google takes to answer.
        while True:
            try:
                # A journal that cannot be written just now ends the stages, not the watch.
                with contextlib.suppress(ProblemError):
                    self._tell(emit, stop)
            except Exception as error:
                # What nobody watches over must not go on costing money.
                self._stop(f"The costs cannot be watched over any longer: {error!r}.", stop)
                raise
            await self.deployment.google().sleep(self.every_s)

    async def _end(self, emit: Emit) -> None:
        await self._look(emit, _LAST_LOOK_S)
        with contextlib.suppress(ProblemError):
            self._tell(emit, None)

    async def _look(self, emit: Emit, limit_s: float) -> None:
        """Take in what can be seen. Nothing that fails here ends the watch: also what fails by a
        fault of this program must not keep the limits from being watched.
        """
        problem: BaseException | None = None
        unseen = set(KINDS)
        try:
            async with asyncio.timeout(limit_s):
                for found in await looks(self.deployment):
                    if isinstance(found, BaseException):
                        problem = found
                    else:
                        await self._see(found, emit)
                        unseen.discard(found.kind)
        except Exception as error:
            problem = error
        now = self.deployment.clock()
        self._dark = {kind: self._dark.get(kind, now) for kind in unseen}
        with contextlib.suppress(ProblemError):
            self._note_unseen(problem, emit)

    async def _see(self, look: Look, emit: Emit) -> None:
        account = self._account
        account.gone(look, emit)
        for sighting, since in account.unknown(look):
            record = await billing_of(self.prospect.book, look.kind, sighting, since)
            account.started(record, emit)
        if look.changing:
            self._changing.add(look.kind)
        else:
            self._changing.discard(look.kind)
        if look.kind == CLUSTER:
            self._ending = look.leaving

    def _note_unseen(self, problem: BaseException | None, emit: Emit) -> None:
        if problem is None:
            if self._unseen_since is not None:
                self._unseen_since = None
                emit(Remarked(message="Google tells again what is billed."))
        elif self._unseen_since is None:
            self._unseen_since = self.deployment.clock()
            emit(
                Remarked(
                    message="What is billed cannot be seen just now; what was seen before goes on "
                    f"being counted. {_why(problem)}"
                )
            )

    def _tell(self, emit: Emit, stop: Stop | None) -> None:
        now = self.deployment.clock()
        outlook = self.prospect.current()
        meter = self._account.meter
        spent, rate = meter.spent(now), meter.rate(now)
        unseen_rate, unseen_usd = self._unseen(now)
        judged = self._budget.judge(
            spent=spent + unseen_usd,
            rate=rate + unseen_rate,
            teardown_s=outlook.reserve_s,
            teardown_usd=0.0,
            now=now,
            poll_s=self.every_s,
            warned=self._account.warned,
        )
        self._stop(judged.stop, stop)
        self._meter(now, outlook, spent, rate, unseen_rate, emit)
        if judged.warning is not None and not self._account.is_empty:
            budget = self.deployment.settings.budget
            warning = CostWarned(share=judged.warning, spent_usd=spent, budget_usd=budget)
            emit(warning)
            self._account.warned = judged.warning

    def _unseen(self, now: datetime) -> tuple[float, float]:
        """Return what may be billed unseen, for the limits alone: at most so much an hour, and so
        much since Google stopped telling. It is what the run asks for by its plan, less what was
        seen of that.
        """
        rates = self.deployment.rates
        if self._priced_since is None and (rates.cluster or rates.pool):
            self._priced_since = now
        dark = min(self._dark.values(), default=None)
        if dark is None or self._priced_since is None or now - dark < _DARK:
            return 0.0, 0.0
        account = self._account
        cluster = rates.cluster if self.deployment.owns_cluster else 0.0
        rate = max(0.0, cluster - account.seen(gpu=False))
        rate += max(0.0, rates.pool - account.seen(gpu=True))
        since = max(dark, self._priced_since)
        return rate, rate * (now - since).total_seconds() / 3600

    def _stop(self, reason: str | None, stop: Stop | None) -> None:
        if reason is None or stop is None or self._stopped:
            return
        self._stopped = self.deployment.must_end = True
        stop(StageError(reason, "--budget and --deadline-minutes say what a run may take."))

    def _meter(
        self,
        now: datetime,
        outlook: Outlook,
        spent: float,
        rate: float,
        unseen_rate: float,
        emit: Emit,
    ) -> None:
        account = self._account
        record = CostMetered(
            usd_per_hour=rate,
            spent_usd=spent,
            projected_usd=outlook.projected_usd(
                spent,
                (now - self._began).total_seconds(),
                account.billed(now, self._began, gpu=False),
                account.billed(now, self._began, gpu=True),
                ending=self._ending or self._stopped,
            )
            if not account.unpriced
            else None,
            budget_usd=self.deployment.settings.budget,
            source=self._source(outlook, unseen_rate),
        )
        # While nothing is billed there is nothing new to tell.
        if self._told is None or (record.spent_usd, record.source) != (
            self._told.spent_usd,
            self._told.source,
        ):
            emit(record)
            self._told = record

    def _source(self, outlook: Outlook, unseen_rate: float) -> str:
        account = self._account
        parts = [outlook.source if account.is_empty else account.said_of()]
        if not account.is_empty and (note := self.prospect.book.known().note):
            parts.append(note)
        if account.unpriced:
            parts.append(f"not counted, no price is known: {', '.join(account.unpriced)}")
        if self._unseen_since is not None:
            parts.append(f"Google cannot be asked since {self._unseen_since:%H:%M:%S}")
        if unseen_rate:
            parts.append(f"up to ${unseen_rate:.2f}/h unseen count against the limits")
        return "; ".join(filter(None, parts))


def _why(problem: BaseException) -> str:
    if isinstance(problem, TimeoutError):
        return "Google gave no answer in time."
    return problem.sentence if isinstance(problem, ProblemError) else repr(problem)
