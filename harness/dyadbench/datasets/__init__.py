"""Readers of the layouts that data sets are distributed in, and the built-in simulated corpus."""
