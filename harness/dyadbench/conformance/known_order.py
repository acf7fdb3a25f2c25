"""Reactions whose order is known: from the true listener down to noise, and the truth degraded step by step.

All are made from the listeners of one split, the same way for motion and for emotion, and by a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import EMOTION_DIM, DyadbenchError, KnowsListeners
from dyadbench.cell.split import Split
from dyadbench.datasets.fresh import fresh_listener

Floats = NDArray[np.float32]
Change = Callable[[Floats, np.random.Generator], Floats]  # (T, C) of one clip -> (T, C)

LADDER = (
    "true", "fresh", "averaged fresh", "same person", "mismatched", "averaged mismatched", "reversed", "shuffled", "noise",
    "constant",
)  # fmt: skip
FIXED = ("true", "constant")  # the same whatever the seed
AT_RANDOM = ("noise", "dropped", "swapped")  # of DEGRADATIONS, those that are made anew for every seed
AVERAGED = 8  # people of whom an average is made: a regression approaches it, and no person moves like it
DEGRADATIONS: Mapping[str, tuple[float, ...]] = {
    # Seconds. A clip is rotated, its last frames to the front: the frames stay the same and only their time is wrong.
    "delay": (0.2, 1.0, 3.0),
    "noise": (0.25, 0.5, 1.0),  # deviations of the channel over all listeners
    "smoothing": (0.2, 1.0, 3.0),  # seconds of a moving mean
    "dropped": (0.1, 0.3, 0.6),  # share of frames that repeat the one before
    "swapped": (0.1, 0.3, 1.0),  # share of clips with another person's reaction
}


@dataclass(frozen=True)
class Reactions:
    """Predictions for every clip of a split: (N, K, T, D) and (N, K, T, 25) or None."""

    motion: Floats
    emotion: Floats | None


class KnownOrder:
    """Makes the conditions over one split, with `samples` samples of each random one."""

    def __init__(self, split: Split, samples: int, seed: int = 0):
        self.split, self.samples, self.seed = split, samples, seed
        motion, emotion = split.listeners()
        self.tracks: dict[str, list[Floats] | None] = {"motion": motion, "emotion": emotion}
        self.sessions = np.array([clip.session for clip in split.clips])
        names = split.dataset.listeners(split.name) if isinstance(split.dataset, KnowsListeners) else None
        self.people = np.array(names or [])

    def ladder(self) -> dict[str, Reactions]:
        """The conditions that this split has, best first.

        "fresh" is there where people can be drawn, "same person" where the dataset knows its listeners.
        """
        own = np.arange(len(self.sessions))[:, None].repeat(self.samples, 1)
        others = self._picks(lambda n: np.flatnonzero(self.sessions != self.sessions[n]))
        assert others is not None, "there are at least two sessions"
        rungs: dict[str, Reactions | None] = {
            "true": self._clips_at(own),
            "fresh": self._fresh(),
            "averaged fresh": self._averaged_fresh(),
            "same person": None,
            "mismatched": self._clips_at(others),
            "averaged mismatched": self._averaged(),
            "reversed": self._clips_at(others, lambda x, rng: x[::-1]),
            "shuffled": self._clips_at(others, lambda x, rng: rng.permutation(x)),
            "noise": self._filled(noise=True),
            "constant": self._filled(noise=False),
        }
        if (same := self._picks(self._elsewhere)) is not None:
            rungs["same person"] = self._clips_at(same)
        return {name: rungs[name] for name in LADDER if rungs[name] is not None}  # type: ignore[misc]

    def degraded(self, kind: str, amount: float) -> Reactions:
        """The truth, made worse by one of DEGRADATIONS."""
        fps = self.split.dataset.space.fps
        picks = np.arange(len(self.sessions))
        if kind == "swapped":
            rng = np.random.default_rng(self.seed)
            order = rng.permutation(len(picks))[: round(amount * len(picks))]
            for n in order:
                picks[n] = rng.choice(np.flatnonzero(self.sessions != self.sessions[n]))
        changes: dict[str, Callable[[str], Change]] = {
            "delay": lambda _: lambda x, rng: _delayed(x, round(amount * fps)),
            "noise": lambda what: partial(_noisy, spread=amount * np.concatenate(self.tracks[what] or []).std(0)),
            "smoothing": lambda _: lambda x, rng: _smooth(x, round(amount * fps)),
            "dropped": lambda _: lambda x, rng: _dropped(x, amount, rng),
            "swapped": lambda _: lambda x, rng: x,
        }
        return self._changed_clips(picks[:, None].repeat(self.samples, 1), changes[kind], alike=True)

    # --- making them ------------------------------------------------------------------------------------

    def _picks(self, among: Callable[[int], NDArray[np.int64]], count: int = 0) -> NDArray[np.int64] | None:
        """(N, `count`, or as many as samples) rows drawn from `among` each clip; None where a clip has none."""
        rng, rows, count = np.random.default_rng(self.seed), [], count or self.samples
        for n in range(len(self.sessions)):
            pool = among(n)
            if not len(pool):
                return None
            rows.append(rng.choice(pool, count, replace=len(pool) < count))
        return np.array(rows)

    def _elsewhere(self, n: int) -> NDArray[np.int64]:
        """Other clips of the same listener that do not react to the same speaker."""
        if not len(self.people):
            return np.array([], np.int64)
        return np.flatnonzero((self.people == self.people[n]) & ~self.split.appropriate[n])

    def _clips_at(self, picks: NDArray[np.int64], change: Change = lambda x, rng: x) -> Reactions:
        return self._changed_clips(picks, lambda _: change)

    def _changed_clips(
        self, picks: NDArray[np.int64], change: Callable[[str], Change], *, alike: bool = False
    ) -> Reactions:
        """Listeners `picks` (N, K), each changed; `alike`: the samples of a clip are one."""
        out: dict[str, Floats | None] = {}
        for what, tracks in self.tracks.items():
            if tracks is None:
                out[what] = None
                continue
            values = np.zeros((*picks.shape, self.split.frames, tracks[0].shape[1]), np.float32)
            alter = change(what)
            for n, row in enumerate(picks):
                length = int(self.split.lengths[n])
                for k, j in enumerate(row[:1] if alike else row):
                    source = tracks[j][np.arange(length) % len(tracks[j])]
                    values[n, k, :length] = alter(source, np.random.default_rng([self.seed, n, k]))
                if alike:
                    values[n, 1:] = values[n, :1]
            out[what] = values
        motion = out["motion"]
        assert motion is not None
        return Reactions(motion, out["emotion"])

    def _filled(self, *, noise: bool) -> Reactions:
        """Gaussian noise with each channel's mean, deviation and range over all listeners; or the mean alone."""

        def change(what: str) -> Change:
            frames = np.concatenate(self.tracks[what] or [])
            mean, spread, low, high = frames.mean(0), frames.std(0), frames.min(0), frames.max(0)

            def fill(x: Floats, rng: np.random.Generator) -> Floats:
                noisy = mean + spread * rng.standard_normal(x.shape) if noise else np.broadcast_to(mean, x.shape)
                return np.clip(noisy, low, high).astype(np.float32)

            return fill

        return self._changed_clips(
            np.arange(len(self.sessions))[:, None].repeat(self.samples, 1), change, alike=not noise
        )

    def _averaged(self) -> Reactions:
        """The mean of AVERAGED mismatched listeners, for all samples of a clip."""
        picks = self._picks(lambda n: np.flatnonzero(self.sessions != self.sessions[n]), AVERAGED)
        assert picks is not None
        return self._mean(self._changed_clips(picks, lambda _: lambda x, rng: x))

    def _averaged_fresh(self) -> Reactions | None:
        """The mean of AVERAGED fresh listeners, none of whom is among the fresh ones of the ladder."""
        people = self._fresh(first=self.samples, count=AVERAGED)
        return people and self._mean(people)

    def _mean(self, people: Reactions) -> Reactions:
        mean = lambda x: np.repeat(x.mean(1, keepdims=True), self.samples, 1)  # noqa: E731  # used at once
        return Reactions(mean(people.motion), None if people.emotion is None else mean(people.emotion))

    def _fresh(self, first: int = 0, count: int = 0) -> Reactions | None:
        """New people, `count` (or as many as samples) per clip; None where the dataset cannot draw people again."""
        space, count = self.split.dataset.space, count or self.samples
        shape = (len(self.sessions), count, self.split.frames)
        motion = np.zeros((*shape, space.dim), np.float32)
        emotion = np.zeros((*shape, EMOTION_DIM), np.float32) if self.tracks["emotion"] is not None else None
        start = self.seed * (self.samples + AVERAGED) + first
        for n, length in enumerate(self.split.lengths.tolist()):
            for k in range(count):
                try:
                    person = fresh_listener(self.split.dataset, self.split.name, n, start + k)
                except DyadbenchError:
                    return None
                motion[n, k, :length] = person.motion[:length]
                if emotion is not None and person.emotion is not None:
                    emotion[n, k, :length] = person.emotion[:length]
        return Reactions(motion, emotion)


def _delayed(x: Floats, frames: int) -> Floats:
    return np.roll(x, frames, axis=0)


def _noisy(x: Floats, rng: np.random.Generator, spread: Floats) -> Floats:
    return (x + spread * rng.standard_normal(x.shape)).astype(np.float32)


def _smooth(x: Floats, frames: int) -> Floats:
    """A moving mean over `frames` frames, shorter at both ends."""
    from scipy.ndimage import uniform_filter1d

    out: Floats = uniform_filter1d(x, max(1, min(frames, len(x))), axis=0, mode="nearest")
    return out


def _dropped(x: Floats, share: float, rng: np.random.Generator) -> Floats:
    keep = rng.random(len(x)) >= share
    keep[0] = True
    return x[np.maximum.accumulate(np.where(keep, np.arange(len(x)), 0))]
