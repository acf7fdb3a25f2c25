"""`dyadbench show NAME`: what there is to know of any entry, benchmark or metric."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from dyadbench.api import ComponentEntry, DyadbenchError, Entry, MethodEntry
from dyadbench.cli.common import Json, Root, find_root, print_json
from dyadbench.cli.show_reaction import reaction_lines
from dyadbench.cli.show_scores import about_benchmark, about_metric, about_suite, metric_ids
from dyadbench.errors import nearest, one_line
from dyadbench.registry.fields import fields_of
from dyadbench.registry.host import Host
from dyadbench.registry.load import KINDS

Facts = dict[str, Any]


def show(
    name: Annotated[str, typer.Argument(help="A name that `dyadbench list` or `dyadbench list metrics` prints.")],
    root: Root = None,
    json: Json = False,
) -> None:
    """Shows what a method, benchmark, metric or any other entry is, and which fields it has."""
    host = Host()
    entries = [_about(host, kind, entry) for kind in KINDS for entry in host.entries(kind) if entry.name == name]
    entries += about_metric(host, name, find_root(root))
    if not entries:
        names = [entry.name for kind in KINDS for entry in host.entries(kind)] + metric_ids(host)
        raise DyadbenchError(f"nothing is called {name!r}; {nearest(name, names)}")
    if json:
        print_json(entries)
        return
    for facts in entries:
        typer.echo(_text(facts, shutil.get_terminal_size().columns))


def _about(host: Host, kind: str, entry: Entry) -> Facts:
    distribution, version = host.plugin_of(entry)
    facts: Facts = {"kind": kind, "name": entry.name, "version": entry.version, "plugin": f"{distribution} {version}"}
    for what in ("summary", "cite"):
        if value := getattr(entry, what, ""):
            facts[{"summary": "what", "cite": "paper"}[what]] = value
    if isinstance(entry, MethodEntry):
        parts = {"tokenizer": entry.tokenizer, "predictor": entry.predictor}
        facts |= {part: name for part, name in parts.items() if name}
        for part, name in parts.items():
            if name:
                facts |= {
                    f"{part} {what}": value for what, value in _component(host, part, host.get(part, name)).items()
                }
    elif isinstance(entry, ComponentEntry):
        facts |= _component(host, kind, entry)
    if kind == "suite":
        facts |= about_suite(host, entry.name)
    if kind == "benchmark":
        facts |= about_benchmark(host, entry.name)
    if kind == "method" or (kind == "predictor" and "stands on" not in facts):
        facts |= _needs(host, entry.name)
    return facts


def _component(host: Host, kind: str, entry: ComponentEntry) -> Facts:
    module, _, attribute = entry.load.partition(":")
    facts: Facts = {"source": f"{_file_of(module)} ({attribute})"}
    if kind == "predictor":
        flags = {"calibration": "a reference row, never ranked", "deterministic": "one seed is all there is to know"}
        if true := [text for flag, text in flags.items() if getattr(entry, flag, False)]:
            facts["is"] = "; ".join(true)
        if accepts := entry.config.model_construct().accepts:
            facts["stands on"] = _accepted(accepts)
    if entry.presets:
        facts["presets"] = ", ".join(entry.presets)
    if entry.config.sampling:
        facts["read when sampling only"] = ", ".join(sorted(entry.config.sampling))
    if kind == "dataset" and entry.config.adjustable:
        facts["leave a benchmark its name"] = ", ".join(sorted(entry.config.adjustable))
    facts["fields"] = [dataclasses.asdict(each) for each in fields_of(entry.config, entry.presets)]
    return facts


def _accepted(accepts: Any) -> str:
    most = "" if accepts.most is None else f" to {accepts.most}"
    kinds = [what for what, yes in (("sparse tokens, too", accepts.sparse), ("grids, too", accepts.grid)) if yes]
    such = f"such as {', '.join(accepts.such_as)}" if accepts.such_as else ""
    return "; ".join(
        filter(None, [f"a tokenizer of {accepts.least}{most or ' or more'} frames per token", *kinds, such])
    )


def _needs(host: Host, name: str) -> Facts:
    """What a predictor says that it needs: asked of one that is built for a made-up dataset."""
    from dyadbench.conformance.checks import built_on_made_up_data

    try:
        needs = built_on_made_up_data(name, host).needs
    except Exception as error:  # of whoever's code: what is shown must not depend on it
        return {"needs": f"unknown, for it cannot be built on made-up data: {one_line(error, 200)}"}
    parts = ["the speaker's face"] if needs.face else []
    parts += [f"the audio feature {feature}" for feature in needs.audio]
    parts += [f"the listener's {what}" for what in needs.two_sided]
    labels = {"words": "words", "truth": "the true listener", "fresh": "listeners that are drawn again"}
    parts += [text for what, text in labels.items() if getattr(needs, what)]
    ahead = "the whole clip" if needs.lookahead is None else f"{needs.lookahead} frames"
    return {"needs": f"{', '.join(parts) or 'nothing'}; declared look-ahead: {ahead}"}


def _file_of(module: str) -> str:
    """Where a module lies. Its packages are imported for that, it is not."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin:
        return f"{module}, which is not there"
    path = Path(spec.origin)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


# --- as text ------------------------------------------------------------------------------------------------


def _text(facts: Facts, width: int) -> str:
    """One fact per line, wrapped; fields, columns and texts of several lines below their names."""
    title = f"{facts['name']} ({facts['kind']}, version {facts['version']})" if "version" in facts else facts["name"]
    lines = [title]
    for name, value in facts.items():
        if name in ("name", "kind", "version"):
            continue
        if name.endswith("fields"):
            kind = name.partition(" ")[0] if " " in name else facts["kind"]
            lines.append(f"  {name}{_how_to_set(kind, facts)}:" if value else f"  {name}: nothing can be set")
            lines += [line for each in value for line in _field_lines(each, width)]
        elif name == "reaction":
            lines.append("  a reaction:")
            lines += [line for each in reaction_lines(value) for line in _wrapped(each, width, 4)]
        elif isinstance(value, list):
            lines.append(f"  {name}:")
            lines += [line for each in value for line in _wrapped(str(each), width, 4)]
        elif "\n" in str(value):
            lines += [f"  {name}:", textwrap.indent(str(value), "    ")]
        else:
            lines += _wrapped(f"{name}: {value}", width, 2)
    return "\n".join(lines) + "\n"


def _how_to_set(kind: str, facts: Facts) -> str:
    if kind == "dataset":
        return ", set with --data-set FIELD=VALUE"
    if kind not in ("predictor", "tokenizer"):
        return ""
    on_tokens = "tokenizer" in facts or "stands on" in facts or kind == "tokenizer"
    return f", set with -s {f'{kind}.' if on_tokens else ''}FIELD=VALUE"


def _field_lines(each: Facts, width: int) -> list[str]:
    default = "must be given" if each["required"] else f"{_value(each['default'])}"
    presets = ", ".join(f"{preset} {_value(value)}" for preset, value in each["presets"].items())
    head = f"{each['name']}: {each['type']} = {default}" + (f" ({presets})" if presets else "")
    return _wrapped(head, width, 4) + (_wrapped(each["meaning"], width, 8) if each["meaning"] else [])


def _value(value: Any) -> str:
    return "none" if value is None else str(value)


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    return textwrap.wrap(  # names and commands are copied from here, so none is broken at a hyphen
        text, max(width, 40), initial_indent=" " * indent, subsequent_indent=" " * (indent + 2),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
