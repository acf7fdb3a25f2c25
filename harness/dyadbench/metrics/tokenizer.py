"""A trained tokenizer on clips: what it decodes to, layer by layer, and what the places of its keyframes cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import lgamma, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import MotionSpace, Result, Tokenizer, Tokens
from dyadbench.metrics.l2l.clips import as_array
from dyadbench.metrics.resample import clip_mean
from dyadbench.metrics.tokens import FURTHER, evaluate_tokens, layer_counts, squared_error


def position_bits(frames: int, keyframes: int) -> float:
    """log2 of the number of ways to choose `keyframes` of `frames` frames: what an ideal code pays for positions."""
    ways = lgamma(frames + 1) - lgamma(keyframes + 1) - lgamma(frames - keyframes + 1)
    return max(0.0, ways / log(2))


@dataclass
class _Coded:
    """What one pass over the clips gathers."""

    ids: list[Any] = field(default_factory=list)
    decoded: list[Any] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)  # one value a clip
    keyframes: dict[int, list[bytes]] = field(default_factory=dict)  # the masks of the clips of each length

    def add(self, name: str, value: float) -> None:
        self.columns.setdefault(name, []).append(value)


def score_tokenizer(
    tokenizer: Tokenizer,
    motion: Sequence[Any],
    space: MotionSpace,
    *,
    mean: Any = None,
    emotion: Sequence[Any] | None = None,
    emotion_mean: Any = None,
) -> Mapping[str, Result]:
    """`evaluate_tokens` of a trained tokenizer on clips (T, D), and what only the tokenizer can tell: FURTHER.

    emotion: per clip (T, 25), scored where the tokenizer decodes it; mean (D,) and emotion_mean (25,) are the constants
    to compare with (default: of these clips). Clips are encoded one by one, whole. A tokenizer of several residual
    layers also gives motion-rmse.layers1, emotion-rmse.layers1, ... unless it refuses to decode a prefix (ValueError).
    """
    coded = _Coded()
    for n, x in enumerate(motion):
        _encode(tokenizer, np.asarray(x, np.float32)[None], None if emotion is None else emotion[n], space.fps, coded)
    masks = coded.keyframes.values()
    if any(len(each) > 1 for each in masks) and all(len(set(each)) == 1 for each in masks):
        coded.columns["position-bits-per-second"] = [0.0] * len(coded.ids)  # the places follow from the length
    if emotion is not None:
        constant = np.concatenate([as_array(x) for x in emotion]).mean(0) if emotion_mean is None else emotion_mean
        coded.columns["constant-emotion-rmse"] = [_rmse(as_array(constant), x) for x in emotion]
    scores = dict(
        evaluate_tokens(motion, coded.decoded, coded.ids, tokenizer.tokens, space.fps, mean=mean, channels=space.groups)
    )
    undefined = [float("nan")] * len(coded.ids)
    for column in FURTHER:
        coded.columns.setdefault(column.id, undefined)
    return scores | {name: clip_mean(values) for name, values in coded.columns.items()}


def _encode(tokenizer: Tokenizer, x: NDArray[np.float32], felt: Any, fps: float, coded: _Coded) -> None:
    """One clip: x (1, T, D), felt (T, 25) or None."""
    tokens, frames = tokenizer.encode(x), x.shape[1]
    ids = tokens.ids[0]
    coded.add("position-bits-per-second", 0.0)
    if tokens.keyframes is not None:
        coded.keyframes.setdefault(frames, []).append(tokens.keyframes[0].tobytes())
        counts = tokens.keyframes[0].reshape(frames, -1).sum(0)  # one, or one a group with keyframes of its own
        ids = ids[: counts.max()]
        bits = sum(position_bits(frames, int(n)) for n in counts)
        coded.columns["position-bits-per-second"][-1] = bits / frames * fps
    coded.ids.append(ids)
    motion, emotion = tokenizer.decode(tokens, frames)
    coded.decoded.append(motion[0])
    if felt is not None and emotion is not None:
        coded.add("emotion-rmse", _rmse(emotion[0], felt))
    residual = tokenizer.tokens.residual
    for layers in layer_counts(residual) if tokens.ids.ndim == 4 and residual > 1 else ():
        try:
            part = Tokens(tokens.ids[..., :layers], tokens.keyframes, tokens.frames)
            motion, emotion = tokenizer.decode(part, frames)
        except ValueError:
            return  # it decodes whole grids only
        coded.add(f"motion-rmse.layers{layers}", _rmse(motion[0], x[0]))
        if felt is not None and emotion is not None:
            coded.add(f"emotion-rmse.layers{layers}", _rmse(emotion[0], felt))


def _rmse(decoded: Any, truth: Any) -> float:
    return float(np.sqrt(squared_error(as_array(decoded).astype(np.float64), as_array(truth).astype(np.float64))))
