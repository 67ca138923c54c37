"""The log panel. The run's own ``deployment.log`` is the spool: no line is ever held here."""
