"""`dyadbench realism`: FRRea of rendered frames, with the user's own renderer and weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import Data, Home, Json, Root, data_folders, find_home, find_root, print_json, refuse_unused


def realism(
    frames: Annotated[Path, typer.Argument(help="Rendered predictions: pictures, or a folder or .npy array per clip. With --renderer: a file of predicted motion.")],
    weights: Annotated[Path, typer.Option(help="A TorchScript feature extractor, or torch-fidelity's Inception state.")],
    reference: Annotated[Path | None, typer.Option(help="The real listeners' frames, laid out alike. With --renderer they may be left out: the true listeners are rendered.")] = None,
    renderer: Annotated[str | None, typer.Option(help="A plugin's renderer, which makes the pictures (`dyadbench list renderers`).")] = None,
    benchmark: Annotated[str | None, typer.Option("-b", "--benchmark", help="With --renderer: whose clips were predicted.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Compare every N-th frame of a clip. The challenge uses 30.")] = 30,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at once. Never changes a number.")] = 32,
    root: Root = None,
    home: Home = None,
    data: Data = None,
    json: Json = False,
) -> None:  # fmt: skip
    """FRRea: the Frechet inception distance of rendered faces to real ones. Less is better."""
    from dyadbench.metrics.frames import frrea

    if renderer is None:
        refuse_unused(
            {"--benchmark": benchmark, "--root": root, "--home": home, "--data": data},
            "it needs a --renderer, which alone asks for a benchmark's data",
        )
    if renderer is not None:
        if benchmark is None:
            raise DyadbenchError("--renderer makes pictures of the predictions for a benchmark: say which, -b NAME")
        value, count, real = _rendered(frames, weights, reference, renderer, benchmark, every, batch, root, home, data)
    elif reference is None:
        raise DyadbenchError("say which frames are real: --reference FOLDER (or --renderer NAME, to render both sides)")
    else:
        value, count, real = frrea(frames, reference, weights, every=every, batch=batch)
    if json:
        print_json({"FRRea": value, "frames": count, "reference": real})
    else:
        typer.echo(f"FRRea {value:.4f} over {count} frames against {real} real ones")


def _rendered(
    file: Path, weights: Path, reference: Path | None, name: str, benchmark: str, every: int, batch: int,
    root: Path | None, home: Path | None, data: list[str] | None,
) -> tuple[float, int, int]:  # fmt: skip
    """FRRea of a file of motion, rendered by a plugin, against frames or the true listeners, rendered likewise."""
    from dyadbench.cell.render import listener_motions, predicted_motions, rendered
    from dyadbench.cell.runtime import Runtime
    from dyadbench.cell.source import open_dataset, scored_dataset
    from dyadbench.files.predictions import read_predictions
    from dyadbench.matrix.cells import evaluated
    from dyadbench.metrics.frames import frames_of, frrea_of
    from dyadbench.registry.host import Host

    host, predictions = Host(), read_predictions(file)
    renderer = host.build("renderer", name, {})
    _, setting, part = evaluated(host, benchmark, {})
    runtime = Runtime(home=find_home(home, find_root(root)), data=data_folders(data, [part.name]))
    dataset = scored_dataset(open_dataset(host, part, runtime), setting)

    def pictures_of(motions: Iterator[Any]) -> Iterator[Any]:  # of (T, D)
        return rendered(host, name, renderer, motions, dataset.space, every)

    fake = pictures_of(predicted_motions(dataset, setting.split, setting.samples, predictions))
    real = frames_of(reference, every) if reference else pictures_of(listener_motions(dataset, setting.split))
    return frrea_of(fake, real, weights, batch=batch, names=(str(file), str(reference or "the true listeners")))
