"""What authors do wrong, row by row: each mistake is a FAIL of `dyadbench check` whose text says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dyadbench.api import Context, Loss, Needs, Noise, Optimiser, Reaction, Setup, Stage, Windows
from dyadbench.conformance.checks import check_factory


class Echo:
    """The speaker with a little noise for each sample: right, but for what a mistake changes."""

    needs = Needs()

    def __init__(self, setup: Setup):
        self.seed = setup.seed

    def sample(self, context: Context, k: int, noise: Noise) -> Any:
        return self.answer(*self.arrays(context, k, noise))

    def arrays(self, context: Context, k: int, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        assert context.speaker_emotion is not None
        motion, emotion = (np.repeat(v[:, None], k, 1) for v in (context.speaker_motion, context.speaker_emotion))
        return motion + self.random_values(context, k, noise), emotion

    def random_values(self, context: Context, k: int, noise: Noise) -> np.ndarray:
        """(B, K, 1, 1)"""
        rows = [[noise.stream(clip, s).random() for s in range(k)] for clip in context.clips]
        return 0.01 * np.array(rows, np.float32)[..., None, None]

    def answer(self, motion: np.ndarray, emotion: np.ndarray) -> Any:
        return Reaction(motion, emotion)


def _mistake(**methods: Any) -> Callable[[Setup], Any]:
    return type("Mistaken", (Echo,), methods)


def _answers(change: Callable[[np.ndarray, np.ndarray], Any]) -> Callable[[Setup], Any]:
    return _mistake(answer=lambda self, motion, emotion: change(motion, emotion))


def _nan(motion: np.ndarray, emotion: np.ndarray) -> Reaction:
    motion = motion.copy()
    motion[0, 0, 0, 0] = np.nan
    return Reaction(motion, emotion)


def _ahead(by: int) -> Callable[..., Any]:
    def arrays(self: Echo, context: Context, k: int, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        motion, emotion = Echo.arrays(self, context, k, noise)
        places = np.minimum(np.arange(context.frames) + by, context.frames - 1)
        return motion[:, :, places], emotion

    return arrays


def _centred(self: Echo, context: Context, k: int, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
    motion, emotion = Echo.arrays(self, context, k, noise)
    return motion - motion.mean(2, keepdims=True), emotion


def _per_batch(self: Echo, context: Context, k: int, noise: Noise) -> np.ndarray:
    return np.random.default_rng(self.seed).random((len(context.clips), k, 1, 1)).astype(np.float32)


def _global(self: Echo, context: Context, k: int, noise: Noise) -> np.ndarray:
    return np.random.random((len(context.clips), k, 1, 1)).astype(np.float32)


def _breaks(motion: np.ndarray, emotion: np.ndarray) -> Any:
    return dict[str, Any]()["face"]


def _hears(name: str, declared: tuple[str, ...] = ()) -> Callable[[Setup], Any]:
    def arrays(self: Echo, context: Context, k: int, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        assert len(context.audio[name])
        return Echo.arrays(self, context, k, noise)

    return _mistake(needs=Needs(audio=declared), arrays=arrays)


SAMPLING: dict[str, tuple[Callable[[Setup], Any], str]] = {
    "K and T swapped": (_answers(lambda m, e: Reaction(m.swapaxes(1, 2), e)), "motion of shape (2, 96, 3, 58) where (clips, samples, frames, channels) is (2, 3, 96, 58)"),
    "NaN in motion": (_answers(_nan), "returned NaN or infinite motion"),
    "no axis of samples": (_answers(lambda m, e: Reaction(m[:, 0], e)), "(clips, samples, frames, channels) is (2, 3, 96, 58)"),
    "one sample": (_answers(lambda m, e: Reaction(m[:, :1], e)), "(2, 1, 96, 58) where"),
    "whole patches only": (_answers(lambda m, e: Reaction(m[:, :, : m.shape[2] // 8 * 8], e)), "(2, 3, 32, 58) where (clips, samples, frames, channels) is (2, 3, 37, 58)"),
    "a global generator": (_mistake(random_values=_global), "use noise.stream(clip, sample)"),
    "a seed per batch": (_mistake(random_values=_per_batch), "clip 2 of a batch gets another reaction alone; draw from noise.stream(clip, sample)"),
    "a look-ahead that is not declared": (_mistake(arrays=_ahead(5)), "measured 5 frames, declared 0 frames"),
    "the mean of the whole clip": (_mistake(arrays=_centred), "measured the whole clip, declared 0 frames"),
    "an exception": (_answers(_breaks), "KeyError: 'face' (test_mistakes.py, line "),
    "a torch tensor": (_answers(lambda m, e: Reaction(torch.from_numpy(m), e)), "return motion.detach().cpu().numpy()"),  # type: ignore[arg-type]
    "an array": (_answers(lambda m, e: m), "returned a ndarray; return an api.Reaction(motion, emotion)"),
    "no needs": (_mistake(needs=None), "give it an attribute needs = Needs(...)"),
    "audio that is not declared": (_hears("mfcc-78"), "needs = Needs(audio=('mfcc-78',))"),
    "audio that does not exist": (_hears("mfcc", ("mfcc",)), "needs the audio feature 'mfcc'; the made-up corpus has mfcc-78, mel-128"),
    "emotion in percent": (_answers(lambda m, e: Reaction(m, e * 100)), "valence and arousal in [-1, 1]"),
    "neither motion nor emotion": (_answers(lambda m, e: Reaction(None, None)), "returned neither motion nor emotion"),
}  # fmt: skip


def _failures(factory: Callable[[Setup], Any]) -> str:
    return "\n".join(f"{item.what}: {item.detail}" for item in check_factory("mistaken", factory).items if not item.ok)


def test_without_a_mistake_nothing_fails() -> None:
    assert _failures(Echo) == ""
    assert _failures(Learner) == ""


@pytest.mark.parametrize("mistake", SAMPLING)
def test_a_mistake_in_sampling_is_named(mistake: str) -> None:
    factory, message = SAMPLING[mistake]
    assert message in _failures(factory)


def test_a_traceback_is_kept_for_the_log() -> None:
    report = check_factory("mistaken", _answers(_breaks))
    assert any("return dict[" in text for text in report.tracebacks)


# --- learning -----------------------------------------------------------------------------------------------


class Learner(Echo, nn.Module):
    """One gain, learnt in one stage."""

    stage: Mapping[str, Any] = {}

    def __init__(self, setup: Setup):
        nn.Module.__init__(self)
        self.seed, self.gain, self.bias = setup.seed, nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def arrays(self, context: Context, k: int, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        motion, emotion = Echo.arrays(self, context, k, noise)
        return motion * self.gain.item() + self.bias.item(), emotion

    def loss(self, batch: Any) -> Any:
        return Loss({"own": self.error(batch)})

    def error(self, batch: Any) -> torch.Tensor:
        return (batch.speaker_motion * self.gain + self.bias - batch.listener_motion).pow(2).mean()

    def one(self, name: str = "only", **change: Any) -> Stage:
        fields = {"steps": 2, "optimisers": (Optimiser("own", list(self.parameters()), 0.1),), **self.stage, **change}
        return Stage(name=name, module=self, windows=Windows(16, 4), loss=self.loss, **fields)

    def stages(self, data: Any) -> Iterator[Stage]:
        yield self.one()


def _learner(**methods: Any) -> Callable[[Setup], Any]:
    return type("Mistaken", (Learner,), methods)


def _twice(self: Learner, data: Any) -> Iterator[Stage]:
    yield self.one("same")
    yield self.one("same")


LEARNING: dict[str, tuple[Callable[[Setup], Any], str]] = {
    "two stages of one name": (_learner(stages=_twice), "two stages are named 'same'; give each its own name"),
    "no stages": (_learner(stages=lambda self, data: iter(())), "stages() yields no stage"),
    "no steps": (_learner(stage={"steps": 0}), "has steps=0; a whole number from 1 is due"),
    "a parameter outside the module": (_learner(stage={"optimisers": (Optimiser("own", [torch.nn.Parameter(torch.ones(1))], 0.1),)}), "trains a parameter that the stage's module does not have"),
    "a stage that is named as a folder": (_learner(stages=lambda self, data: iter([self.one("../evil")])), "a name has letters, digits, - and _ alone"),
    "a validation that is NaN": (_learner(stage={"validate": lambda batch: {"error": float("nan")}}), "'error' is nan on clips"),
    "no optimisers": (_learner(stage={"optimisers": ()}), "needs at least one optimiser"),
    "the loss is a tensor": (_learner(loss=lambda self, batch: self.error(batch)), "return Loss({'own': tensor})"),
    "the loss is a dict": (_learner(loss=lambda self, batch: {"own": self.error(batch)}), "return Loss({'own': tensor})"),
    "an optimiser of another name": (_learner(loss=lambda self, batch: Loss({"adam": self.error(batch)})), "has the parts adam, but its optimisers are own"),
    "a loss that is NaN": (_learner(loss=lambda self, batch: Loss({"own": self.error(batch) * np.nan})), "loss 'own' is nan on clips"),
    "a selection that is not measured": (_learner(stage={"select": "nll"}), "selects by 'nll', but its validation gives"),
    "a state that forgets a weight": (_learner(stage={"steps": 30}, state_dict=lambda self: {"gain": self.gain.detach()},
                                               load_state_dict=lambda self, state: self.gain.data.copy_(state["gain"])), "a restored predictor gives other reactions"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", LEARNING)
def test_a_mistake_in_learning_is_named(mistake: str) -> None:
    factory, message = LEARNING[mistake]
    assert message in _failures(factory)
