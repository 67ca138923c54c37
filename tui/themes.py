"""The console's themes: ``styles/themes.toml`` and those that come with Textual."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.resources import files

from textual.theme import Theme

_DEFAULT = "gpubench-dark"


def _shipped() -> tuple[Theme, ...]:
    text = (files("styles") / "themes.toml").read_text(encoding="utf-8")
    return tuple(Theme(name=name, **values) for name, values in tomllib.loads(text).items())


THEMES = _shipped()


def default_theme(wanted: str, available: Iterable[str]) -> str:
    """Return the wanted theme's name, or the default's where there is no such theme."""
    return wanted if wanted in available else _DEFAULT
