"""How a run ended, in words and in its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.errors import ProblemError
from core.errors import ExitCode
from core.run.events import Left, RunFinished, RunState


@dataclass(frozen=True, slots=True)
class Ending:
    """What a run's stream says last of it."""

    state: RunState
    exit_code: int
    sentence: str
    remedy: str = ""

    @classmethod
    def done(cls) -> Ending:
        """Return the one that everybody wants."""
        return cls(RunState.DONE, ExitCode.DONE, "The run is done.")

    @classmethod
    def failed(cls, problem: ProblemError) -> Ending:
        """Return that of a run whose work failed."""
        return cls(RunState.FAILED, problem.exit_code, problem.sentence, problem.remedy)

    @classmethod
    def interrupted(cls, reason: str) -> Ending:
        """Return that of a run that was stopped. ``reason`` may be a signal's name."""
        return cls(
            RunState.INTERRUPTED,
            ExitCode.INTERRUPTED,
            f"The run was interrupted ({reason or 'cancelled'}).",
            "What had finished is in its folder.",
        )

    def leaving(self, left: Sequence[Left], run_id: str) -> Ending:
        """Return it for a run of which this could not be proved gone."""
        if not left:
            return self
        names = ", ".join(f"{each.kind} {each.name}" for each in left)
        # 130 would say that everything was torn down.
        is_failure = self.state is RunState.FAILED
        return replace(
            self,
            exit_code=self.exit_code if is_failure else ExitCode.CLEANUP_INCOMPLETE,
            sentence=f"{self.sentence} Not proved gone: {names}.",
            remedy=f"gpubench-tui --no-ui teardown {run_id} tries again. {self.remedy}",
        )

    def record(self, seconds: float) -> RunFinished:
        """Return what joins the stream; ``seconds`` since the run was created."""
        return RunFinished(
            state=self.state,
            exit_code=self.exit_code,
            seconds=round(seconds, 3),
            sentence=self.sentence,
            remedy=self.remedy,
        )
