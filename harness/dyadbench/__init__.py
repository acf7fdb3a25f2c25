"""dyadbench: the evaluation harness for dyadic facial reaction generation.

Given one person's face and voice, a method generates the other person's facial reactions. dyadbench trains, samples,
scores and ranks such methods. Most users need the command `dyadbench` or these names:

- `score_arrays(suite, pred=..., ...)`: the scores of arrays in memory;
- `SuiteMetric(suite, ...)`: the same scores as a torchmetrics class, for a training loop;
- `dyadbench.api`: the contract; a plugin imports everything it needs from there;
- `dyadbench.hookspecs.hookimpl`: marks the functions by which a plugin offers its entries;
- `__version__`.

Importing this module is cheap: each name is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {  # name -> module that defines it
    "score_arrays": "dyadbench.metrics.arrays",
    "SuiteMetric": "dyadbench.metrics.torch_metrics",
    "hookimpl": "dyadbench.hookspecs",
}
__all__ = ["SuiteMetric", "__version__", "hookimpl", "score_arrays"]  # __getattr__ defines them


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("dyadbench")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'dyadbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
