"""The ``[console]`` table of the configuration file: theme, keys, notifications.

Read without pydantic: the console's first frame waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config_file import CONSOLE_TABLE, find_config, read_config
from core.errors import SettingsError

NOTIFY = ("unfocused", "always", "never")

REFERENCE = {
    "theme": "A theme's name; the palette (ctrl+p) lists them. GPUBENCH_THEME comes before it.",
    "notify": "Bell and desktop notification when a long stage or a run ends: "
    "unfocused (only while another window is used), always or never.",
    "keys": 'A table of command ids and keys, as `"run.stop" = "ctrl+x"`; `?` lists the ids.',
}
"""What each means, for `config reference`."""


@dataclass(frozen=True)
class ConsoleSettings:
    """How the console looks and answers; nothing of a run."""

    theme: str = "gpubench-dark"
    notify: str = "unfocused"
    keys: Mapping[str, str] = field(default_factory=dict)


def load_console_settings(
    environment: Mapping[str, str], config_file: str | None = None
) -> ConsoleSettings:
    """Return the settings.

    Raises:
        SettingsError: names the file, the field and what it may be.
    """
    path = find_config(config_file, environment)
    table: dict[str, Any] = {}
    if path is not None:
        found = read_config(path).get(CONSOLE_TABLE, {})
        if not isinstance(found, dict):
            raise _wrong(path, "must be a table", "")
        table = found
    if strange := sorted(table.keys() - REFERENCE.keys()):
        raise _wrong(path, "is no setting of the console", f".{strange[0]}")
    theme = environment.get("GPUBENCH_THEME") or table.get("theme", ConsoleSettings.theme)
    notify = table.get("notify", ConsoleSettings.notify)
    keys = table.get("keys", {})
    if not isinstance(theme, str):
        raise _wrong(path, "must be a theme's name", ".theme")
    if notify not in NOTIFY:
        raise _wrong(path, f"must be one of {', '.join(NOTIFY)}", ".notify")
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise _wrong(path, "must be a table of command ids and keys", ".keys")
    return ConsoleSettings(theme, notify, keys)


def _wrong(path: Path | None, what: str, where: str) -> SettingsError:
    return SettingsError(f"Wrong settings: {path}: {CONSOLE_TABLE}{where} {what}.")
