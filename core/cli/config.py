"""``config``: each setting's value and source, or what each means."""

from __future__ import annotations

import json
import os

from core.cli.parser import Options
from core.config_file import CONSOLE_TABLE
from core.console_settings import REFERENCE
from core.settings import ENVIRONMENT_PREFIX, Settings, load_settings
from core.text import harmless


def execute(options: Options) -> int:
    """Print the settings (``show``) or their reference (``reference``)."""
    if options.item == "reference":
        return _reference()
    loaded = load_settings(options.flags(), os.environ, options.config)
    values = loaded.settings.model_dump(mode="json")
    if options.format == "json":
        document = {
            name: {"value": value, "from": loaded.origins[name]} for name, value in values.items()
        }
        print(json.dumps(document, indent=1))
        return 0
    width = max(map(len, values))
    for name, value in values.items():
        shown = "(the profile's)" if value is None else harmless(str(value))
        print(f"{name.ljust(width)}  {shown}  [{harmless(loaded.origins[name])}]")
    return 0


def _reference() -> int:
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = "the profile's" if default is None else str(default)
        print(f"{name}  (--{name.replace('_', '-')}, {ENVIRONMENT_PREFIX}{name.upper()})")
        print(f"    {' '.join((field.description or '').split())}")
        print(f"    default: {shown}\n")
    for name, meaning in REFERENCE.items():
        print(f"[{CONSOLE_TABLE}] {name}  (configuration file only)")
        print(f"    {meaning}\n")
    return 0
