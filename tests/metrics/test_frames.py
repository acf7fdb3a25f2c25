"""FRRea on two folders of drawn frames, with a tiny feature extractor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance
from typer.testing import CliRunner

from dyadbench.api import DyadbenchError
from dyadbench.cli import app
from dyadbench.metrics.frames import frrea


class Tiny(torch.nn.Module):
    """Mean colour of the four quarters of a picture, and their squares."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.adaptive_avg_pool2d(pictures.float() / 255, 2).flatten(1)
        return torch.cat([small, small**2], 1)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.pt"
    torch.jit.script(Tiny()).save(str(path))
    return path


def clips(brightness: float, seed: int, frames: int = 95, count: int = 6) -> list[np.ndarray]:
    """Faces drawn as a bright disc on a dark ground, whose size and colour vary."""
    rng, made = np.random.default_rng(seed), []
    y, x = np.mgrid[:32, :32] - 16
    for _ in range(count):
        radius = rng.uniform(6, 12, (frames, 1, 1))
        colour = np.clip(rng.normal(brightness, 25, (frames, 1, 1, 3)), 0, 255)
        made.append(((x**2 + y**2 < radius**2)[..., None] * colour).astype(np.uint8))
    return made


def as_arrays(folder: Path, some: list[np.ndarray]) -> Path:
    folder.mkdir()
    for n, clip in enumerate(some):
        np.save(folder / f"clip{n}.npy", clip)
    return folder


def test_it_is_what_torchmetrics_gives_by_hand(tmp_path: Path, weights: Path) -> None:
    real, fake = clips(150, 0), clips(110, 1)
    found, count, reference = frrea(as_arrays(tmp_path / "f", fake), as_arrays(tmp_path / "r", real), weights, batch=5)
    by_hand = FrechetInceptionDistance(feature=Tiny())
    for side, truth in ((real, True), (fake, False)):
        every = torch.from_numpy(np.concatenate([clip[::30] for clip in side])).permute(0, 3, 1, 2)
        by_hand.update(every, real=truth)
    assert (count, reference) == (24, 24), "frames 0, 30, 60 and 90 of six clips"
    assert found == pytest.approx(float(by_hand.compute()), rel=1e-4)
    same, _, _ = frrea(tmp_path / "r", tmp_path / "r", weights)
    assert same < 1e-4 < found


def test_pictures_and_arrays_are_the_same_frames(tmp_path: Path, weights: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    some = clips(120, 2, frames=12, count=2)
    for n, clip in enumerate(some):
        (tmp_path / "p" / f"clip{n}").mkdir(parents=True)
        for t, frame in enumerate(clip):
            image.fromarray(frame).save(tmp_path / "p" / f"clip{n}" / f"{t}.png")  # 10.png comes after 2.png
    real = as_arrays(tmp_path / "r", clips(150, 0))
    arrays = as_arrays(tmp_path / "a", some)
    assert frrea(tmp_path / "p", real, weights, every=5) == pytest.approx(frrea(arrays, real, weights, every=5))


def test_the_verb_prints_it_and_says_what_is_wrong(tmp_path: Path, weights: Path) -> None:
    real, fake = as_arrays(tmp_path / "r", clips(150, 0)), as_arrays(tmp_path / "f", clips(110, 1))
    told = CliRunner().invoke(app, ["realism", str(fake), "--reference", str(real), "--weights", str(weights)])
    assert told.exit_code == 0 and "over 24 frames against 24 real ones" in told.output
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.pt").write_bytes(b"no network")
    np.save(tmp_path / "empty" / "x.npy", np.zeros((3, 4, 4), np.uint8))
    for arguments, sentence in (
        ((tmp_path / "nowhere", real, weights), "no folder of frames"),
        ((fake, real, tmp_path / "bad.pt"), "no TorchScript file"),
        ((fake, real, tmp_path / "none.pt"), "no file of weights"),
        ((tmp_path / "empty", real, weights), "(frames, height, width, 3) are needed"),
    ):
        with pytest.raises(DyadbenchError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
            frrea(*arguments)
    with pytest.raises(DyadbenchError, match="needs two at least"):
        frrea(as_arrays(tmp_path / "one", clips(1, 1, frames=3, count=1)), real, weights)
