"""Which configuration file is read, and reading it. Light: the first frame waits for it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import SettingsError

CONFIG_VARIABLE = "GPUBENCH_CONFIG"
LOCAL_CONFIG = "gpubench.toml"
CONSOLE_TABLE = "console"


def find_config(named: str | None, environment: Mapping[str, str]) -> Path | None:
    """Return the one file that is read: the named one, ``GPUBENCH_CONFIG``, ``./gpubench.toml`` or
    ``$XDG_CONFIG_HOME/gpubench-tui/config.toml``.
    """
    explicit = named or environment.get(CONFIG_VARIABLE)
    if explicit:
        return Path(os.path.expanduser(explicit))
    home = environment.get("XDG_CONFIG_HOME") or "~/.config"
    candidates = (
        Path(LOCAL_CONFIG),
        Path(os.path.expanduser(home)) / "gpubench-tui" / "config.toml",
    )
    return next((path for path in candidates if path.is_file()), None)


def read_config(path: Path) -> dict[str, Any]:
    """Return a file's values. Raises SettingsError."""
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise SettingsError(
            f"Configuration file {path} cannot be read: {error.strerror}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"Configuration file {path} is not valid TOML: {error}.") from error
