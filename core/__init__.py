"""All the work that needs no screen: runs, stages, targets, journal, reports, command line."""

__version__ = "0.1.0"
