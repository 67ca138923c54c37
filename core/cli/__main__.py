"""``python -m core.cli``: what the run process is started as."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main())
