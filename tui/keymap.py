"""The user's keys: checked, so that a slip of the pen takes no key away."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from tui.commands import ALL

# The log panel's keys are its own; their ids begin so.
_LOG = "log."


def check_keys(keys: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the keys that can be used, and a sentence for each that cannot."""
    known = [command.id for commands in ALL.values() for command in commands]
    good, wrong = {}, []
    for name, key in keys.items():
        if not key.strip():
            wrong.append(f"[console.keys] {name} names no key.")
        elif not key.isprintable():
            wrong.append(f"[console.keys] {name}: {key!r} is no key's name.")
        elif name in known or name.startswith(_LOG):
            good[name] = key
        else:
            close = get_close_matches(name, known, n=1)
            hint = f"; is it {close[0]}?" if close else "; `?` lists them."
            wrong.append(f"[console.keys] there is no command {name!r}{hint}")
    return good, wrong
