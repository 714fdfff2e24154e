"""Is an artifact equal to its reference? Limits, comparison, and the child process that runs it."""
