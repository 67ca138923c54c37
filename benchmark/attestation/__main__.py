"""`python -m benchmark.attestation`: print this machine's attestation as JSON on stdout."""

import json
import sys

from benchmark.attestation.collection import collect


def main() -> int:
    """Print the attestation; the exit code is 0 whatever it says, because it is a report."""
    # ensure_ascii: pydantic's own writer leaves C1 control characters as they are, and a terminal
    # obeys those.
    json.dump(collect().model_dump(mode="json"), sys.stdout, indent=2, ensure_ascii=True)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
