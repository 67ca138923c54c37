"""``machine``: what this machine is and has."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

from core.cli.parser import Options
from core.targets.machine import findings
from core.text import columns


def execute(options: Options) -> int:
    """Print a line for each thing that was looked for; with --json one object a line."""
    found = findings(os.environ)
    if options.format == "json":
        for finding in found:
            print(json.dumps(asdict(finding)))
        return 0
    rows = [
        ("yes" if finding.found else "no", finding.name, f"{finding.detail}. {finding.remedy}")
        for finding in found
    ]
    print("\n".join(columns(rows)))
    return 0
