"""The entry point: the console without a verb, the headless command line with one."""

from __future__ import annotations

from core.cli import main

__all__ = ["main"]
