"""The ``kubernetes`` target: the benchmark as a Job on a cluster that the user already has."""
