"""Metrics: pure functions over arrays, suites over evaluations. Nothing heavy is imported until it is used."""
