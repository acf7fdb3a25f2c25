"""Loads one plugin: import -> register -> hooks -> validation.

A failure becomes a Problem, and only that plugin is missing. Of a malformed entry only the entry is missing.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pluggy

from dyadbench import hookspecs
from dyadbench.api import (
    BenchmarkConfig,
    BenchmarkEntry,
    ComponentEntry,
    Config,
    DatasetEntry,
    Entry,
    MethodEntry,
    PredictorEntry,
    RendererEntry,
    SuiteEntry,
    TokenizerEntry,
)
from dyadbench.errors import place_of

GROUP = "dyadbench"
KINDS: Mapping[str, type[Entry]] = {  # kind -> what its hook returns
    "dataset": DatasetEntry,
    "tokenizer": TokenizerEntry,
    "predictor": PredictorEntry,
    "method": MethodEntry,
    "suite": SuiteEntry,
    "benchmark": BenchmarkEntry,
    "renderer": RendererEntry,
}
OWN_DISTRIBUTION = "dyadbench"
HEAVY = ("torch", "transformers", "scipy", "numba", "pandas", "sklearn", "matplotlib", "cv2", "librosa")


@dataclass(frozen=True)
class Problem:
    """Why a plugin, or one of its names, is not available."""

    plugin: str
    stage: str  # import, register, hooks, entries, names, disabled
    detail: str
    distribution: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} ({self.distribution} {self.version}), {self.stage}: {self.detail}"


@dataclass(frozen=True)
class Plugin:
    name: str
    distribution: str
    version: str
    entries: Mapping[str, tuple[Entry, ...]]  # kind -> entries
    seconds: float = 0.0  # that its import took
    heavy: tuple[str, ...] = ()  # modules of HEAVY that its import loaded: every `dyadbench list` waits for them


# Pages beside those of the benchmarks, in leaderboards/ and in the report: a benchmark of such a name would have none.
PAGES = {"claims", "compare", "generated", "index", "pages", "published", "readme", "speed", "tokenizers", "validity"}


class Rejected(Exception):
    """A plugin failed one stage of loading."""

    def __init__(self, stage: str, detail: str):
        super().__init__(detail)
        self.stage = stage


def origin_of(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist is not None else ("", "")


def load_plugin(point: importlib.metadata.EntryPoint) -> tuple[Plugin, list[str]]:
    """The plugin, and a sentence per malformed entry. Raises Rejected at the first stage that fails."""
    before, started = set(sys.modules), time.perf_counter()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # of results, which programs read
            module = point.load()
    except (Exception, SystemExit) as error:
        raise Rejected("import", f"{type(error).__name__}: {error}") from error
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, point.name)
    except Exception as error:
        raise Rejected("register", str(error)) from error
    _check_names(module)
    faults: list[str] = []
    entries = {kind: _call(manager, kind, faults) for kind in KINDS}
    heavy = tuple(name for name in HEAVY if name in sys.modules and name not in before)
    return Plugin(point.name, *origin_of(point), entries, time.perf_counter() - started, heavy), faults


def _check_names(module: Any) -> None:
    """Raises Rejected for a misspelt hook and for one without @hookimpl: pluggy would ignore both silently."""
    hooks = [name for name in vars(hookspecs) if name.startswith("dyadbench_")]
    for name in vars(module):
        if name.startswith("dyadbench_") and callable(getattr(module, name)):
            if name not in hooks:
                near = difflib.get_close_matches(name, hooks, n=1)
                raise Rejected("register", f"{name} is not a hook" + (f"; did you mean {near[0]}?" if near else ""))
            if not hasattr(getattr(module, name), "dyadbench_impl"):
                raise Rejected("register", f"{name} lacks @hookimpl (from dyadbench.hookspecs import hookimpl)")


def _call(manager: pluggy.PluginManager, kind: str, faults: list[str]) -> tuple[Entry, ...]:
    """The well-formed entries of one kind. `faults` gets a sentence for each of the others."""
    hook = f"dyadbench_{kind}s"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            offered = [entry for answer in getattr(manager.hook, hook)() for entry in answer]
    except (Exception, SystemExit) as error:
        raise Rejected("hooks", f"{hook} raised {type(error).__name__}: {error} ({place_of(error)})") from error
    good: dict[str, Entry] = {}
    twice = set()
    for entry in offered:
        if fault := _fault(hook, kind, entry):
            faults.append(fault)
        elif entry.name in good:
            faults.append(f"{hook} offers {entry.name!r} twice")
            twice.add(entry.name)
        else:
            good[entry.name] = entry
    return tuple(entry for name, entry in good.items() if name not in twice)


def _preset_fault(entry: ComponentEntry) -> str | None:
    if not isinstance(entry.presets, Mapping):
        return f"its presets are a {type(entry.presets).__name__}; name -> settings is due"
    for name, settings in entry.presets.items():
        if not isinstance(name, str) or not isinstance(settings, Mapping):
            return f"its preset {name!r} is not a name with settings"
        if unknown := set(settings) - set(entry.config.model_fields):
            return f"its preset {name!r} sets {min(unknown, key=str)!r}, which its configuration does not have"
    return None


def _fault(hook: str, kind: str, entry: Any) -> str | None:
    """What is wrong with an entry, or None."""
    if type(entry) is not KINDS[kind]:
        return f"{hook} returned a {type(entry).__name__}; it must return {KINDS[kind].__name__} objects"
    fault = None
    if not isinstance(entry.name, str) or not entry.name or entry.name != entry.name.strip():
        fault = "its name is empty or has spaces around it"
    elif not entry.name.isprintable():
        fault = f"its name is {entry.name!a}, with characters that nobody sees"
    elif type(entry.version) is not int or entry.version < 1:
        fault = f"its version is {entry.version!r}; it must be a whole number from 1"
    elif isinstance(entry, MethodEntry):
        fault = None if entry.predictor else "it names no predictor"
    elif isinstance(entry, BenchmarkEntry):
        fault = None if isinstance(entry.config, BenchmarkConfig) else "its config is not a BenchmarkConfig"
        if entry.name.lower() in PAGES:
            fault = "a page of the leaderboards has that name; choose another"
    elif isinstance(entry, ComponentEntry):
        if entry.load.count(":") != 1:
            fault = f'its load is {entry.load!r}; it must be "module:attribute"'
        elif not (isinstance(entry.config, type) and issubclass(entry.config, Config)):
            fault = "its config is not a subclass of dyadbench.api.Config"
        else:
            fault = _preset_fault(entry)
    return f"{hook}, entry {entry.name!r}: {fault}" if fault else None
