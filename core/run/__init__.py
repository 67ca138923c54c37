"""What a run is: events, journal, pipeline and the process that it lives in."""
