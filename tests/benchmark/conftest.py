"""Settings of every test of the benchmark."""

from hypothesis import settings

# Two CPUs are shared with whatever else runs: no test may depend on how long it took.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
