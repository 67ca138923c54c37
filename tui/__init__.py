"""The console: a face over runs that live in their own processes."""
