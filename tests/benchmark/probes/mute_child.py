"""A child process that closes its output and then waits for ever, as a driver may keep one."""

import os
import signal

from benchmark.process import die_with_parent

die_with_parent(signal.SIGKILL)
os.close(1)
signal.pause()
