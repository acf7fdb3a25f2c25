"""dyadbench: the evaluation harness for dyadic facial reaction generation.

Given one person's face and voice, a method generates the other person's facial reactions. dyadbench trains, samples,
scores and ranks such methods. Most users need the command `dyadbench` or these names:

- `score_arrays(suite, pred=..., ...)`: the scores of arrays in memory;
- `SuiteMetric(suite, ...)`: the same scores as a torchmetrics class, for a training loop;
- `run(benchmark, method, ...)`: fits, samples and scores, as the command does; gives the records;
- `load_method(method, benchmark, ...)`: a trained method, to be sampled on any clip;
- `score(predictions, benchmark, ...)`: the scores of a predictions file or of arrays, with intervals;
- `dyadbench.records.frame(root)`: the records as a DataFrame;
- `dyadbench.api`: the contract; a plugin imports everything it needs from there;
- `dyadbench.hookspecs.hookimpl`: marks the functions by which a plugin offers its entries;
- `__version__`.

Importing this module is cheap: each name is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dyadbench.hookspecs import hookimpl as hookimpl
    from dyadbench.python.arrays import score_arrays as score_arrays
    from dyadbench.python.method import load_method as load_method
    from dyadbench.python.run import run as run
    from dyadbench.python.score import score as score
    from dyadbench.python.torch_metrics import SuiteMetric as SuiteMetric

_LAZY = {  # name -> module that defines it
    "score_arrays": "dyadbench.python.arrays",
    "SuiteMetric": "dyadbench.python.torch_metrics",
    "run": "dyadbench.python.run",
    "load_method": "dyadbench.python.method",
    "score": "dyadbench.python.score",
    "hookimpl": "dyadbench.hookspecs",
}
__all__ = ["SuiteMetric", "__version__", "hookimpl", "load_method", "run", "score", "score_arrays"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("dyadbench")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'dyadbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
