"""The other end of the ping-pong: sends every byte back, on the CPU that it was given.

It stands alone (standard library only) because the probe runs it by its path with
`python -I -S`: nothing else may wake up in it.

    echo_child.py CPU     reads from stdin, writes to stdout, ends with its stdin
"""

import os
import sys


def main(cpu: int) -> int:
    """Echo until the other end closes."""
    os.sched_setaffinity(0, {cpu})
    while data := os.read(0, 1):
        os.write(1, data)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
