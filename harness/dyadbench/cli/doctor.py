"""`dyadbench doctor`: what was loaded, what went wrong, and what it means."""

from __future__ import annotations

import typer

from dyadbench.cli.common import Json, print_json, print_table
from dyadbench.records import provenance
from dyadbench.registry.host import Host


def doctor(json: Json = False) -> None:
    """Shows plugins, what went wrong while loading them, package versions and the machine. Exit 1 on problems."""
    host = Host()
    problems = [
        {"plugin": p.plugin, "distribution": p.distribution, "version": p.version, "stage": p.stage, "detail": p.detail}
        for p in host.problems
    ]
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
        print_json({"problems": problems, **facts})
    else:
        for name, value in facts.items():
            typer.echo(f"{name}: {value}")
        typer.echo("")
        if problems:
            print_table(
                ["plugin", "distribution", "stage", "what went wrong"],
                [[p["plugin"], f"{p['distribution']} {p['version']}", p["stage"], p["detail"]] for p in problems],
            )
        else:
            typer.echo("plugins: all loaded")
    if problems:
        raise typer.Exit(1)


def _compiled() -> str | dict[str, str]:
    """Scores two small clips: where the compiled metrics are kept, or what goes wrong with them."""
    import numpy as np

    try:
        from dyadbench.metrics import score_arrays
        from dyadbench.metrics.compiled import KEPT

        clips = np.random.default_rng(0).random((2, 2, 60, 25), np.float32)
        score_arrays("react2024", pred=clips, listener=clips[0], speaker=clips[1], appropriate=np.eye(2))
    except Exception as error:  # whatever it is, this is the verb that says so
        detail = f"the metrics do not run: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return {"plugin": "metrics", "distribution": "dyadbench", "version": "", "stage": "score", "detail": detail}
    return f"kept in {KEPT}" if KEPT else "compiled anew in every process, for no folder can be written"
