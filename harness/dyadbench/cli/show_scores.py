"""What `dyadbench show` says of suites, benchmarks and metrics."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from dyadbench.api import Column, DyadbenchError
from dyadbench.cli.show_reaction import about_reaction
from dyadbench.registry.host import Host

Facts = dict[str, Any]


def direction(column: Column) -> str:
    """Which way is better, in words; the target of other columns is not judged."""
    from dyadbench.leaderboard.text import better_text

    return better_text(column.direction, column.judged and column.target != column.id, column.target)


def metric_ids(host: Host) -> list[str]:
    return list(dict.fromkeys(column.id for suite in host.suites().values() for column in suite.columns))


def about_suite(host: Host, name: str) -> Facts:
    suite = host.build("suite", name, {})
    lines = [
        f"{column.id}: {direction(column)}; {column.summary}" + ("" if column.ranked else " (never ranked)")
        for column in suite.columns
        if column.id != column.target
    ]
    return {"scores": suite.space, "columns": lines}


def about_benchmark(host: Host, name: str) -> Facts:
    config = host.get("benchmark", name).config
    reach = f"{config.allowed_lookahead} frames" if config.allowed_lookahead else "nothing"
    track = (
        f"online: a ranked method may see {reach} of the speaker's future"
        if config.track == "online"
        else "offline: a method may see the speaker's whole clip"
    )
    predictors: list[Any] = host.entries("predictor")
    references = [entry.name for entry in predictors if entry.calibration and entry.name != "reconstruction"]
    also = ", ".join(config.also) or "none"
    return {
        "dataset": config.dataset + "".join(f", {field} = {value}" for field, value in config.dataset_config.items()),
        "split": f"{config.folds}-fold cross-validation by session" if config.folds else config.split,
        "track": track,
        "samples": f"{config.samples} reactions per clip",
        "reaction": about_reaction(host, name, config),
        "suite": f"{config.suite}, which ranks; further suites: {also}",
        "columns": about_suite(host, config.suite)["columns"],
        "references": ", ".join(references),
        "run": f"dyadbench run -b {name} -m METHOD",
    }


def about_metric(host: Host, name: str, root: Path) -> list[Facts]:
    """One entry per suite that has a column `name`; `SUITE/COLUMN` asks for that of one suite."""
    suite_name, _, column_name = name.rpartition("/")
    matches = []
    for label, suite in host.suites().items():
        for column in suite.columns:
            if column.id == column_name and suite_name in ("", label):
                matches.append(_metric(label, suite, column, root))
    return matches


def _metric(suite_name: str, suite: Any, column: Column, root: Path) -> Facts:
    facts: Facts = {
        "kind": "metric", "name": f"{suite_name}/{column.id}", "version": column.version, "what": column.summary,
        "direction": direction(column), "unit": column.unit or "none",
    }  # fmt: skip
    ends = [
        text
        for text, value in ((f"from {column.low}", column.low), (f"to {column.high}", column.high))
        if value is not None
    ]
    if ends:
        facts["range"] = " ".join(ends)
    if column.perfect is not None:
        facts["a perfect listener has"] = column.perfect
    facts["ranked"] = (
        "yes, in the headline" if column.headline else "shown beside the headline" if column.ranked else "never"
    )
    if column.family:
        facts["family"] = column.family
    facts["validity"] = _validity(suite_name, column.id, root)
    facts["formula"] = _formula(suite, column)
    return facts


def _validity(suite: str, column: str, root: Path) -> list[str]:
    """What `dyadbench validity` measured of a column, corpus by corpus."""
    from dyadbench.leaderboard.validity import load_validity

    try:
        corpora = load_validity(root / "leaderboards")
    except DyadbenchError as error:
        return [str(error)]
    lines = []
    for corpus in corpora:
        measured = corpus.suites.get(suite, {}).get(column)
        if measured is not None:
            passes = {
                True: "passes",
                False: "fails: " + "; ".join(measured.why),
                None: "has no value on these data" if measured.family else "nothing says what it must order",
            }
            lines.append(f"{corpus.benchmark}: {passes[measured.passes]}")
    return lines or [f"not measured on any corpus below {root / 'leaderboards'}; `dyadbench validity` measures it"]


def _formula(suite: Any, column: Column) -> str:
    """The docstring that gives it: of the function that the column names, else of the suite's module and class."""
    if column.formula:
        module, _, function = column.formula.partition(":")
        text = inspect.getdoc(getattr(importlib.import_module(module), function)) or "not said"
        return text.partition(">>>")[0].rstrip()  # without the examples, which are tests
    texts = [inspect.getdoc(inspect.getmodule(type(suite))), inspect.getdoc(type(suite))]
    return "\n\n".join(text for text in texts if text) or "not said"
