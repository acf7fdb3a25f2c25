"""`dyadbench doctor`: which plugins were loaded, their problems, and what these mean."""

from __future__ import annotations

import difflib
import importlib.metadata
from typing import Any

import typer

from dyadbench.cli.common import Json, print_json, print_table
from dyadbench.errors import one_line
from dyadbench.records import provenance
from dyadbench.registry.host import Host
from dyadbench.registry.load import GROUP


def doctor(json: Json = False) -> None:
    """Shows plugins and their problems, package versions and the machine. Exit 1 on problems."""
    host = Host()
    problems: list[dict[str, Any]] = [
        {"plugin": p.plugin, "distribution": p.distribution, "version": p.version, "stage": p.stage, "detail": p.detail}
        for p in host.problems
    ]
    problems += [
        {"plugin": name, "distribution": "", "version": "", "stage": "entry points",
         "detail": f"its entry point is in the group {group!r}; plugins are looked for in {GROUP!r}"}
        for name, group in misplaced_entry_points()
    ]  # fmt: skip
    plugins: list[dict[str, Any]] = [
        {"plugin": p.name, "distribution": p.distribution, "version": p.version, "seconds": round(p.seconds, 3), "heavy": list(p.heavy),
         "offers": {kind: len(entries) for kind, entries in p.entries.items() if entries}}
        for p in host.plugins
    ]  # fmt: skip
    compiled = _compiled()
    if isinstance(compiled, dict):
        problems.append(compiled)
    facts = {
        "compiled metrics": compiled if isinstance(compiled, str) else "fail, see below",
        "git": provenance.project_commit(),
        "packages": provenance.packages(),
        "hardware": provenance.hardware(),
    }
    if json:
        print_json({"problems": problems, "plugins": plugins, **facts})
    else:
        _print(facts, plugins, problems)
    if problems:
        raise typer.Exit(1)


def _print(facts: dict[str, Any], plugins: list[dict[str, Any]], problems: list[dict[str, Any]]) -> None:
    for name, value in facts.items():
        typer.echo(f"{name}: {value}")
    typer.echo("")
    print_table(
        ["plugin", "distribution", "import", "offers"],
        [[p["plugin"], f"{p['distribution']} {p['version']}", f"{p['seconds']:.2f} s",
          ", ".join(f"{count} {kind}s" for kind, count in p["offers"].items()) or "nothing"] for p in plugins],
    )  # fmt: skip
    for p in plugins:
        if p["heavy"]:
            typer.echo(
                f"{p['plugin']} imports {', '.join(p['heavy'])} when it is loaded ({p['seconds']:.1f} s), and every command "
                "waits for it; import it where it is used"
            )
    typer.echo("")
    if problems:
        print_table(
            ["plugin", "distribution", "stage", "what went wrong"],
            [[p["plugin"], f"{p['distribution']} {p['version']}", p["stage"], p["detail"]] for p in problems],
        )
    else:
        typer.echo("plugins: all loaded")


def _compiled() -> str | dict[str, str]:
    """Scores two small clips and returns where the compiled metrics are cached, or why they fail."""
    import numpy as np

    try:
        from dyadbench import score_arrays
        from dyadbench.metrics.compiled import CACHE

        clips = np.random.default_rng(0).random((2, 2, 60, 25), np.float32)
        score_arrays("react2024", pred=clips, listener=clips[0], speaker=clips[1], appropriate=np.eye(2))
    except Exception as error:  # whatever it is, this is the verb that says so
        detail = f"the metrics do not run: {type(error).__name__}: {one_line(error, 200)}"
        return {"plugin": "metrics", "distribution": "dyadbench", "version": "", "stage": "score", "detail": detail}
    return f"kept in {CACHE}" if CACHE else "compiled again in every process, for no folder can be written"


def misplaced_entry_points() -> list[tuple[str, str]]:
    """(entry point, group) of what was probably meant for the group `dyadbench`, where plugins are looked for."""
    misplaced = []
    for group in importlib.metadata.entry_points().groups:
        near = GROUP in group.lower() or difflib.get_close_matches(group.lower(), [GROUP], cutoff=0.8)
        if near and group != GROUP:
            misplaced += [(point.name, group) for point in importlib.metadata.entry_points(group=group)]
    return misplaced
