"""What realism of motion compares windows in: principal components, as the suite does, or a trained auto-encoder.

Run `VC_DYADS=PATH pytest tests/bench/test_realism_features.py -s`: Frechet distances of reactions whose order is known, for 72
test clips, 2 samples and one draw, where the auto-encoders learn from the windows of the clips that are left. STEPS, which is
3000, and SEEDS, which is 3, say how long and how often they train. Without PATH the recordings are made up, and few.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from tests.fixtures.hosts import shared_host
from tests.fixtures.vc_dyads import write_vc_dyads
from torch import nn

from dyadbench.cell.runtime import Runtime
from dyadbench.cell.source import open_dataset, scored_dataset
from dyadbench.cell.split import Split
from dyadbench.conformance.known_order import DEGRADATIONS, KnownOrder, Reactions
from dyadbench.datasets.limit import LimitedDataset
from dyadbench.matrix.cells import PartSpec, resolve_part
from dyadbench.metrics.l2l.frechet import Moments, frechet_distance
from dyadbench.metrics.realism import COMPONENTS, Floats, Space, space_of, windows

FOLDER, STEPS, SEEDS = (
    os.environ.get("VC_DYADS"),
    int(os.environ.get("STEPS", "3000")),
    int(os.environ.get("SEEDS", "3")),
)
HIDDEN, BATCH = 256, 256


class AutoEncoder(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        layers = lambda *n: [nn.Linear(n[0], n[1]), nn.ReLU(), nn.Linear(n[1], n[2]), nn.ReLU(), nn.Linear(n[2], n[3])]  # noqa: E731
        self.encode = nn.Sequential(*layers(size, HIDDEN, HIDDEN, COMPONENTS))
        self.decode = nn.Sequential(*layers(COMPONENTS, HIDDEN, HIDDEN, size))


def trained(rows: Floats, seed: int) -> tuple[AutoEncoder, float]:
    """An auto-encoder of windows (N, F), and the share of their variance that it explains."""
    torch.manual_seed(seed)
    x = torch.from_numpy(rows).float()
    net = AutoEncoder(x.shape[1])
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(STEPS):
        batch = x[torch.randint(len(x), (BATCH,))]
        loss = (net.decode(net.encode(batch)) - batch).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        return net, 1 - float((net.decode(net.encode(x)) - x).square().mean() / (x - x.mean(0)).square().mean())


def distance(truth: Floats, other: Floats) -> float:
    return float(frechet_distance(*(Moments(side.mean(0), np.cov(side.T)) for side in (truth, other))))


def windows_of(reactions: Reactions, split: Split, space: Space) -> Floats:
    clips = zip(reactions.motion, split.lengths, strict=True)
    return np.concatenate(
        [windows(sample[:length].astype(np.float64), space) for clip, length in clips for sample in clip]
    )


def test_components_and_auto_encoders_order_reactions_alike(tmp_path: Path) -> None:
    host = shared_host()
    setting = host.get("benchmark", "vc-dyads").config
    part = resolve_part(host, "dataset", PartSpec(name=setting.dataset, config=setting.dataset_config))
    made_up = tuple(f"s{n}" for n in range(1, 20, 2))
    folder = Path(FOLDER) if FOLDER else write_vc_dyads(tmp_path / "clone", dyads=made_up, frames=950)
    dataset = scored_dataset(open_dataset(host, part, Runtime(tmp_path, {part.name: folder})), setting)
    split = Split(LimitedDataset(dataset, 72 if FOLDER else 8), setting.split)
    scored, every = {clip.id for clip in split.clips}, Split(dataset, setting.split)
    space = space_of([motion.astype(np.float64) for motion in split.listeners()[0]], dataset.space.fps)
    pairs = zip(every.clips, every.listeners()[0], strict=True)
    rest = np.concatenate(
        [windows(motion.astype(np.float64), space) for clip, motion in pairs if clip.id not in scored]
    )
    nets = [trained(rest - space.mean, seed) for seed in range(SEEDS)]

    order = KnownOrder(split, 2)
    rungs = order.ladder()
    rungs |= {
        f"{kind} {amount:g}": order.degraded(kind, amount)
        for kind in ("noise", "smoothing", "dropped")
        for amount in DEGRADATIONS[kind]
    }
    rows = {name: windows_of(reactions, split, space) - space.mean for name, reactions in rungs.items()}

    def latent(net: AutoEncoder, x: Floats) -> Floats:
        with torch.no_grad():
            return net.encode(torch.from_numpy(x).float()).double().numpy()

    print(f"\n{len(rest)} windows to learn from, explained {', '.join(f'{share:.2f}' for _, share in nets)}")
    distances = {}
    for name, x in rows.items():
        by_components = distance(rows["true"] @ space.axes, x @ space.axes)
        by_nets = [distance(latent(net, rows["true"]), latent(net, x)) for net, _ in nets]
        distances[name] = (by_components, *by_nets)
        print(f"{name:22} {by_components:9.3g}  " + " ".join(f"{value:9.3g}" for value in by_nets))
    assert all(abs(value) < 1e-6 for value in distances["true"]) and all(value > 0 for value in distances["shuffled"])
    if FOLDER:
        ladder = ("mismatched", "reversed", "averaged mismatched", "constant", "noise", "shuffled")
        for values in zip(*(distances[name] for name in ladder), strict=True):
            assert list(values) == sorted(values), "an order of docs/validity.md"
