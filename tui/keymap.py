"""The user's keys: checked, so that a slip of the pen takes no key away."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from tui.commands import ALL


def check_keys(keys: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the keys that can be used, and a sentence for each that cannot."""
    from tui.log.keys import KEYS

    known = {command.id: command.key for commands in ALL.values() for command in commands}
    known |= {binding.id: binding.key for binding in KEYS if binding.id}
    good, wrong = {}, []
    for name, key in keys.items():
        if not key.strip():
            wrong.append(f"[console.keys] {name} names no key.")
        elif not key.isprintable():
            wrong.append(f"[console.keys] {name}: {key!r} is no key's name.")
        elif name in known:
            good[name] = key
            wrong += _taken(name, key, known)
        else:
            close = get_close_matches(name, known, n=1)
            hint = f"; is it {close[0]}?" if close else "; `?` lists them."
            wrong.append(f"[console.keys] there is no command {name!r}{hint}")
    return good, wrong


def _taken(name: str, key: str, known: Mapping[str, str]) -> list[str]:
    """Return a sentence if a command of the same page, or of every page, has the key."""
    place = name.partition(".")[0]
    wanted = {part.strip() for part in key.split(",")}
    rivals = [
        other
        for other, theirs in known.items()
        if other != name
        and other.partition(".")[0] in (place, "app")
        and wanted & set(theirs.split(","))
    ]
    return [f"[console.keys] {name}: {key} is the key of {rivals[0]} too."] if rivals else []
