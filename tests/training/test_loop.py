"""The fit loop: deterministic, resumable to the bit, selective, and loud about NaN."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.fixtures.components import SPECS, Corpus, Toy

from dyadbench.api import Loss, WindowBatch, Windows
from dyadbench.training.demand import NonFiniteLoss
from dyadbench.training.loop import FitOptions, fit
from dyadbench.training.validation import Validation
from dyadbench.training.windows import WindowSource


def _fit(toy: Toy, folder: Path, **how: object) -> dict[str, torch.Tensor]:
    fit(toy, Corpus(), SPECS, FitOptions(folder=folder, seed=3, **how))  # type: ignore[arg-type]
    return {name: value.clone() for name, value in toy.state_dict().items()}


def _toy(**options: object) -> Toy:
    torch.manual_seed(0)
    return Toy(**options)  # type: ignore[arg-type]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"select": "loss", "validate_every": 3}, {"accumulate": 2}])
def test_killed_run_resumes_to_the_same_weights_bit_for_bit(tmp_path: Path, options: dict[str, object]) -> None:
    whole = _fit(_toy(**options), tmp_path / "whole", checkpoint_every=5)

    def kill(stage: str, done: int, total: int) -> None:
        if done == 8:
            raise Killed

    with pytest.raises(Killed):
        _fit(_toy(**options), tmp_path / "cut", checkpoint_every=5, report=kill)
    resumed = _toy(**options)
    again = _fit(resumed, tmp_path / "cut", checkpoint_every=5)
    steps = {batch.step for batch in resumed.batches if batch.step >= 0}
    assert min(steps) == 5, "training must go on from the checkpoint, not from the start"
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    rows = [
        json.loads(line)["step"] for line in (tmp_path / "cut" / "first" / "metrics.jsonl").read_text().splitlines()
    ]
    assert rows == sorted(rows)


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    weights = _fit(_toy(), tmp_path)
    second = _toy()
    again = _fit(second, tmp_path)
    assert not second.batches and not second.training, "a later stage may look through it, without dropout"
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_each_optimiser_follows_its_own_loss_only(tmp_path: Path) -> None:
    class Tangled(Toy):
        def loss(self, batch: WindowBatch) -> Loss:
            inner = super().loss(batch).total
            return Loss({"map": inner["map"] + 100 * self.bias.sum(), "bias": inner["bias"]})

    torch.manual_seed(0)
    tangled = _fit(Tangled(), tmp_path / "tangled")
    assert torch.equal(tangled["bias"], _fit(_toy(), tmp_path / "plain")["bias"])


def test_selection_keeps_the_best_validated_weights_and_patience_stops(tmp_path: Path) -> None:
    class Worsening(Toy):
        def validate(self, batch: WindowBatch) -> dict[str, float]:
            return {"drift": float((self.map.weight - self.start).abs().sum())}

    torch.manual_seed(0)
    toy = Worsening(steps=30, select="drift", validate_every=2, patience=3)
    toy.start = toy.map.weight.detach().clone()
    toy.options["validate"] = toy.validate
    _fit(toy, tmp_path)
    summary = json.loads((tmp_path / "first" / "summary.json").read_text())
    assert summary["best_step"] == 2
    assert summary["steps"] == 8
    rows = [json.loads(line) for line in (tmp_path / "first" / "metrics.jsonl").read_text().splitlines()]
    drift = {row["step"]: row["val/drift"] for row in rows if "val/drift" in row}
    assert summary["validation"] == {"drift": drift[2]}, "of the weights that are kept"
    assert drift[2] < drift[8]


def test_nan_loss_names_the_clips_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    class Breaking(Toy):
        def loss(self, batch: WindowBatch) -> Loss:
            loss = super().loss(batch)
            return Loss({**loss.total, "map": loss.total["map"] * (float("nan") if batch.step == 7 else 1.0)})

    torch.manual_seed(0)
    with pytest.raises(NonFiniteLoss, match=r"step 7.*train\d"):
        _fit(Breaking(), tmp_path, checkpoint_every=5)
    assert (tmp_path / "first" / "checkpoint.safetensors").exists()


def test_windows_cut_face_and_audio_at_the_same_place(tmp_path: Path) -> None:
    toy = _toy(steps=1)
    _fit(toy, tmp_path)
    batch, by_id = toy.batches[0], {d.clip.id: d for d in Corpus().dyads("train", ("tone",))}
    for row, clip in enumerate(batch.clips):
        dyad = by_id[clip]
        starts = [
            s for s in range(25) if np.array_equal(dyad.speaker.motion[s : s + 16], batch.speaker_motion[row].numpy())
        ]
        assert starts == [batch.starts[row]]
        assert np.array_equal(
            dyad.speaker.audio["tone"][2 * starts[0] : 2 * starts[0] + 32], batch.audio["tone"][row].numpy()
        )


def test_short_clips_are_padded_and_marked(tmp_path: Path) -> None:
    toy = _toy(steps=1)
    fit(toy, Corpus(frames=10), SPECS, FitOptions(folder=tmp_path, seed=0))
    assert toy.batches[0].valid[:, :10].all()
    assert not toy.batches[0].valid[:, 10:].any()


def test_a_method_that_follows_the_face_gains_by_the_face_and_not_by_the_sound(tmp_path: Path) -> None:
    toy = _toy(steps=60)
    facts = fit(toy, Corpus(), SPECS, FitOptions(folder=tmp_path, seed=3, speaker_gain=True))["first"]
    assert facts["speaker_gain"] > 0.3, "a stranger's face leads to another listener"
    assert facts["speaker_gain.face"] == pytest.approx(facts["speaker_gain"], rel=0.2)
    assert abs(facts["speaker_gain.sound"]) < 0.05 * facts["speaker_gain"], "the listener follows no sound here"


class Deaf(Toy):
    """Learns the mean listener and hears nobody."""

    def loss(self, batch: WindowBatch) -> Loss:
        error = self.map(torch.ones(4)) - batch.listener_motion
        return Loss({"map": error.pow(2).mean(), "bias": self.bias.pow(2).mean()})


def test_a_deaf_method_gains_nothing(tmp_path: Path) -> None:
    facts = fit(Deaf(steps=3), Corpus(), SPECS, FitOptions(folder=tmp_path, seed=3, speaker_gain=True))["first"]
    assert {facts[name] for name in facts if name.startswith("speaker_gain")} == {0.0}


def test_a_validation_of_few_windows_sees_every_conversation() -> None:
    source = WindowSource(Corpus(), "val", ("tone",), SPECS)
    every, three = (
        [clip for batch in source.sweep(Windows(16, 1, ("tone",)), torch.device("cpu"), limit) for clip in batch.clips]
        for limit in (8, 3)
    )
    assert len(every) == 6, "two clips of each of three sessions"
    assert three == [every[0], every[2], every[5]]


def test_a_stranger_is_of_another_session_and_comes_with_face_or_sound_alone() -> None:
    source = WindowSource(Corpus(), "val", ("tone",), SPECS)
    windows, cpu = Windows(16, 4, ("tone",)), torch.device("cpu")
    own, face, both = (
        list(source.sweep(windows, cpu, 8, stranger=stranger)) for stranger in ((), ("face",), ("face", "sound"))
    )
    motion = torch.cat([batch.speaker_motion for batch in own])
    elsewhere = [2, 2, 4, 4, 0, 0]  # two clips per session
    assert torch.equal(torch.cat([batch.speaker_motion for batch in face]), motion[elsewhere])
    assert all(torch.equal(a.audio["tone"], b.audio["tone"]) for a, b in zip(own, face, strict=True))
    assert not any(torch.equal(a.audio["tone"], b.audio["tone"]) for a, b in zip(own, both, strict=True))
    assert all(torch.equal(a.listener_motion, b.listener_motion) for a, b in zip(own, both, strict=True))


def test_a_metric_that_some_batches_lack_is_the_mean_of_those_that_have_it() -> None:
    """It was divided by all batches: a layer that dropout had left out of one of three had two thirds of its loss."""
    batches = iter([{"loss": 3.0, "layer1": 2.0}, {"loss": 3.0}, {"loss": 6.0, "layer1": 4.0}])
    stage = SimpleNamespace(windows=None, validate=lambda batch: next(batches), select=None)
    source = SimpleNamespace(sweep=lambda *_, stranger: range(3))
    validation = Validation(stage, source, torch.device("cpu"), lambda n: n)  # type: ignore[arg-type]
    assert validation.means() == {"loss": 4.0, "layer1": 3.0}
