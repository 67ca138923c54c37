"""Where a benchmark runs: which stages a target has, in which order, and what each needs."""
