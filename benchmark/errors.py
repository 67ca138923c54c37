"""What can go wrong beside the GPU, one class per kind that a caller treats differently.

ProblemError                  one sentence for a person, an exit code for a script
├── InputError                wrong input: nothing was changed (exit 2)
│   ├── PlanError             a profile, plan file or setting that cannot be run
│   ├── WeightsError          weights that cannot be read or do not fit the model
│   ├── DatasetError          an image folder that cannot be read
│   ├── OutputError           an output folder that cannot be written
│   └── ResultFileError       a result file that is not ours, broken or of another version
└── WorkError                 the work itself failed (exit 1)
    ├── DiskFullError         no space left while writing
    ├── CorrectnessError      the configuration computes something else than fp32 eager
    └── MeasurementError      a measurement process died
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ProblemError(Exception):
    """A failure that a person can understand: what happened, to what, and what to do next."""

    exit_code: int = 1

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(f"{sentence} {remedy}".strip())
        self.sentence = sentence
        self.remedy = remedy


class InputError(ProblemError):
    """Wrong input; nothing was changed."""

    exit_code = 2


class PlanError(InputError):
    """A profile, plan file or setting that cannot be run."""


class WeightsError(InputError):
    """Weights that cannot be read or do not fit ResNet-50."""


class DatasetError(InputError):
    """An image folder that cannot be read."""


class OutputError(InputError):
    """An output folder that cannot be written."""


class ResultFileError(InputError):
    """A result file that is not ours, is broken, or was written by another version."""


class WorkError(ProblemError):
    """The work itself failed."""


class DiskFullError(WorkError):
    """No space was left while writing."""


class CorrectnessError(WorkError):
    """The measured configuration computes something else than fp32 eager."""


class MeasurementError(WorkError):
    """A measurement process ended without a result."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals while writing ``path`` into sentences.

    Raises:
        DiskFullError: no space, quota or file size left.
        OutputError: anything else that keeps ``path`` from being written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError(
                f"The disk is full: {path} could not be written.",
                "Free some space or choose another folder; what was written before is intact.",
            ) from error
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Choose a folder that you may write to.",
        ) from error
