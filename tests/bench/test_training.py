"""Speed of training: processor time per optimiser step of each learned method's tokenizer and predictor, one core.

Run `pytest tests/bench/test_training.py -s`; `-k sfms` takes one method, STEPS=40 more steps, SIZE=paper the paper's
preset and CUDA=1 a GPU, where the clock is read and the memory that was taken is printed. The steps are those of the training loop, its logging included, on random dyads of 30 s. `extra_info` has the
median milliseconds per step of each stage, and -s prints them. They are processor time, so that a busy machine changes
them less than it changes a clock; compare two versions in one run all the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.fixtures.hosts import shared_host

from dyadbench.api import Setup, Stage, TrainData
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.matrix.cells import MethodSpec, method_parts
from dyadbench.training.loop import FitOptions, fit

STEPS, SIZE = int(os.environ.get("STEPS", "20")), os.environ.get("SIZE", "small")
DEVICE = "cuda" if os.environ.get("CUDA") else "cpu"
WARM = 3  # steps that are not counted: the first ones allocate
METHODS = (
    "belfusion-online", "dense-fsq", "difflistener-online", "learning2listen", "lfi", "regnn-online", "sfms", "tcn", "trans-vae-online",
    "vqtalker-chunked",
)  # fmt: skip


class Timed:
    """A component whose stages end after `STEPS` steps, and the processor time at the end of each step."""

    def __init__(self, component: Any):
        self.component = component
        self.ends: dict[str, list[float]] = {}

    def stages(self, data: TrainData) -> Iterator[Stage]:
        for stage in self.component.stages(data):
            self.ends[stage.name] = []
            yield replace(stage, steps=STEPS, validate_every=0, select=None, patience=None)

    def report(self, text: str, done: int, total: int) -> None:
        """Called by the loop after each step."""
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter() if DEVICE == "cuda" else time.process_time()
        self.ends[next(reversed(self.ends))].append(now)

    @property
    def ms_per_step(self) -> dict[str, float]:
        return {name: 1e3 * float(np.median(np.diff(ends[WARM:]))) for name, ends in self.ends.items()}


@pytest.mark.parametrize("method", METHODS)
def test_steps_of_training(benchmark: Any, tmp_path: Path, method: str) -> None:
    torch.set_num_threads(1)
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
    host, corpus = shared_host(), TinyCorpus(frames=750)
    setup = Setup(corpus.space, corpus.audio, corpus.emotion, seed=0, device=DEVICE)
    part, under = method_parts(host, MethodSpec(name=method), default_preset=SIZE)

    def trained(kind: str, component: Any) -> Timed:
        timed = Timed(component)
        options = FitOptions(tmp_path / kind, seed=0, device=DEVICE, report=timed.report)
        fit(timed, corpus, setup.audio, options)  # type: ignore[arg-type]  # a fit asks for its stages alone
        return timed

    def both() -> dict[str, Timed]:
        parts, more = {}, {}
        if under is not None:
            more["tokenizer"] = host.build("tokenizer", under.name, under.config, setup)
            parts["tokenizer"] = trained("tokenizer", more["tokenizer"])
        parts["predictor"] = trained("predictor", host.build("predictor", part.name, part.config, setup, **more))
        return parts

    parts = benchmark.pedantic(both, rounds=1)
    for kind, timed in parts.items():
        assert timed.ends, f"the {kind} trains nothing"
        assert {len(ends) for ends in timed.ends.values()} == {STEPS}
        for stage, ms in timed.ms_per_step.items():
            benchmark.extra_info[f"{kind}, {stage}: ms per step"] = ms
            print(f"\n{method} {kind} {stage}: {ms:.1f} ms per step", end="")
    if DEVICE == "cuda":
        benchmark.extra_info["GB"] = torch.cuda.max_memory_allocated() / 1e9
        print(f"\n{method}: {benchmark.extra_info['GB']:.1f} GB", end="")
