"""Exit codes, and the failures that only the run's side knows. The tree's root is in benchmark.

ProblemError (benchmark.errors)
├── InputError
│   ├── SettingsError       flags, environment or configuration file
│   └── RunNotFoundError    no run, or more than one, answers to this name
└── WorkError
    ├── JournalError        the journal cannot be used
    └── StageError          a stage failed
"""

from __future__ import annotations

from enum import IntEnum

from benchmark.errors import InputError, ProblemError, WorkError

__all__ = [
    "ExitCode",
    "InputError",
    "JournalError",
    "ProblemError",
    "RunNotFoundError",
    "SettingsError",
    "StageError",
    "WorkError",
]


class ExitCode(IntEnum):
    """What a headless command's exit status means. Of ``compare``, DONE is within target, and
    NO_VERDICT inconclusive or refused.
    """

    DONE = 0
    FAILED = 1
    WRONG_INPUT = 2
    EXCEEDS_TARGET = 3
    NO_VERDICT = 4
    CLEANUP_INCOMPLETE = 5
    INTERRUPTED = 130


class SettingsError(InputError):
    """Flags, environment variables or the configuration file hold what cannot be."""


class RunNotFoundError(InputError):
    """No run, or more than one, answers to the given name."""


class JournalError(WorkError):
    """The journal cannot be opened, read or written."""


class StageError(WorkError):
    """A stage of a run failed."""

    def __init__(self, sentence: str, remedy: str = "", exit_code: int = 1) -> None:
        super().__init__(sentence, remedy)
        self.exit_code = exit_code
