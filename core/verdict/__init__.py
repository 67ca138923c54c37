"""Comparability, statistics and the verdict."""
