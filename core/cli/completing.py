"""What the shell offers for a run, a leg or a result. It loads nothing before it is asked."""

from __future__ import annotations


def complete_run(prefix: str, **_: object) -> list[str]:
    """Return the ids of runs that begin with ``prefix``, for the shell."""
    import os

    from core.run.journal import Journal
    from core.settings import load_settings

    with Journal(load_settings({}, os.environ).settings.state_dir) as journal:
        return [run.id for run in journal.runs() if run.id.startswith(prefix)]


def complete_result(prefix: str, **_: object) -> list[str]:
    """Return the ids of runs and the legs with results that begin with ``prefix``."""
    import os

    from core.settings import load_settings

    results_dir = load_settings({}, os.environ).settings.results_dir
    legs = [link.name for link in results_dir.glob("*/") if link.is_symlink()]
    return [leg for leg in sorted(legs) if leg.startswith(prefix)] + complete_run(prefix)
