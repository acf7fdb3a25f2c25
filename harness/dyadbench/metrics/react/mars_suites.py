"""REACT 2025 and 2026: the challenge's numbers on clips of any length. The corrected suite beside them is `react2024`.

| | 2025 | 2026 |
|---|---|---|
| references of a clip | its own listener and 9 drawn of the appropriate others | the same |
| length | references are aligned to the prediction (metrics/react/alignment) | the same |
| FRCorr | sum over K of the best CCC | the same, but a sample equal to the own listener counts 1 |
| FRDist, FRDiv, FRVar, FRSyn | as in 2024; FRSyn of the first sample, lags up to 49 frames | the same |
| FRDvs | dropped | dropped |
| MAE | | of the expression probabilities, to the own listener |

The 2025 script draws with an unseeded generator, so no two runs agree. Here both draw as the 2026 script does, one generator
of seed 1234 over the clips in order; the seed and a checksum of what was drawn are in every result.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dyadbench.api import EXPRESSIONS, Column, Config, DyadbenchError, Evaluation, Progress, Ragged, Result
from dyadbench.metrics.clips import Clips
from dyadbench.metrics.react import closed_form, frsyn
from dyadbench.metrics.react.alignment import resampled
from dyadbench.metrics.react.frdist import frdist
from dyadbench.metrics.react.suites import distinct, over_clips
from dyadbench.metrics.resample import clip_mean

SEED, REFERENCES = 1234, 10
SUBSTITUTE = "not the official scale"


def drawn_references(appropriate: np.ndarray, seed: int = SEED, count: int = REFERENCES) -> list[list[int]]:
    """The references of each row of (N, R): its own listener n, then count - 1 of the appropriate others.

    Without replacement, with it where there are fewer, the own one again where there is none (dataset/react_2025.py).
    """
    rng, rows = random.Random(seed), []
    for n, row in enumerate(appropriate):
        others = [int(j) for j in np.flatnonzero(row) if j != n]
        if len(others) >= count - 1:
            picked = rng.sample(others, count - 1)
        else:
            picked = rng.choices(others, k=count - 1) if others else [n] * (count - 1)
        rows.append([n, *picked])
    return rows


def _columns(year: int, unit: str) -> tuple[Column, ...]:
    def column(name: str, direction: Any, digits: int, family: Any, summary: str, **more: Any) -> Column:
        frames = f"frames; {unit}" if unit and name == "FRSyn" else "frames" if name == "FRSyn" else unit
        return Column(name, direction, digits=digits, family=family, unit=frames, summary=summary, ranked=False, **more)

    same = "; a sample equal to the own listener counts 1" if year == 2026 else ""
    columns = [
        column("FRCorr", "max", 4, "appropriateness", f"sum over samples of the best mean CCC with one of 10 references{same}"),
        column("FRDist", "min", 2, "appropriateness", "sum over samples of the nearest reference's weighted DTW distance", low=0.0),
        column("FRDiv", "max", 4, "diversity", "mean squared difference between samples (S-MSE)", low=0.0),
        column("FRVar", "max", 4, "diversity", "unbiased variance over time", low=0.0),
        column("FRSyn", "min", 2, "synchrony", "lag of the first sample; 49 wherever a channel is constant", low=0.0, high=49.0),
    ]  # fmt: skip
    if year == 2026:
        columns.append(column("MAE", "min", 4, "appropriateness", "absolute error of expression probabilities, own listener, mean over samples", low=0.0))  # fmt: skip
    return tuple(columns)


class ChallengeSuite:
    """The numbers of one year. `official`: aligned by the challenge's own network, which the dataset must have loaded."""

    space = "emotion"

    def __init__(self, year: int, *, official: bool):
        self.year, self.official = year, official
        self.columns = _columns(year, "" if official else SUBSTITUTE)

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        ragged = data.ragged or _even(data)
        align = ragged.align if self.official else resampled
        if align is None:
            raise DyadbenchError(
                f"react{self.year}-official-aligner needs the challenge's length aligner: give the dataset aligner=FILE, or score "
                f"with react{self.year}, whose substitute is not on the official scale"
            )
        rows = drawn_references(ragged.appropriate)
        predictions = Clips(data.predicted_emotion, ragged.speaker_lengths)
        speakers = Clips(data.speaker_emotion, ragged.speaker_lengths)

        def work(n: int) -> dict[str, float]:
            pred = predictions[n]
            # A reference that was drawn twice changes no maximum and no minimum.
            refs = [np.asarray(align(ragged.listeners[j], pred.shape[1]), np.float32) for j in dict.fromkeys(rows[n])]
            return self._clip(pred, refs, speakers[n])

        scores = over_clips(len(data.clips), data.threads, work, progress)
        checksum = zlib.crc32(repr(rows).encode())
        detail = {
            "reference_seed": SEED,
            "references": REFERENCES,
            "reference_draw": checksum,
            "official_aligner": self.official,
        }
        return {
            c.id: _with_detail(clip_mean([clip[c.id] for clip in scores]), {k: float(v) for k, v in detail.items()})
            for c in self.columns
        }

    def _clip(self, pred: np.ndarray, refs: Sequence[np.ndarray], speaker: np.ndarray) -> dict[str, float]:
        """pred (K, T, 25), refs (T, 25) each, the own one first, speaker (T, 25)."""
        first = distinct(pred)
        own = np.unique(first)
        nearest = np.empty(len(pred))
        nearest[own] = frdist(pred[own], refs)
        diversity, variance = closed_form.moments(pred)
        correlation = closed_form.frcorr(pred, np.stack(refs))
        scores = {
            "FRDist": float(nearest[first].sum()),
            "FRDiv": diversity if len(pred) > 1 else float("nan"),
            "FRVar": variance,
            "FRSyn": float(frsyn.official_offset(pred[0], speaker)),
        }
        if self.year == 2026:
            for sample in pred:
                if np.array_equal(sample, refs[0]):
                    correlation += 1.0 - closed_form.frcorr(sample[None], np.stack(refs))
            scores["MAE"] = float(np.abs(pred[..., EXPRESSIONS] - refs[0][None, :, EXPRESSIONS]).mean())
        return {"FRCorr": correlation, **scores}


def _even(data: Evaluation) -> Ragged:
    """Clips whose speaker and listener have one length."""
    if data.appropriate is None:
        raise ValueError("the REACT suites score against every appropriate listener: give the matrix `appropriate`")
    return Ragged(data.lengths, Clips(data.listener_emotion, data.lengths), data.appropriate)  # type: ignore[arg-type]


def _with_detail(result: Result, detail: Mapping[str, float]) -> Result:
    return Result(result.value, result.per_clip, result.undefined, detail)


def react2025(config: Config) -> ChallengeSuite:
    return ChallengeSuite(2025, official=False)


def react2026(config: Config) -> ChallengeSuite:
    return ChallengeSuite(2026, official=False)


def react2025_official(config: Config) -> ChallengeSuite:
    return ChallengeSuite(2025, official=True)


def react2026_official(config: Config) -> ChallengeSuite:
    return ChallengeSuite(2026, official=True)
