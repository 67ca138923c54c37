"""The ``gke`` target: a cluster of one's own, from nothing to nothing."""
