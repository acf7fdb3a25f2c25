"""Timings that anyone can repeat: metrics against the official code, tables at the largest plausible size."""
