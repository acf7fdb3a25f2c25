"""Readers of the layouts that datasets are distributed in, and the built-in simulated corpus."""
