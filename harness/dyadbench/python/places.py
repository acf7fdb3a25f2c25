"""Where the leaderboards and the store lie, unless somebody says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from dyadbench.api import DyadbenchError


def find_root(root: Path | None) -> Path:
    """`root`, or the nearest folder upwards that has leaderboards/, or the current folder."""
    if root is not None:
        root = root.expanduser()
        if not root.is_dir():
            raise DyadbenchError(f"--root {root} is not a folder")
        return root
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "leaderboards").is_dir()), here)


def find_home(home: Path | None, root: Path) -> Path:
    """`home`, else $DYADBENCH_HOME, else .dyadbench in the root."""
    if home is not None:
        return home.expanduser()
    if os.environ.get("DYADBENCH_HOME"):
        return Path(os.environ["DYADBENCH_HOME"]).expanduser()
    return root / ".dyadbench"
