"""Rows that see the truth. They bound what can be reached and are never ranked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dyadbench.api import Array, Context, DyadbenchError, Needs, Noise, Reaction, Setup
from dyadbench_baselines.config import NoConfig, OracleSetConfig

DRAWS = 1_000_000  # new listeners to choose the first of K from; K of them are drawn one after another


def _gather(context: Context, choose: Callable[[int, int], list[int]]) -> Reaction:
    """For each clip the appropriate reactions that `choose(row, how many there are)` names."""
    truth = context.truth
    assert truth is not None
    picks = [choose(row, len(truth.motion[row])) for row in range(len(context.clips))]
    motion = np.stack([truth.motion[row][pick] for row, pick in enumerate(picks)])
    emotion: list[Array] = [felt[pick] for felt, pick in zip(truth.emotion, picks, strict=True) if felt is not None]
    return Reaction(motion, np.stack(emotion) if emotion else None)


class Oracle:
    """The true listener K times. Calibrates the best possible FRCorr and FRDist, and shows that diversity of copies is 0."""

    needs = Needs(face=False, lookahead=None, truth=True)

    def __init__(self, config: NoConfig, setup: Setup):
        pass

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        return _gather(context, lambda row, count: [0] * k)


class OracleMotion:
    """The true listener's motion K times, without emotion: what is scored is the dataset's readout from perfect motion.

    Calibrates what a method that gives motion alone can reach in emotion, however good it is.
    """

    needs = Needs(face=False, lookahead=None, truth=True)

    def __init__(self, config: NoConfig, setup: Setup):
        if not setup.has_emotion:
            raise DyadbenchError(
                "oracle-motion shows what is lost between motion and emotion, and this dataset has no emotion; run oracle"
            )

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        return Reaction(_gather(context, lambda row, count: [0] * k).motion)


class OracleSet:
    """K different appropriate listeners, in random order, repeated where there are fewer than K.

    Calibrates diversity: its FRDiv is that of the appropriate set itself, the target of a one-to-many model.
    """

    needs = Needs(face=False, lookahead=None, truth=True)

    def __init__(self, config: OracleSetConfig, setup: Setup):
        self.config = config

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        def choose(row: int, count: int) -> list[int]:
            first = 0 if self.config.include_true or count == 1 else 1
            order = noise.stream(context.clips[row], 0).permutation(np.arange(first, count))
            return [int(order[i % len(order)]) for i in range(k)]

        return _gather(context, choose)


class FreshListener:
    """K new people who hear the same speaker: none of them is the true listener or in the appropriate set.

    Calibrates the ceiling: no method can know more of the true listener than another person in the same place does.
    Only for datasets that can draw people again (api.DrawsListeners); any other is refused with one sentence.
    """

    needs = Needs(face=False, lookahead=None, fresh=True)

    def __init__(self, config: NoConfig, setup: Setup):
        pass

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        assert context.fresh is not None
        shape = (len(context.clips), k, context.frames)
        motion = np.zeros((*shape, context.speaker_motion.shape[2]), np.float32)
        emotion = (
            None
            if context.speaker_emotion is None
            else np.zeros((*shape, context.speaker_emotion.shape[2]), np.float32)
        )
        for row in range(len(context.clips)):
            first = int(noise.stream(context.clips[row], 0, "draws").integers(DRAWS))  # other people for another seed
            for sample in range(k):
                person, length = context.fresh(row, first + sample), int(context.lengths[row])
                motion[row, sample, :length] = person.motion[:length]
                if emotion is not None and person.emotion is not None:
                    emotion[row, sample, :length] = person.emotion[:length]
        return Reaction(motion, emotion)
