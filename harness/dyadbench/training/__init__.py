"""The fit loop, one for all methods."""
