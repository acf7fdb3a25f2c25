"""The Python API: what a notebook or a training loop calls, beside the command line."""
