"""What nearly every verb begins with."""

from __future__ import annotations

import os

from core.cli.parser import Options
from core.run.journal import Journal
from core.settings import Settings, load_settings


def settings_of(options: Options) -> Settings:
    """Return the settings. Raises SettingsError."""
    return load_settings(options.flags(), os.environ, options.config).settings


def open_journal(settings: Settings) -> Journal:
    """Open the journal. Raises JournalError."""
    return Journal(settings.state_dir)
