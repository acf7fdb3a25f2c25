"""Records and claims to tables, verdicts and the files that are committed: pure functions."""
