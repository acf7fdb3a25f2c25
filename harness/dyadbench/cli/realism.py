"""`dyadbench realism`: FRRea of rendered frames, with the user's own renderer and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyadbench.cli.common import Json, print_json


def realism(
    frames: Annotated[Path, typer.Argument(help="Rendered predictions: pictures, or a folder or .npy array per clip.")],
    reference: Annotated[Path, typer.Option(help="The real listeners' frames, laid out alike.")],
    weights: Annotated[
        Path, typer.Option(help="A TorchScript feature extractor, or torch-fidelity's Inception state.")
    ],
    every: Annotated[int, typer.Option(min=1, help="Compare every so many frames of a clip; the challenge: 30.")] = 30,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at once. Never changes a number.")] = 32,
    json: Json = False,
) -> None:
    """FRRea: the Frechet inception distance of rendered faces to real ones. Less is better."""
    from dyadbench.metrics.frames import frrea

    value, count, real = frrea(frames, reference, weights, every=every, batch=batch)
    if json:
        print_json({"FRRea": value, "frames": count, "reference": real})
    else:
        typer.echo(f"FRRea {value:.4f} over {count} frames against {real} real ones")
