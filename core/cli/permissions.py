"""``permissions``: the Role that runs on a cluster need."""

from __future__ import annotations

from core.cli.opening import settings_of
from core.cli.parser import Options
from core.errors import ExitCode


def execute(options: Options) -> int:
    """Print it as YAML for ``kubectl apply``. Asks no cluster."""
    from core.kube.permissions import role_yaml

    settings = settings_of(options)
    print(
        role_yaml(
            settings.namespace or "default",
            install_drivers=settings.install_drivers is not None,
            subject=options.subject,
        ),
        end="",
    )
    return ExitCode.DONE
