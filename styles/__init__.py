"""The console's style sheet and its themes, as data."""
