"""Finds plugins, keeps a list of their problems, and looks names up.

Each plugin is taken through import -> register -> pending check -> hooks -> validation on its own. A failure
becomes a Problem, and only that plugin is missing. (pluggy's own entry-point loader stops at the first broken plugin and
drops duplicate names without a word, which is why it is not used.)
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, overload

from pydantic import ValidationError

from dyadbench.api import (
    BenchmarkEntry,
    ComponentEntry,
    Config,
    DyadbenchError,
    Entry,
    MethodEntry,
    PredictorEntry,
    Setup,
    Suite,
)
from dyadbench.errors import Interrupted, PluginError, first_fault, nearest, one_line, place_of
from dyadbench.registry.chance import seed_everything
from dyadbench.registry.guard import Borrowed, unchanged_process
from dyadbench.registry.load import GROUP, OWN_DISTRIBUTION, Plugin, Problem, Rejected, load_plugin, origin_of
from dyadbench.registry.sources import source_hash
from dyadbench.registry.tokens import demand_tokens

ComponentKind = Literal["dataset", "tokenizer", "predictor", "suite", "renderer"]


class Host:
    """All plugins of this environment, loaded once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.plugins: list[Plugin] = []
        self._offers: dict[tuple[str, str], tuple[Entry, Plugin]] = {}
        self._clashes: dict[tuple[str, str], str] = {}
        self._warned: set[tuple[str, str]] = set()
        self._hashes: dict[str, str] = {}  # module -> hash of the code it belongs to
        disabled = {name.strip() for name in os.environ.get("DYADBENCH_DISABLE", "").split(",") if name.strip()}
        points = importlib.metadata.entry_points(group=GROUP)
        for name in sorted(disabled - {point.name for point in points}):
            instead = nearest(name, sorted({point.name for point in points}))
            self._note(
                Problem(name, "disabled", f"DYADBENCH_DISABLE names it, and there is no such plugin; {instead}"),
                fatal=False,
            )
        # Ours first, so that another plugin cannot take a built-in name; then by name, so that the order is always the same.
        for point in sorted(points, key=lambda p: (origin_of(p)[0] != OWN_DISTRIBUTION, p.name, p.value)):
            if point.name in disabled:
                self._note(
                    Problem(point.name, "disabled", "switched off by DYADBENCH_DISABLE", *origin_of(point)), fatal=False
                )
                continue
            if any(plugin.name == point.name and plugin.distribution == origin_of(point)[0] for plugin in self.plugins):
                continue  # an editable install can list its entry points twice
            try:
                plugin, faults = load_plugin(point)
            except Rejected as error:
                self._note(Problem(point.name, error.stage, str(error), *origin_of(point)))
                continue
            self.plugins.append(plugin)
            for fault in faults:
                self._note(Problem(plugin.name, "entries", fault, plugin.distribution, plugin.version))
            self._take_names(plugin)

    def _note(self, problem: Problem, *, fatal: bool = True) -> None:
        self.problems.append(problem)
        if fatal and os.environ.get("DYADBENCH_STRICT") == "1":
            raise PluginError(f"{problem} (DYADBENCH_STRICT=1)")

    def _take_names(self, plugin: Plugin) -> None:
        for kind, entries in plugin.entries.items():
            for entry in entries:
                key = (kind, entry.name)
                if (shadow := self._shadowed(kind, entry.name, plugin)) is not None:
                    self._note(Problem(plugin.name, "names", shadow, plugin.distribution, plugin.version))
                    continue
                earlier = self._offers.get(key)
                if earlier is None:
                    self._offers[key] = (entry, plugin)
                    continue
                other = earlier[1]
                both = f"{other.name!r} ({other.distribution}) and {plugin.name!r} ({plugin.distribution})"
                if other.distribution == OWN_DISTRIBUTION and plugin.distribution != OWN_DISTRIBUTION:
                    detail = f"{kind} {entry.name!r} is built in and cannot be replaced; rename it"
                else:
                    detail = f"{kind} {entry.name!r} is offered by {both}; rename or disable one"
                    self._clashes[key] = detail
                self._note(Problem(plugin.name, "names", detail, plugin.distribution, plugin.version))

    def _shadowed(self, kind: str, name: str, plugin: Plugin) -> str | None:
        """Why a method or predictor cannot have this name: a run is asked for either by name alone, and the method comes first."""
        other = {"method": "predictor", "predictor": "method"}.get(kind, "")
        offer = self._offers.get((other, name))
        if offer is None or offer[1].distribution == plugin.distribution:
            return None
        whose = offer[1].distribution
        of_whom = "is built in and cannot be replaced" if whose == OWN_DISTRIBUTION else f"is offered by {whose}"
        return f"{kind} {name!r} has the name of a {other} that {of_whom}; rename it"

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
        return [self._offers[key][0] for key in sorted(self._offers) if key[0] == kind and key not in self._clashes]

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
        """The entry. Raises DyadbenchError with the nearest names and the problems of plugins."""
        if kind == "suite":
            name = configured_suite(name)[0]
        if clash := self._clashes.get((kind, name)):
            raise DyadbenchError(clash)
        offer = self._offers.get((kind, name))
        if offer is not None:
            return offer[0]
        names = [entry.name for entry in self.entries(kind)]
        trouble = "".join(f"\n  {problem}" for problem in self.problems)
        raise DyadbenchError(
            f"there is no {kind} {name!r}; {nearest(name, names)}"
            + (f"\nProblems with plugins:{trouble}" if trouble else "")
        )

    def plugin_of(self, entry: Entry) -> tuple[str, str]:
        """(distribution, version) that an entry comes from."""
        for offer, plugin in self._offers.values():
            if offer is entry:
                return plugin.distribution, plugin.version
        raise KeyError(entry.name)

    def sources_of(self, components: Mapping[ComponentKind, str]) -> dict[str, str]:
        """The hash of the code of each component (kind -> name), as "predictor NAME" -> hash; without those of dyadbench
        itself."""
        hashes = {}
        for kind, name in components.items():
            entry, _ = self._offers.get((kind, name), (None, None))
            if not isinstance(entry, ComponentEntry):
                continue  # a dataset that is handed in and not registered
            module = entry.load.partition(":")[0]
            if module not in self._hashes:
                self._hashes[module] = source_hash(module)
            hashes[f"{kind} {name}"] = self._hashes[module]
        return {label: value for label, value in hashes.items() if value}

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
        """Validates `config` and builds the named component: `load(config, *args, **more)`.

        Raises DyadbenchError for a configuration or a tokenizer that does not fit, PluginError where the plugin fails.
        """
        entry = self.get(kind, name)
        try:
            values = config.model_dump() if isinstance(config, Config) else dict(config)
            if kind == "suite":
                values |= configured_suite(name)[1]
            settings = entry.config.model_validate(values)
        except ValidationError as error:
            raise DyadbenchError(f"configuration of {kind} {name!r}: {first_fault(error, entry.config)}") from None
        if settings.accepts is not None:
            demand_tokens(name, settings.accepts, more.get("tokenizer"))
        factory = self.load(kind, entry)
        if "tokenizer" in more and not _takes(factory, "tokenizer"):
            raise DyadbenchError(
                f"{kind} {name!r} stands on no tokens, and its method names a tokenizer; leave the tokenizer out"
            )
        for setup in args:
            if isinstance(setup, Setup):
                seed_everything(setup.seed)
        with self.blame(kind, name, "build"):
            return factory(settings, *args, **more)

    def _author(self, kind: str, name: str, error: BaseException) -> tuple[str, str]:
        """Whose code raised. A dataset may fail while a predictor reads it, which is not the predictor's fault."""
        entries: dict[str, list[tuple[str, str]]] = {}
        for (other, label), (entry, _) in self._offers.items():
            if isinstance(entry, ComponentEntry):
                entries.setdefault(entry.load.partition(":")[0], []).append((other, label))
        at_work = next((entries[module] for module in _modules(error) if module in entries), [])
        return (kind, name) if (kind, name) in at_work or not at_work else at_work[0]

    def suites(self) -> dict[str, Suite]:
        """Every suite that can be built, by name, those that benchmarks configure included.

        One that cannot be built is left out with a line on stderr.
        """
        suites: dict[str, Suite] = {}
        settings = [entry.config for entry in self.entries("benchmark")]
        configured = {
            name: None for setting in settings for name in (setting.suite, *setting.also) if name.endswith("]")
        }
        for suite in [*(entry.name for entry in self.entries("suite")), *configured]:
            try:
                suites[suite] = self.build("suite", suite, {})
            except DyadbenchError as error:
                print(f"dyadbench: {error}; its tables are left out", file=sys.stderr)
        return suites

    @contextmanager
    def blame(self, kind: str, name: str, stage: str) -> Iterator[None]:
        """Turns what a plugin raises inside into one PluginError that names the plugin. DyadbenchErrors pass unchanged.

        What it prints goes to stderr, because programs read results from stdout. Changes to the process are put back.
        """
        changes: list[str] = []
        try:
            with contextlib.redirect_stdout(Borrowed(sys.stderr)), unchanged_process() as changes:
                yield
        except (DyadbenchError, Interrupted):
            raise
        except (
            BaseException
        ) as error:  # also KeyboardInterrupt, GeneratorExit and kinds of its own: only one cell fails
            if isinstance(error, OSError):
                from dyadbench.files.atomic import WEATHER, cannot_write

                if error.errno in WEATHER:
                    raise cannot_write(error.filename or f"a file of {kind} {name!r}", error) from error
            kind, name = self._author(kind, name, error)
            distribution, version = self.plugin_of(self.get(kind, name))
            text = one_line(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, most=500)
            raise PluginError(
                f"{kind} {name!r} of {distribution} {version} failed during {stage}: {text} ({place_of(error)})"
            ) from error
        finally:
            self._warn_of(changes, kind, name)

    def _warn_of(self, changes: list[str], kind: str, name: str) -> None:
        """Warns once per plugin of the changes that were put back."""
        if changes and (kind, name) not in self._warned:
            self._warned.add((kind, name))
            distribution, version = self.plugin_of(self.get(kind, name))
            what = ", ".join(changes)
            print(
                f"dyadbench: {kind} {name!r} of {distribution} {version} changed {what}; it was put back",
                file=sys.stderr,
            )


def configured_suite(name: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The suite that a benchmark names, and how: "dyad[smile,gaze]" by groups, "dyad[smile,gaze;CCC,L2]" by metrics too.

    The whole name stands in records and tables, so that what was scored otherwise is another suite.
    """
    base, bracket, rest = name.partition("[")
    if not bracket or not rest.endswith("]"):
        return name, {}
    groups, _, metrics = rest.removesuffix("]").partition(";")
    options = {"groups": groups, "metrics": metrics}
    return base, {
        what: tuple(part.strip() for part in text.split(",")) for what, text in options.items() if text.strip()
    }


def _modules(error: BaseException) -> list[str]:
    """The modules that an exception came through, the innermost first."""
    return [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]


def _takes(factory: Any, name: str) -> bool:
    """Whether a factory can be given a keyword of this name; True where that cannot be told."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(each.name == name or each.kind is each.VAR_KEYWORD for each in parameters)
