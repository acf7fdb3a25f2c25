"""Where the leaderboards and the store lie, unless somebody says otherwise."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from dyadbench.api import DyadbenchError
from dyadbench.errors import nearest
from dyadbench.files.walk import expanded


def find_root(root: Path | None) -> Path:
    """`root`, or the nearest folder upwards that has leaderboards/, or the current folder."""
    if root is not None:
        root = expanded(root)
        if not root.is_dir():
            raise DyadbenchError(f"--root {root} is not a folder")
        return root
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "leaderboards").is_dir()), here)


def find_home(home: Path | None, root: Path) -> Path:
    """`home`, else $DYADBENCH_HOME, else .dyadbench in the root."""
    if home is not None:
        return expanded(home)
    if os.environ.get("DYADBENCH_HOME"):
        return expanded(os.environ["DYADBENCH_HOME"])
    return root / ".dyadbench"


def path_of(value: str | Path, name: str) -> Path:
    """Raises DyadbenchError where `value`, the option or argument `name`, is no path."""
    try:
        return Path(value)
    except TypeError:
        raise DyadbenchError(f"{name} is {value!r}; it must be the path of a folder") from None


def folders_of(
    data: Mapping[str, str | Path] | str | Path, datasets: Collection[str], option: str = "data"
) -> dict[str, Path]:
    """Dataset -> its folder, for the `datasets` that are read; a path alone belongs to the only one.

    Raises DyadbenchError for a name that is not read here and for a folder that does not exist.
    """
    if not isinstance(data, Mapping):
        if len(datasets) != 1:
            read = f"{', '.join(datasets)} are read" if datasets else "no dataset is read"
            raise DyadbenchError(f"{option} {str(data)!r} must say of which dataset it is, because {read}")
        data = {next(iter(datasets)): data}
    folders = {name: expanded(path_of(path, f"{option} {name}")) for name, path in data.items()}
    for name, folder in folders.items():
        if name not in datasets:
            raise DyadbenchError(
                f"{option} {name}={folder}: no dataset {name!r} is read here; {nearest(name, datasets)}"
            )
        if not folder.is_dir():
            raise DyadbenchError(f"{option} {name}: {folder} is not a folder")
    return folders
