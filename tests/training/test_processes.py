"""Several processes on one fit, under torchrun with gloo: the weights of one process, up to float order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.fixtures.components import SPECS, Corpus, Toy

from dyadbench.api import DyadbenchError, Loss, WindowBatch
from dyadbench.training.loop import FitOptions, fit
from dyadbench.training.processes import SOLO, join

ROOT = Path(__file__).parents[2]

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np, torch
sys.path.insert(0, {root!r})
from tests.training.test_processes import toy
from tests.fixtures.components import SPECS, Corpus
from dyadbench.python.arrays import score_arrays
from dyadbench.python.torch_metrics import SuiteMetric
from dyadbench.training.loop import FitOptions, fit
from dyadbench.training.processes import join

world, folder = join("cpu", 2), Path(sys.argv[1])
module = toy()
fit(module, Corpus(), SPECS, FitOptions(folder=folder / "fit", seed=3, checkpoint_every=5, world=world))

rng = np.random.default_rng(0)
pred, listener, speaker = rng.random((5, 2, 60, 25)), rng.random((5, 60, 25)), rng.random((5, 60, 25))
references = dict(listener=listener, speaker=speaker, appropriate=np.eye(5, dtype=bool))
metric = SuiteMetric("react2024", **references)
rows = [[0, 2, 4], [1, 3, 0]][world.rank]  # clip 0 comes twice, as a padded sampler has it
metric.update(torch.from_numpy(pred[rows]), torch.tensor(rows))
found = metric.compute()
alone = score_arrays("react2024", pred=pred, **references)
out = {{"same_weights": [float(v.sum()) for v in module.state_dict().values()],
       "metric": all(found[n] == v or v != v for n, v in alone.items())}}
metric.reset()
if world.rank == 0:  # the other one is given no clip at all
    metric.update(torch.from_numpy(pred), torch.arange(5))
once = metric.compute()
out["metric"] &= all(once[n] == v or v != v for n, v in alone.items())
(folder / f"rank{{world.rank}}.json").write_text(json.dumps(out))
world.wait()
"""


class Drawing(Toy):
    """Hides a part of each row and, in some batches, all of the bias."""

    def loss(self, batch: WindowBatch) -> Loss:
        mask = batch.draw_rows(torch.rand, 1, 4) < 0.7
        shift = batch.draw_rows(partial(torch.randint, 3), 1, 1)
        error = self.map(batch.speaker_motion * mask + shift) - batch.listener_motion
        both = super().loss(batch).total
        hidden = float(torch.rand((), generator=batch.generator)) < 0.5
        return Loss({"map": error.pow(2).mean(), "bias": both["bias"] * hidden})


def toy() -> Toy:
    """Without dropout, which each process draws for itself; with five rows, which two processes cannot halve."""
    torch.manual_seed(0)
    model = Drawing(select="loss", validate_every=4)
    model.drop.p = 0.0
    model.batch = 5
    return model


def test_two_processes_fit_as_one_and_score_each_clip_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT)))
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script), str(tmp_path)]
    process = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    assert process.returncode == 0, process.stderr
    alone = toy()
    fit(alone, Corpus(), SPECS, FitOptions(folder=tmp_path / "alone", seed=3, checkpoint_every=5))
    one, two = (load_file(tmp_path / name / "first" / "weights.safetensors") for name in ("alone", "fit"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6)
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert ranks[0] == ranks[1], "both processes end with the same weights"
    assert ranks[0]["metric"], "a clip that came twice counts once"
    rows = [
        json.loads(line)["step"] for line in (tmp_path / "fit" / "first" / "metrics.jsonl").read_text().splitlines()
    ]
    assert rows == sorted(rows), "only the first process writes"


def test_processes_that_nobody_started_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert join("cpu", 1) is SOLO
    with pytest.raises(DyadbenchError, match=r"expected 2 processes, but 1 started; use torchrun"):
        join("cpu", 2)
