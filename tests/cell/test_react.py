"""What a predictor answers, how far ahead it hears, and what a dataset and a suite must declare."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from tests.fixtures.corpora import ToyDataset

from dyadbench.api import FACEVERSE_58, Column, Context, DyadbenchError, Needs, Noise, Reaction
from dyadbench.cell.lookahead import measure_lookahead, reads_emotion
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.react import largest_gap, react, row_of
from dyadbench.cell.runtime import demand_device
from dyadbench.cell.score import demand_columns
from dyadbench.cell.split import demand_dataset
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.errors import PluginError

CORPUS = TinyCorpus()


def _zeros(context: Context, k: int) -> np.ndarray:
    return np.zeros((len(context.clips), k, context.frames, 25), np.float32)


def test_a_clip_is_never_alone_and_the_answer_is_its_own() -> None:
    batch_sizes: list[int] = []

    def sample(context: Context, k: int, noise: Noise) -> Reaction:
        batch_sizes.append(len(context.clips))
        # The company is the clip itself, with all that belongs to it.
        assert len(context.audio["mfcc-78"]) == len(context.lengths) == len(context.words or ()) == len(context.clips)
        return Reaction(None, _zeros(context, k) + context.speaker_motion[:, None, :, :25])

    needs = Needs(audio=("mfcc-78",), words=True)
    alone = react(sample, CORPUS.context([1], needs, 40), 2, CellNoise(0), FACEVERSE_58, "it")
    together = react(sample, CORPUS.context([0, 1, 2], needs, 40), 2, CellNoise(0), FACEVERSE_58, "it")
    assert batch_sizes == [2, 3]
    assert alone.emotion is not None and alone.emotion.shape == (1, 2, 40, 25)
    assert largest_gap(alone, row_of(together, 1, 40)) == 0
    assert largest_gap(alone, row_of(together, 0, 40)) > 0


def test_a_wrong_shape_is_said_for_the_clips_that_were_asked_for() -> None:
    with pytest.raises(PluginError, match=r"motion of shape \(1, 2, 40, 25\) where .* is \(1, 2, 40, 58\)"):
        react(lambda c, k, n: Reaction(_zeros(c, k)), CORPUS.context([0], Needs(), 40), 2, CellNoise(0), FACEVERSE_58, "it")  # fmt: skip


def test_what_lies_after_a_clips_end_says_nothing() -> None:
    context = dataclasses.replace(CORPUS.context([0, 1], Needs(), 40), lengths=np.array([40, 30]))

    def sample(context: Context, k: int, noise: Noise) -> Reaction:
        values = _zeros(context, k) + 1
        values[1, :, 30:] = np.nan
        return Reaction(None, values)

    emotion = react(sample, context, 2, CellNoise(0), FACEVERSE_58, "it").emotion
    assert emotion is not None and emotion[1, :, :30].min() == 1 and not emotion[1, :, 30:].any()


class Listening:
    """Moves with the number of words that end within `ahead` seconds from each frame."""

    needs = Needs(words=True, lookahead=0)

    def __init__(self, ahead: float):
        self.ahead = ahead

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        values = _zeros(context, k)
        for row, words in enumerate(context.words or ()):
            for frame in range(context.frames):
                past = [word.text for word in words if word.end <= (frame + 1) / 25 + self.ahead]
                values[row, :, frame] = sum(map(ord, "".join(past))) % 97 / 97
        return Reaction(None, values)


def test_words_of_the_future_are_disturbed_too() -> None:
    context = CORPUS.context([0], Needs(words=True), 96)
    assert measure_lookahead(Listening(0.0), context, CellNoise(0)) == 0
    reach = measure_lookahead(Listening(0.4), context, CellNoise(0))
    assert reach is not None and 1 <= reach <= 10


class Keeping:
    """Moves as the speaker's face and emotion do `ahead` frames later, with a draw of noise for the clip."""

    needs = Needs(lookahead=0)

    def __init__(self, ahead: int, keep: bool, by_name: bool):
        self.ahead, self.keep, self.by_name = ahead, keep, by_name
        self.answers: dict[str, np.ndarray] = {}  # by the name of the clip

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        assert context.speaker_emotion is not None
        rows = []
        for row, clip in enumerate(context.clips):
            heard = context.speaker_motion[row] + context.speaker_emotion[row, :, :1]
            motion = np.pad(heard[self.ahead :], ((0, self.ahead), (0, 0))) + noise.stream(clip, 0).random()
            if self.by_name:
                motion = motion + sum(map(ord, clip)) % 97
            rows.append(self.answers.setdefault(clip, motion) if self.keep else motion)
        return Reaction(np.repeat(np.stack(rows)[:, None], k, 1).astype(np.float32))


@pytest.mark.parametrize(("keep", "by_name"), [(False, False), (True, False), (False, True)])
def test_answers_kept_by_clip_hide_no_look_ahead(keep: bool, by_name: bool) -> None:
    context = CORPUS.context([0], Needs(), 96)
    for ahead in (0, 5):
        assert measure_lookahead(Keeping(ahead, keep, by_name), context, CellNoise(0)) == ahead
    assert reads_emotion(Keeping(0, keep, by_name), context, CellNoise(0))


def test_a_predictor_that_looks_clips_up_is_asked_under_their_own_names() -> None:
    class LookingUp(Keeping):
        def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
            assert set(context.clips) <= {clip.id for clip in CORPUS.clips("test")}
            return super().sample(context, k, noise)

    context = CORPUS.context([0], Needs(), 96)
    assert measure_lookahead(LookingUp(5, keep=False, by_name=False), context, CellNoise(0)) == 5


@pytest.mark.parametrize(
    ("device", "message"),
    [("cdua", "none of cpu, cuda and cuda:N"), ("cuda:99", "cuda:99: this machine has")],
)
def test_a_device_that_is_not_there_is_refused_at_the_start(device: str, message: str) -> None:
    demand_device("cpu")
    with pytest.raises(DyadbenchError, match=message):
        demand_device(device)


@pytest.mark.parametrize("change", [{"digest": None}, {"digest": ""}, {"simulated": 1}, {"space": "faceverse"}])
def test_a_dataset_that_does_not_declare_itself_is_refused(change: dict[str, Any]) -> None:
    demand_dataset(ToyDataset())
    [(name, value)] = change.items()
    with pytest.raises(DyadbenchError, match=f"a Changed must have {name}: "):
        demand_dataset(type("Changed", (ToyDataset,), {"__init__": lambda self: ToyDataset.__init__(self), name: value})() if name != "space" else _without_space())  # fmt: skip


def _without_space() -> Any:
    class Changed(ToyDataset):
        def __init__(self) -> None:
            super().__init__()
            self.space = "faceverse"  # type: ignore[assignment]

    return Changed()


def test_columns_that_do_not_hold_together_are_refused() -> None:
    with pytest.raises(ValueError, match="column 'x' has the direction 'lower'; it must be one of max, min, match"):
        Column("x", "lower")  # type: ignore[arg-type]

    def suite(*columns: Column, space: str = "motion") -> Any:
        return type("S", (), {"columns": columns, "space": space})()

    demand_columns(suite(Column("a", "max"), Column("b", "match", target="a")))
    for wrong, message in (
        (suite(Column("a", "max"), Column("a", "min")), "two of its columns are 'a'"),
        (suite(Column("b", "match", target="c")), "is to match 'c', which is none of its columns"),
        (suite(Column("a", "max"), space="sound"), "its space is 'sound'"),
    ):
        with pytest.raises(ValueError, match=message):
            demand_columns(wrong)


class Blocks:
    """Gives each frame the mean of the speaker's `size` frames around it, block by block; samples after the first see `late` more."""

    needs = Needs(lookahead=0)

    def __init__(self, size: int = 1, late: int = 0):
        self.size, self.late = size, late

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        heard = np.pad(context.speaker_motion, ((0, 0), (0, self.late), (0, 0)))
        first = np.arange(context.frames) // self.size * self.size
        means = np.stack([context.speaker_motion[:, at : at + self.size].mean(1) for at in first], 1)
        samples = [means, *[means + heard[:, self.late :] for _ in range(k - 1)]]
        return Reaction(np.stack(samples, 1).astype(np.float32))


@pytest.mark.parametrize("frames", [96, 250])
@pytest.mark.parametrize("size", [2, 25, 40])
def test_a_block_looks_ahead_by_all_but_one_of_its_frames_wherever_it_is_disturbed(frames: int, size: int) -> None:
    context = TinyCorpus(frames=frames).context([0], Needs(), frames)
    assert measure_lookahead(Blocks(size), context, CellNoise(0)) == size - 1


def test_a_sample_that_looks_further_than_the_first_is_measured() -> None:
    assert measure_lookahead(Blocks(late=7), CORPUS.context([0], Needs(), 96), CellNoise(0)) == 7
