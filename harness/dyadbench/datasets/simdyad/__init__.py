"""simdyad, the built-in simulated corpus: made on first use, in real layouts, read by the real adapters."""

from __future__ import annotations

from pathlib import Path

from dyadbench.api import DECA_56, FACEVERSE_58, Dataset, MotionSpace, Progress
from dyadbench.datasets.simdyad.config import SimConfig

__all__ = ["SimConfig", "ensure", "open_simdyad", "write"]


def write(folder: Path, config: SimConfig, progress: Progress | None = None) -> None:
    """Writes the corpus into `folder` in the layout that `config` names."""
    from dyadbench.datasets.simdyad.layouts import write as _write

    _write(folder, config, progress)


def ensure(config: SimConfig, cache: Path, progress: Progress | None = None) -> Path:
    """The folder of this corpus below `cache`, generated there if it is not yet; safe with several processes."""
    from dyadbench.datasets.simdyad.layouts import digest
    from dyadbench.files.atomic import cannot_write
    from dyadbench.store.lock import locked

    name = digest(config)[:16]
    folder = cache / name
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(cache, error) from None
    with locked(cache / f"{name}.lock"):
        if not folder.is_dir():
            scratch = cache / f".{name}.part"
            if scratch.exists():  # of a generation that was killed
                import shutil

                shutil.rmtree(scratch)
            write(scratch, config, progress)
            scratch.rename(folder)
    return folder


class _Simdyad:
    """api.DatasetFactory and api.KnowsShape."""

    def __call__(self, config: SimConfig, root: Path) -> Dataset:
        """The corpus through the adapter of its layout. `root` is where corpora are kept."""
        from dyadbench.progress import bar

        with bar(f"simdyad {config.preset} {config.size} ({config.layout})") as progress:
            folder = ensure(config, root, progress)
        from dyadbench.datasets.simdyad.corpora import SimulatedL2L, SimulatedReact

        return (SimulatedReact if config.layout == "react2024" else SimulatedL2L)(config, folder)

    def shape_of(self, config: SimConfig) -> tuple[MotionSpace, int]:
        from dyadbench.datasets.simdyad.layouts import WINDOW

        if config.layout == "react2024":
            return FACEVERSE_58, round(config.seconds * FACEVERSE_58.fps)
        return DECA_56, int(config.seconds * DECA_56.fps) // WINDOW * WINDOW


open_simdyad = _Simdyad()
