"""The hooks a plugin may implement. Each returns descriptions and can never change a number, so order cannot matter."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from dyadbench.api import (
    BenchmarkEntry,
    DatasetEntry,
    MethodEntry,
    PredictorEntry,
    RendererEntry,
    SuiteEntry,
    TokenizerEntry,
)

hookspec = pluggy.HookspecMarker("dyadbench")
hookimpl = pluggy.HookimplMarker("dyadbench")


@hookspec
def dyadbench_datasets() -> Iterable[DatasetEntry]:
    """Datasets; each loads as `load(config, root=folder)` to an api.Dataset."""
    return ()


@hookspec
def dyadbench_tokenizers() -> Iterable[TokenizerEntry]:
    """Tokenizers; each loads as `load(config, setup)` to an api.Tokenizer."""
    return ()


@hookspec
def dyadbench_predictors() -> Iterable[PredictorEntry]:
    """Predictors; each loads as `load(config, setup)`, with `tokenizer=` where its method has one."""
    return ()


@hookspec
def dyadbench_methods() -> Iterable[MethodEntry]:
    """A predictor, and the tokenizer it stands on, under one name."""
    return ()


@hookspec
def dyadbench_suites() -> Iterable[SuiteEntry]:
    """Suites; each loads as `load(config)` to an api.Suite."""
    return ()


@hookspec
def dyadbench_benchmarks() -> Iterable[BenchmarkEntry]:
    """Benchmarks; each holds an api.BenchmarkConfig."""
    return ()


@hookspec
def dyadbench_renderers() -> Iterable[RendererEntry]:
    """Renderers of motion; each loads as `load(config)` to an api.Renderer."""
    return ()
