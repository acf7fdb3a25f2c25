"""`dyadbench check NAME`: the checks of whatever has that name."""

from __future__ import annotations

from pathlib import Path

from dyadbench.api import DyadbenchError
from dyadbench.conformance.checks import check_method
from dyadbench.conformance.others import check_dataset, check_suite, check_tokenizer
from dyadbench.conformance.report import Report
from dyadbench.errors import nearest
from dyadbench.registry.host import Host

KINDS = ("method", "predictor", "tokenizer", "suite", "dataset")


def check(name: str, host: Host, *, preset: str | None = None, root: Path | None = None) -> Report:
    """Checks the method, predictor, tokenizer or suite of that name; with `root`, the dataset that lies there.

    Raises DyadbenchError if nothing has this name, or if an option does not apply to it.
    """
    names = {kind: [entry.name for entry in host.entries(kind)] for kind in KINDS}
    kinds = [kind for kind in KINDS if name in names[kind]]
    if root is not None:
        kinds = ["dataset"] if "dataset" in kinds else kinds
    if not kinds:
        candidates = [each for kind in KINDS for each in names[kind]]
        trouble = "".join(f"\n  {problem}" for problem in host.problems)
        raise DyadbenchError(
            f"there is no method, tokenizer, suite or dataset {name!r}; {nearest(name, candidates)}"
            + (f"\nProblems with plugins:{trouble}" if trouble else "")
        )
    kind = kinds[0]
    if root is not None and kind != "dataset":
        raise DyadbenchError(f"--data is of datasets, and {name!r} is a {kind}; leave it out")
    if preset is not None and kind in ("suite", "dataset"):
        raise DyadbenchError(f"--preset is of methods and tokenizers, and {name!r} is a {kind}; leave it out")
    if kind == "dataset":
        if root is None:
            raise DyadbenchError(f"{name!r} is a dataset: say where it lies with --data FOLDER")
        return check_dataset(name, host, root)
    if kind == "suite":
        return check_suite(name, host)
    return (
        check_tokenizer(name, host, preset=preset) if kind == "tokenizer" else check_method(name, host, preset=preset)
    )
