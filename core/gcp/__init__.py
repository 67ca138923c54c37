"""Google Cloud: everything that the program asks of it, and nothing of why."""
