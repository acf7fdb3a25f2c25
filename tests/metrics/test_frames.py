"""FRRea on two folders of drawn frames, with a tiny feature extractor."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fixtures.vc_dyads import write_vc_dyads
from torchmetrics.image.fid import FrechetInceptionDistance
from typer.testing import CliRunner

from dyadbench.api import DyadbenchError
from dyadbench.cell.render import listener_motions
from dyadbench.cli import app
from dyadbench.datasets.folds import PooledDataset
from dyadbench.metrics.frames import frrea
from dyadbench.registry.host import Host


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
    rng, videos = np.random.default_rng(seed), []
    y, x = np.mgrid[:32, :32] - 16
    for _ in range(count):
        radius = rng.uniform(6, 12, (frames, 1, 1))
        colour = np.clip(rng.normal(brightness, 25, (frames, 1, 1, 3)), 0, 255)
        videos.append(((x**2 + y**2 < radius**2)[..., None] * colour).astype(np.uint8))
    return videos


def as_arrays(folder: Path, some: list[np.ndarray]) -> Path:
    folder.mkdir()
    for n, clip in enumerate(some):
        np.save(folder / f"clip{n}.npy", clip)
    return folder


def test_it_is_what_torchmetrics_gives_by_hand(tmp_path: Path, weights: Path) -> None:
    real, fake = clips(150, 0), clips(110, 1)
    score, count, reference = frrea(as_arrays(tmp_path / "f", fake), as_arrays(tmp_path / "r", real), weights, batch=5)
    by_hand = FrechetInceptionDistance(feature=Tiny())
    for side, truth in ((real, True), (fake, False)):
        every = torch.from_numpy(np.concatenate([clip[::30] for clip in side])).permute(0, 3, 1, 2)
        by_hand.update(every, real=truth)
    assert (count, reference) == (24, 24), "frames 0, 30, 60 and 90 of six clips"
    assert score == pytest.approx(float(by_hand.compute()), rel=1e-4)
    same, _, _ = frrea(tmp_path / "r", tmp_path / "r", weights)
    assert same < 1e-4 < score


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


def test_frames_behind_links_count_and_what_other_programs_leave_does_not(tmp_path: Path, weights: Path) -> None:
    real, apart = as_arrays(tmp_path / "r", clips(150, 0)), as_arrays(tmp_path / "apart", clips(110, 1))
    (linked := tmp_path / "linked").mkdir()
    (linked / "disk").symlink_to(apart)
    (linked / ".ipynb_checkpoints").mkdir()
    np.save(linked / ".ipynb_checkpoints" / "clip0.npy", np.zeros((3, 4, 4), np.uint8))
    assert frrea(linked, real, weights) == frrea(apart, real, weights)


def test_the_verb_prints_it_and_says_what_is_wrong(tmp_path: Path, weights: Path) -> None:
    real, fake = as_arrays(tmp_path / "r", clips(150, 0)), as_arrays(tmp_path / "f", clips(110, 1))
    outcome = CliRunner().invoke(app, ["realism", str(fake), "--reference", str(real), "--weights", str(weights)])
    assert outcome.exit_code == 0 and "over 24 frames against 24 real ones" in outcome.output
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


# --- a renderer of a plugin ---------------------------------------------------------------------------------

DISC = """
import numpy as np
from dyadbench.api import RendererEntry
from dyadbench.hookspecs import hookimpl
@hookimpl
def dyadbench_renderers():
    return [RendererEntry("disc", 1, "discs:Disc"), RendererEntry("flat", 1, "discs:Flat")]
class Disc:
    def __init__(self, config): pass
    def render(self, motion, space):
        y, x = np.mgrid[:32, :32] - 16
        size = 6 + 6 / (1 + np.exp(-motion[:, :1, None]))
        level = 90 + 60 * np.tanh(motion[:, 1:4].mean(1))[:, None, None]
        return np.repeat(((x**2 + y**2 < size**2) * level).astype(np.uint8)[..., None], 3, -1)
class Flat(Disc):
    def render(self, motion, space):
        return super().render(motion, space)[..., 0]
"""


@pytest.fixture
def disc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Two renderers of a plugin: one draws discs whose size and brightness are the motion's, the other forgets colour."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "discs.py").write_text(DISC)
    info = tmp_path / "discs-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: discs\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[dyadbench]\ndiscs = discs\n")
    importlib.invalidate_caches()
    return Host()


def test_a_plugins_renderer_makes_the_frames_of_predicted_motion(tmp_path: Path, weights: Path, disc: Host) -> None:
    data = write_vc_dyads(tmp_path / "clone", dyads=tuple(f"s{n}" for n in range(1, 20, 2)), frames=950)
    config = disc.get("benchmark", "vc-dyads").config
    dataset = PooledDataset(disc.build("dataset", "vc-dyads", {}, root=data))
    truth = list(listener_motions(dataset, config.split))
    longest = max(len(motion) for motion in truth)
    wrong = np.zeros((len(truth), config.samples, longest, dataset.space.dim), np.float32)
    for n, motion in enumerate(truth):
        wrong[n, :, : len(motion)] = motion + np.linspace(0.5, 1.5, config.samples)[:, None, None]
    clips = np.array([clip.id for clip in dataset.clips(config.split)])
    np.savez(tmp_path / "p.npz", clips=clips, motion=wrong, fps=np.array(dataset.space.fps))
    words = ["realism", str(tmp_path / "p.npz"), "--weights", str(weights), "-b", "vc-dyads", "--data", str(data)]
    words += ["--home", str(tmp_path / "home"), "--json", "--every", "20", "--renderer"]
    outcome = CliRunner().invoke(app, [*words, "disc"])
    assert outcome.exit_code == 0, outcome.output

    draw = disc.build("renderer", "disc", {}).render
    by_hand = FrechetInceptionDistance(feature=Tiny())
    for motions, real in ((truth, True), ([wrong[n, k, : len(m)] for n, m in enumerate(truth) for k in range(config.samples)], False)):  # fmt: skip
        pictures = np.concatenate([draw(motion[::20], dataset.space) for motion in motions])
        by_hand.update(torch.from_numpy(pictures).permute(0, 3, 1, 2), real=real)
    values = json.loads(outcome.output)
    assert values["FRRea"] == pytest.approx(float(by_hand.compute()), rel=1e-3) and values["FRRea"] > 0
    assert values["frames"] == config.samples * values["reference"]

    flat = CliRunner().invoke(app, [*words, "flat"])
    assert "renderer 'flat' of discs 0.1 failed during render" in str(flat.exception)
    none = CliRunner().invoke(app, [*words, "no-such"])
    assert "there is no renderer 'no-such'; there are: disc, flat" in str(none.exception)
