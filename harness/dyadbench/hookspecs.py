"""The hooks a plugin may implement. Each returns descriptions and can never change a number, so order cannot matter."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from dyadbench.api import Entry

hookspec = pluggy.HookspecMarker("dyadbench")
hookimpl = pluggy.HookimplMarker("dyadbench")


@hookspec
def dyadbench_datasets() -> Iterable[Entry]:
    """Data sets; each loads as `load(config, root=folder)` to an api.Dataset."""
    return ()


@hookspec
def dyadbench_tokenizers() -> Iterable[Entry]:
    """Tokenizers; each loads as `load(config, setup)` to an api.Tokenizer."""
    return ()


@hookspec
def dyadbench_predictors() -> Iterable[Entry]:
    """Predictors; each loads as `load(config, setup)`, with `tokenizer=` where its method has one."""
    return ()


@hookspec
def dyadbench_methods() -> Iterable[Entry]:
    """A tokenizer and a predictor under one name: `parts={"tokenizer": ..., "predictor": ...}`."""
    return ()


@hookspec
def dyadbench_metrics() -> Iterable[Entry]:
    """Single metrics; each loads as a pure function over arrays."""
    return ()


@hookspec
def dyadbench_suites() -> Iterable[Entry]:
    """Suites; each loads as `load(config)` to an api.Suite."""
    return ()


@hookspec
def dyadbench_benchmarks() -> Iterable[Entry]:
    """Benchmarks; each loads as an api.BenchmarkConfig."""
    return ()
