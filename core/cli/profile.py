"""``profile``: the shipped profiles."""

from __future__ import annotations

import sys

from benchmark.errors import InputError
from benchmark.plan import SHIPPED_PROFILES, load_profile, shipped_profile_text
from core.cli.parser import Options


def execute(options: Options) -> int:
    """Print one profile's TOML, or the list."""
    if options.name is None:
        for name in SHIPPED_PROFILES:
            print(f"{name}: {load_profile(name).description}")
        return 0
    if options.name not in SHIPPED_PROFILES:
        raise InputError(
            f"There is no shipped profile {options.name!r}.",
            f"There are: {', '.join(SHIPPED_PROFILES)}.",
        )
    sys.stdout.write(shipped_profile_text(options.name))
    return 0
