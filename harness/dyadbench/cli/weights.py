"""`dyadbench weights`: copies trained weights from the store into files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import Data, Group, Home, Root, Verbs, data_folders, find_home, find_root
from dyadbench.errors import number_of

app = Group(
    cls=Verbs, help="Trained weights as files: exported from the store, installed into it.", no_args_is_help=True
)
Folder = Annotated[Path | None, typer.Option(help="Where the files lie. Default: leaderboards/weights in the root.")]


@app.command()
def export(
    matrix: Annotated[Path, typer.Argument(help="A matrix file: the fits of its methods, first seeds, are exported.")],
    method: Annotated[list[str] | None, typer.Option("-m", "--method", help="Only these of its methods; repeatable.")] = None,
    folder: Folder = None,
    root: Root = None,
    home: Home = None,
    data: Data = None,
) -> None:  # fmt: skip
    """Writes the trained weights of MATRIX's methods from the store, one file per component. Trains nothing."""
    from dyadbench.cell.folds import run_of
    from dyadbench.cell.runtime import Runtime
    from dyadbench.cell.source import Source
    from dyadbench.cell.weights import export as write
    from dyadbench.matrix.cells import cells_of, read_matrix
    from dyadbench.registry.host import Host

    host, base = Host(), find_root(root)
    cells = {(cell.benchmark, cell.method): cell for cell in reversed(cells_of(host, read_matrix(matrix)))}
    if strange := [name for name in method or () if name not in {of for _, of in cells}]:
        raise DyadbenchError(f"{matrix} has no method {strange[0]!r}")
    chosen = [cell for cell in reversed(cells.values()) if not method or cell.method in method]
    folders = data_folders(data, list(dict.fromkeys(cell.dataset.name for cell in chosen)))
    runtime = Runtime(home=find_home(home, base), data=folders)
    opened: dict[str, Source] = {}
    paths: dict[Path, None] = {}
    for cell in chosen:
        key = cell.dataset.model_dump_json()
        if key not in opened:
            opened[key] = Source(host, cell.dataset, runtime)
        for part in run_of(cell, host, opened[key].runtime, opened[key].dataset).parts:
            paths |= dict.fromkeys(write(part, folder or base / "leaderboards" / "weights"))
    for path in paths:
        typer.echo(f"{path.stat().st_size / 2**20:.2f} MiB  {path}")
    typer.echo(number_of(len(paths), "file"))


@app.command()
def install(
    folder: Annotated[Path | None, typer.Argument(help="A folder of weights. Default: leaderboards/weights in the root.")] = None,
    root: Root = None,
    home: Home = None,
) -> None:  # fmt: skip
    """Copies every file of the folder into the store, under its key. A file that does not match its key is refused."""
    from dyadbench.cell.runtime import Runtime
    from dyadbench.cell.weights import SUFFIX
    from dyadbench.cell.weights import install as put
    from dyadbench.files.walk import files_in
    from dyadbench.registry.host import Host

    base = find_root(root)
    place = folder or base / "leaderboards" / "weights"
    if not place.is_dir():
        raise DyadbenchError(f"there is no folder of weights {place}; name one")
    store, host = Runtime(home=find_home(home, base)).store, Host()
    new, refused = 0, []
    files = files_in(place, SUFFIX)
    if not files:
        raise DyadbenchError(f"{place} holds no file of weights (*{SUFFIX}), which `dyadbench weights export` writes")
    for path in files:
        try:
            new += put(path, store, host)
        except DyadbenchError as error:
            refused.append(str(error))
    typer.echo(f"{new} of {len(files)} fits are new in {store.root}")
    if refused:
        raise DyadbenchError("\n".join(refused))
