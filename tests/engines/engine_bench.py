"""A plugin whose cells take long enough to be interrupted and say what they did, in a store of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BENCHMARK = "simdyad-clear-l2l"
CLIPS, BATCH = 16, 2
PATIENCE = 900  # seconds before a test that hangs is a failure; machines may be loaded
PLUGIN = '''
import os, time
from dyadbench.api import Config, PredictorEntry, Needs, Reaction
from dyadbench.hookspecs import hookimpl

class SlowConfig(Config):
    pass

def note(*words):
    with open(os.environ["JOURNAL"], "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

class Slow:
    """Noise beside the speaker, at a pace; writes down every fit and every batch."""
    needs = Needs(lookahead=0)

    def __init__(self, config, setup):
        self.seed, self.scale, self.batches = setup.seed, None, 0

    def fit(self, data):
        note("fit", self.seed, os.getpid())
        self.scale = 0.1 * (1 + self.seed)

    def state_dict(self):
        import numpy as np
        return {"scale": np.array([self.scale])}

    def load_state_dict(self, state):
        self.scale = float(state["scale"][0])

    def sample(self, context, k, noise):
        if k > 2:  # not the measurements of repeatability and look-ahead
            note("sample", self.seed, os.getpid(), *context.clips)
            time.sleep(float(os.environ.get("PACE", "0")))
            self.batches += 1
            while self.batches > 1 and os.path.exists(os.environ["JOURNAL"] + ".gate"):
                time.sleep(0.05)
        motion = context.speaker_motion[:, None].repeat(k, 1)
        for row, clip in enumerate(context.clips):
            for s in range(k):
                motion[row, s] += self.scale * noise.stream(clip, s).standard_normal(motion.shape[-1])
        return Reaction(motion)

@hookimpl
def dyadbench_predictors():
    return [PredictorEntry("slow", 1, "slow_plugin:Slow", SlowConfig, "takes its time")]
'''


@dataclass
class Bench:
    """A store, a root, and the command."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def gate(self) -> Path:
        """While there is such a file, no process gets past its second batch: how far each is, is not a matter of time."""
        return self.folder / "journal.gate"

    @property
    def journal(self) -> list[list[str]]:
        path = self.folder / "journal"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def batches(self, seed: int) -> list[list[str]]:
        return [row[3:] for row in self.journal if row[:2] == ["sample", str(seed)]]

    def pids(self, seed: int) -> list[int]:
        return [int(row[2]) for row in self.journal if row[:2] == ["sample", str(seed)]]

    def matrix(self, seeds: int, *, more: str = "") -> Path:
        path = self.folder / "matrix.toml"
        path.write_text(
            f'benchmarks = ["{BENCHMARK}"]\nseeds = {list(range(seeds))}\n{more}\n'
            f'[datasets.{BENCHMARK}]\nsize = "tiny"\n[[method]]\nname = "slow"\n'
        )
        return path

    def start(self, *words: Any, pace: float = 0.0) -> subprocess.Popen[str]:
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "JOURNAL": str(self.folder / "journal"),
            "PACE": str(pace),
            "PYTHONPATH": str(self.folder.parent / "plugin"),
            **self.environment,
        }
        threads = [] if "slurm" in words else ["--threads", 1]
        common = ["--root", self.folder, "--home", self.folder / "home", *threads, "--batch", BATCH]
        code = "import sys; from dyadbench.cli import main; sys.exit(main())"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "run", *map(str, words), *map(str, common)],
            cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, *words: Any, code: int = 0, **how: Any) -> str:
        process = self.start(*words, **how)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, f"{words}\n{out}\n{err}"
        return out + err

    def scores(self) -> dict[str, Any]:
        """By seed, what may not depend on where a cell ran."""
        scores = {}
        for path in sorted((self.folder / "leaderboards" / "records").rglob("*.json")):
            record = json.loads(path.read_text())
            scores[path.name] = {k: v for k, v in record.items() if k not in ("measured", "provenance")}
        return scores

    def left_behind(self) -> list[Path]:
        names = ("lock", "claim.json", "*.tmp", ".claim.json.*")
        return [path for name in names for path in (self.folder / "home" / "store").rglob(name)]

    def jobs(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in (self.folder / "home" / "store" / "submit").rglob("job.json")]


def until(true: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Waits for it; fails with `what` if it never comes."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.1)
    return value
