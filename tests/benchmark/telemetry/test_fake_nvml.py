"""The stand-in and the source use nothing that the real module does not have."""

import inspect
import re
from pathlib import Path

import pynvml
import pytest

import benchmark.telemetry
from tests.benchmark.telemetry.fake_nvml import FakeNvml

_NAME = re.compile(r"\b(?:nvml[A-Z]\w*|NVML_\w+|NVMLError\w*|NVMLLibrary\w*)\b")
_SOURCES = sorted(Path(next(iter(benchmark.telemetry.__path__))).glob("*.py"))
_FUNCTIONS = sorted(name for name in vars(FakeNvml) if name.startswith("nvml"))


def test_every_nvml_name_in_the_source_exists_in_the_real_module() -> None:
    names = {name for source in _SOURCES for name in _NAME.findall(source.read_text())}
    assert len(names) > 60
    assert [name for name in sorted(names) if not hasattr(pynvml, name)] == []


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_the_stand_in_takes_the_arguments_that_the_real_function_takes(name: str) -> None:
    real = inspect.signature(getattr(pynvml, name)).parameters.values()
    # A function wrapped for string conversion hides its parameters behind __wrapped__; signature()
    # looks through that by itself.
    needed = [parameter for parameter in real if parameter.default is parameter.empty]
    fake = list(inspect.signature(vars(FakeNvml)[name]).parameters.values())[1:]
    assert len(fake) == len(needed)


def test_every_function_the_source_calls_is_played_by_the_stand_in_or_is_an_alternative() -> None:
    names = {name for source in _SOURCES for name in _NAME.findall(source.read_text())}
    functions = {name for name in names if inspect.isroutine(getattr(pynvml, name))}
    alternatives = {
        "nvmlDeviceGetGraphicsRunningProcesses_v2",
        "nvmlSystemGetCudaDriverVersion",
    }
    assert functions - set(_FUNCTIONS) == alternatives
