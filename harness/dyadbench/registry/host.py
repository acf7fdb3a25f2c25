"""Finds plugins, keeps the list of what went wrong, and looks names up.

Each plugin is taken through import -> register -> pending check -> hooks -> validation on its own. Whatever fails
becomes a Problem and costs only that plugin. (pluggy's own entry-point loader stops at the first broken plugin and
drops duplicate names without a word, which is why it is not used.)
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, overload

import pluggy
from pydantic import ValidationError

from dyadbench import hookspecs
from dyadbench.api import (
    BenchmarkConfig,
    BenchmarkEntry,
    ComponentEntry,
    Config,
    DatasetEntry,
    DyadbenchError,
    Entry,
    MethodEntry,
    MetricEntry,
    PredictorEntry,
    SuiteEntry,
    TokenizerEntry,
)
from dyadbench.errors import Interrupted, PluginError, one_line
from dyadbench.registry.guard import unchanged_process

GROUP = "dyadbench"
ComponentKind = Literal["dataset", "tokenizer", "predictor", "metric", "suite"]
KINDS: Mapping[str, type[Entry]] = {  # kind -> what its hook returns
    "dataset": DatasetEntry,
    "tokenizer": TokenizerEntry,
    "predictor": PredictorEntry,
    "method": MethodEntry,
    "metric": MetricEntry,
    "suite": SuiteEntry,
    "benchmark": BenchmarkEntry,
}
OWN_DISTRIBUTION = "dyadbench"


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


class _Rejected(Exception):
    """A plugin failed one stage of loading."""

    def __init__(self, stage: str, detail: str):
        super().__init__(detail)
        self.stage = stage


class Host:
    """All plugins of this environment, loaded once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.plugins: list[Plugin] = []
        self._found: dict[tuple[str, str], tuple[Entry, Plugin]] = {}
        self._clashes: dict[tuple[str, str], str] = {}
        self._warned: set[tuple[str, str]] = set()
        disabled = {name for name in os.environ.get("DYADBENCH_DISABLE", "").split(",") if name}
        points = importlib.metadata.entry_points(group=GROUP)
        # Ours first, so that a stranger cannot take a built-in's name; then by name, so that order is not chance.
        for point in sorted(points, key=lambda p: (_origin(p)[0] != OWN_DISTRIBUTION, p.name, p.value)):
            if point.name in disabled:
                self._note(
                    Problem(point.name, "disabled", "switched off by DYADBENCH_DISABLE", *_origin(point)), fatal=False
                )
                continue
            if any(plugin.name == point.name and plugin.distribution == _origin(point)[0] for plugin in self.plugins):
                continue  # an editable install can list its entry points twice
            try:
                plugin = Plugin(point.name, *_origin(point), _load(point))
            except _Rejected as error:
                self._note(Problem(point.name, error.stage, str(error), *_origin(point)))
                continue
            self.plugins.append(plugin)
            self._take_names(plugin)

    def _note(self, problem: Problem, *, fatal: bool = True) -> None:
        self.problems.append(problem)
        if fatal and os.environ.get("DYADBENCH_STRICT") == "1":
            raise PluginError(f"{problem} (DYADBENCH_STRICT=1)")

    def _take_names(self, plugin: Plugin) -> None:
        for kind, entries in plugin.entries.items():
            for entry in entries:
                key = (kind, entry.name)
                held = self._found.get(key)
                if held is None:
                    self._found[key] = (entry, plugin)
                    continue
                other = held[1]
                both = f"{other.name!r} ({other.distribution}) and {plugin.name!r} ({plugin.distribution})"
                if other.distribution == OWN_DISTRIBUTION and plugin.distribution != OWN_DISTRIBUTION:
                    detail = f"{kind} {entry.name!r} is built in and cannot be replaced; rename it"
                else:
                    detail = f"{kind} {entry.name!r} is offered by {both}; rename or disable one"
                    self._clashes[key] = detail
                self._note(Problem(plugin.name, "names", detail, plugin.distribution, plugin.version))

    # --- looking up -------------------------------------------------------------------------------------

    @overload
    def entries(self, kind: ComponentKind) -> list[ComponentEntry]: ...
    @overload
    def entries(self, kind: Literal["method"]) -> list[MethodEntry]: ...
    @overload
    def entries(self, kind: Literal["benchmark"]) -> list[BenchmarkEntry]: ...
    @overload
    def entries(self, kind: str) -> list[Any]: ...
    def entries(self, kind: str) -> list[Any]:
        """All entries of a kind that can be used, by name."""
        return [self._found[key][0] for key in sorted(self._found) if key[0] == kind and key not in self._clashes]

    @overload
    def get(self, kind: Literal["predictor"], name: str) -> PredictorEntry: ...
    @overload
    def get(self, kind: ComponentKind, name: str) -> ComponentEntry: ...
    @overload
    def get(self, kind: Literal["method"], name: str) -> MethodEntry: ...
    @overload
    def get(self, kind: Literal["benchmark"], name: str) -> BenchmarkEntry: ...
    @overload
    def get(self, kind: str, name: str) -> Any: ...
    def get(self, kind: str, name: str) -> Any:
        """The entry, or DyadbenchError with the nearest names and whatever went wrong while loading plugins."""
        if clash := self._clashes.get((kind, name)):
            raise DyadbenchError(clash)
        found = self._found.get((kind, name))
        if found is not None:
            return found[0]
        known = [entry.name for entry in self.entries(kind)]
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(known) or 'none'}"
        trouble = "".join(f"\n  {problem}" for problem in self.problems)
        raise DyadbenchError(
            f"there is no {kind} {name!r}; {hint}" + (f"\nProblems with plugins:{trouble}" if trouble else "")
        )

    def plugin_of(self, entry: Entry) -> tuple[str, str]:
        """(distribution, version) that an entry comes from."""
        for held, plugin in self._found.values():
            if held is entry:
                return plugin.distribution, plugin.version
        raise KeyError(entry.name)

    # --- building ---------------------------------------------------------------------------------------

    def load(self, kind: str, entry: ComponentEntry) -> Any:
        """What `entry.load` ("module:attribute") names; imported now."""
        with self.blame(kind, entry.name, "import"):
            module, _, path = entry.load.partition(":")
            value: Any = importlib.import_module(module)
            for step in path.split("."):
                value = getattr(value, step)
            return value

    def build(self, kind: str, name: str, config: Mapping[str, Any] | Config, /, *args: Any, **more: Any) -> Any:
        """Validates `config` and builds the named component: `load(config, *args, **more)`."""
        entry = self.get(kind, name)
        try:
            values = config.model_dump() if isinstance(config, Config) else dict(config)
            made = entry.config.model_validate(values)
        except ValidationError as error:
            from dyadbench.errors import first_fault

            raise DyadbenchError(f"configuration of {kind} {name!r}: {first_fault(error)}") from None
        factory = self.load(kind, entry)
        with self.blame(kind, name, "build"):
            return factory(made, *args, **more)

    @contextmanager
    def blame(self, kind: str, name: str, stage: str) -> Iterator[None]:
        """Whatever a plugin raises inside becomes one PluginError that names it; clear sentences pass as they are.

        What it prints goes to stderr: stdout is for results, which programs read. What it leaves changed of the process
        is put back.
        """
        changes: list[str] = []
        try:
            with contextlib.redirect_stdout(sys.stderr), unchanged_process() as changes:
                yield
        except (DyadbenchError, Interrupted):
            raise
        except BaseException as error:  # KeyboardInterrupt, GeneratorExit and its own kinds, too: it costs one cell
            if isinstance(error, OSError):
                from dyadbench.files.atomic import WEATHER, cannot_write

                if error.errno in WEATHER:
                    raise cannot_write(error.filename or "a file", error) from error
            distribution, version = self.plugin_of(self.get(kind, name))
            text = one_line(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, most=500)
            raise PluginError(f"{kind} {name!r} of {distribution} {version} failed during {stage}: {text}") from error
        finally:
            self._warn_of(changes, kind, name)

    def _warn_of(self, changes: list[str], kind: str, name: str) -> None:
        """Says once for each plugin what it left changed; it was put back."""
        if changes and (kind, name) not in self._warned:
            self._warned.add((kind, name))
            distribution, version = self.plugin_of(self.get(kind, name))
            what = ", ".join(changes)
            print(
                f"dyadbench: {kind} {name!r} of {distribution} {version} changed {what}; it was put back",
                file=sys.stderr,
            )


def _origin(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist is not None else ("", "")


def _load(point: importlib.metadata.EntryPoint) -> dict[str, tuple[Entry, ...]]:
    """Takes one plugin through every stage; raises _Rejected at the first that fails."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # of results, which programs read
            module = point.load()
    except (Exception, SystemExit) as error:
        raise _Rejected("import", f"{type(error).__name__}: {error}") from error
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, point.name)
    except Exception as error:
        raise _Rejected("register", str(error)) from error
    _check_names(module)
    return {kind: _call(manager, kind) for kind in KINDS}


def _check_names(module: Any) -> None:
    """A function named like a hook that is none would otherwise be ignored without a word."""
    known = [name for name in vars(hookspecs) if name.startswith("dyadbench_")]
    for name in vars(module):
        if name.startswith("dyadbench_") and callable(getattr(module, name)):
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise _Rejected("register", f"{name} is not a hook" + (f"; did you mean {near[0]}?" if near else ""))
            if not hasattr(getattr(module, name), "dyadbench_impl"):
                raise _Rejected("register", f"{name} lacks @hookimpl (from dyadbench.hookspecs import hookimpl)")


def _call(manager: pluggy.PluginManager, kind: str) -> tuple[Entry, ...]:
    hook = f"dyadbench_{kind}s"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            offered = [entry for answer in getattr(manager.hook, hook)() for entry in answer]
    except (Exception, SystemExit) as error:
        raise _Rejected("hooks", f"{hook} raised {type(error).__name__}: {error}") from error
    for entry in offered:
        _validate(hook, kind, entry)
    names = [entry.name for entry in offered]
    for name in names:
        if names.count(name) > 1:
            raise _Rejected("entries", f"{hook} offers {name!r} twice")
    return tuple(offered)


def _validate(hook: str, kind: str, entry: Any) -> None:
    """Raises _Rejected where an entry is not what its hook asks for."""
    if type(entry) is not KINDS[kind]:
        raise _Rejected(
            "entries", f"{hook} returned a {type(entry).__name__}; it must return {KINDS[kind].__name__} objects"
        )
    fault = None
    if not isinstance(entry.name, str) or not entry.name or entry.name != entry.name.strip():
        fault = "its name is empty or has spaces around it"
    elif type(entry.version) is not int or entry.version < 1:
        fault = f"its version is {entry.version!r}; it must be a whole number from 1"
    elif isinstance(entry, MethodEntry):
        fault = None if entry.predictor else "it names no predictor"
    elif isinstance(entry, BenchmarkEntry):
        fault = None if isinstance(entry.config, BenchmarkConfig) else "its config is not a BenchmarkConfig"
    elif isinstance(entry, ComponentEntry):
        if entry.load.count(":") != 1:
            fault = f'its load is {entry.load!r}; it must be "module:attribute"'
        elif not (isinstance(entry.config, type) and issubclass(entry.config, Config)):
            fault = "its config is not a subclass of dyadbench.api.Config"
    if fault:
        raise _Rejected("entries", f"{hook}, entry {entry.name!r}: {fault}")
