"""Runs in the image while it is built: prints the requirements that its Python does not meet.

``python3 unmet.py requirements.txt``. Nothing is imported, because a GPU build of torch may not
load where there is no GPU, and any torch that comes with its torchvision is taken as it is: whoever
made the base chose it. Also runs on the older Pythons that it refuses.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

PYTHON = (3, 11)
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(.*)")
_BOUND = re.compile(r"(>=|==|<)\s*([0-9.]+)")
_TOGETHER = ("torch", "torchvision")


def unmet(requirements: str) -> list[str]:
    """Return the lines of a requirements file that this Python's packages do not meet."""
    has_torch = all(find_spec(name) for name in _TOGETHER)
    found = []
    for line in requirements.splitlines():
        requirement = line.partition("#")[0].strip()
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None or (has_torch and match[1] in _TOGETHER):
            continue
        if not _is_met(match[1], match[2]):
            found.append(requirement)
    return found


def _is_met(name: str, bounds: str) -> bool:
    try:
        installed = _numbers(version(name))
    except PackageNotFoundError:
        return False
    for relation, limit in _BOUND.findall(bounds):
        wanted = _numbers(limit)
        held = {
            ">=": installed >= wanted,
            "==": installed[: len(wanted)] == wanted,
            "<": installed < wanted,
        }
        if not held[relation]:
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    release = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in release[0].split(".")) if release else ()


if __name__ == "__main__":
    if sys.version_info < PYTHON:
        sys.exit(
            f"The base image's Python is {sys.version.split()[0]}; "
            f"the benchmark needs {PYTHON[0]}.{PYTHON[1]} or newer."
        )
    with open(sys.argv[1], encoding="utf-8") as stream:
        print("\n".join(unmet(stream.read())))
