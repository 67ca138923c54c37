"""One typed door to the NVML binding, so that its quirks stay on one page.

The binding (``pynvml`` of the distribution nvidia-ml-py) has no types, returns ``str`` or ``bytes``
by version, raises one class an error code, raises another class that is no NVML error when binding
and driver disagree about versions, and answers "not available" with the largest unsigned number.
"""

import importlib
from typing import Any

from benchmark.telemetry.errors import NvmlUnavailable

# An NVML question: the function's name and its arguments.
Question = tuple[Any, ...]

_NOT_AVAILABLE = (2**32 - 1, 2**64 - 1)

_NOT_GIVEN_NAMES = (
    "NVML_ERROR_INVALID_ARGUMENT",
    "NVML_ERROR_NOT_SUPPORTED",
    "NVML_ERROR_NO_PERMISSION",
    "NVML_ERROR_NOT_FOUND",
    "NVML_ERROR_FUNCTION_NOT_FOUND",
    "NVML_ERROR_NO_DATA",
    "NVML_ERROR_VGPU_ECC_NOT_SUPPORTED",
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH",
    "NVML_ERROR_DEPRECATED",
    "NVML_ERROR_NOT_READY",
    "NVML_ERROR_INVALID_STATE",
)
_LOST_NAMES = ("NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_RESET_REQUIRED")


class NotGiven(Exception):
    """The driver does not give this value on this GPU, or not to us."""


class GpuLost(Exception):
    """The GPU fell off the bus or needs a reset."""


class CallFailed(Exception):
    """A question failed for a reason that a working driver does not give."""


class NvmlLibrary:
    """Calls NVML by name and turns its errors into the three that matter here."""

    def __init__(self, module: Any = None) -> None:
        """Take the binding given, or import ``pynvml``; raises NvmlUnavailable without it."""
        self._module = module if module is not None else _import_binding()
        self._not_given = self._codes(_NOT_GIVEN_NAMES)
        self._lost = self._codes(_LOST_NAMES)
        mismatch = getattr(self._module, "NVMLLibraryMismatchError", None)
        self._quirks: tuple[type[Exception], ...] = (
            (mismatch, UnicodeError) if mismatch is not None else (UnicodeError,)
        )

    def constant(self, name: str) -> int:
        """A constant of the binding by its name."""
        return int(getattr(self._module, name))

    def optional_constant(self, name: str) -> int | None:
        """A constant that older bindings lack."""
        value = getattr(self._module, name, None)
        return None if value is None else int(value)

    def call(self, name: str, *arguments: Any) -> Any:
        """Ask NVML; raises NotGiven, GpuLost or CallFailed."""
        function = getattr(self._module, name, None)
        if function is None:
            # A binding older than the function is the same as a driver without it.
            raise NotGiven(name)
        try:
            return function(*arguments)
        except self._module.NVMLError as error:
            code = error.value
            if code in self._not_given:
                raise NotGiven(name) from error
            if code in self._lost:
                raise GpuLost(name) from error
            raise CallFailed(f"{name}: {error}") from error
        except self._quirks as error:
            raise NotGiven(name) from error

    def start(self) -> None:
        """Initialise NVML; raises NvmlUnavailable."""
        try:
            self._module.nvmlInit()
        except self._module.NVMLError as error:
            raise NvmlUnavailable(
                f"NVML cannot be used: {error}",
                "Check that nvidia-smi works here, and that a container was given the GPU.",
            ) from error

    def stop(self) -> None:
        """Shut NVML down; an error is of no use to anyone by now."""
        try:
            self._module.nvmlShutdown()
        except self._module.NVMLError:
            return

    def _codes(self, names: tuple[str, ...]) -> frozenset[int]:
        # An older binding lacks the newer codes, and then never meets them either.
        return frozenset(
            int(getattr(self._module, name)) for name in names if hasattr(self._module, name)
        )


class Pass:
    """One round of questions: a value or ``None`` for each, and what failed hard on the way."""

    def __init__(self, library: NvmlLibrary) -> None:
        self._library = library
        self.answers = 0
        self.failures: list[CallFailed] = []

    def value(self, *questions: Question) -> Any:
        """The first answer among alternatives, newest name first; GpuLost passes through."""
        for name, *arguments in questions:
            try:
                answer = self._library.call(name, *arguments)
            except NotGiven:
                continue
            except CallFailed as error:
                self.failures.append(error)
                return None
            self.answers += 1
            return answer
        return None

    def integer(self, *questions: Question) -> int | None:
        """A whole number, ``None`` also for NVML's own "not available"."""
        return as_integer(self.value(*questions))

    def thousandths(self, *questions: Question) -> float | None:
        """A number a thousand times smaller than NVML's: milliwatts asked, watts given."""
        number = self.integer(*questions)
        return None if number is None else number / 1000

    def flag(self, *questions: Question) -> bool | None:
        """An enable state, from NVML's number or its pair (current, pending)."""
        answer = self.value(*questions)
        if isinstance(answer, list | tuple):
            answer = answer[0] if answer else None
        number = as_integer(answer)
        return None if number is None else number == 1

    def text(self, *questions: Question) -> str | None:
        """A string, whichever of str and bytes the binding returns."""
        return as_text(self.value(*questions))


def as_integer(answer: Any) -> int | None:
    """NVML's number, or ``None`` where it stands for "not available"."""
    if answer is None:
        return None
    number = int(answer)
    return None if number in _NOT_AVAILABLE else number


def as_text(answer: Any) -> str | None:
    """NVML's string; an empty one is no answer."""
    if isinstance(answer, bytes):
        answer = answer.decode("utf-8", "replace")
    return str(answer) if answer else None


def _import_binding() -> Any:
    try:
        return importlib.import_module("pynvml")
    except ImportError as error:
        raise NvmlUnavailable(
            "The Python binding of NVML (pynvml) is not installed.",
            "Install the package nvidia-ml-py beside the benchmark.",
        ) from error
