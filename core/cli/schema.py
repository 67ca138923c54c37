"""``schema``: the JSON Schema of the result file."""

from __future__ import annotations

import json

from benchmark.results import result_json_schema
from core.cli.parser import Options


def execute(options: Options) -> int:
    """Print the schema."""
    print(json.dumps(result_json_schema(), indent=1))
    return 0
