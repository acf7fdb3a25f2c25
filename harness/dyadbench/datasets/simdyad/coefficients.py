"""Latent channels to what is stored: coefficients of two face models, and 25 emotion channels.

Noise is added in proportion to each channel's own variance, as measured on real captures and fits.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dyadbench.api import ACTION_UNITS, EMOTION_DIM, EXPRESSIONS
from dyadbench.datasets.simdyad.faces import FACE, INDEX, LATENTS, Face

# White noise as a share of a channel's variance. FaceVerse: an ARKit capture had .7 % of expression and .1 % of the head;
# DECA: two fits had 3.4 % of expression, .3 to 1.1 % of rotation and 3 to 7 % of the jaw.
NOISE = {"faceverse": (0.004, 0.002, 0.002), "deca": (0.022, 0.004, 0.04)}
# How much each facial channel counts in the expression coefficients: a few large sources and many small ones.
WEIGHT = np.array([0.95, 0.8, 1.0, 0.65, 0.3, 0.3, 0.4, 0.5, 0.3, 0.65, 0.5, 1.0, 1.6, 0.7, 0.4, 0.5])


@cache
def mixing(outputs: int, seed: int) -> np.ndarray:
    """(latents, outputs) from latents to expression coefficients: each follows one channel mainly, another half as much."""
    rng = np.random.default_rng([2504, seed, outputs])
    matrix = np.zeros((len(LATENTS), outputs))
    matrix[: len(FACE)] = rng.normal(0, 0.015, (len(FACE), outputs))
    order = np.concatenate([rng.permutation(len(FACE)) for _ in range(-(-outputs // len(FACE)))])[:outputs]
    for column, first in enumerate(order):
        second = rng.choice([other for other in range(len(FACE)) if other != first])
        matrix[[first, second], column] += rng.uniform(0.5, 1.0, 2) * (1, 0.4) * rng.choice([-1, 1], 2)
    matrix[: len(FACE)] *= WEIGHT[:, None]
    return matrix


def _noisy(
    rng: np.random.Generator, parts: np.ndarray, sizes: tuple[int, ...], shares: tuple[float, ...]
) -> np.ndarray:
    """(T, D) with white noise of the given share of each channel's variance over the clip."""
    ratio = np.sqrt(np.repeat([share / (1 - share) for share in shares], sizes))
    return parts + ratio * parts.std(0) * rng.standard_normal(parts.shape, np.float32)


MEAN_FACE = np.concatenate([np.linspace(0.02, 0.3, 52), [3.19, 0.02, -0.01], [0.01, -0.03, 0.6]]).astype(np.float32)
FACEVERSE_GAIN, DECA_GAIN = 1.0, 1.6  # on the mixing matrix


def to_faceverse(rng: np.random.Generator, face: Face) -> np.ndarray:
    """(T, 58) as stored: with the mean face, rotation near pi on its first axis."""
    x = face.latents
    pick = [INDEX[name] for name in ("nod", "shake", "roll")]
    rotation = x[:, pick] * (0.6, 0.6, 0.5) + x[:, [INDEX["lean"], INDEX["sway"], INDEX["sway"]]] * (0.25, 0.15, 0.2)
    translation = x[:, [INDEX["sway"], INDEX["lean"], INDEX["lean"]]] * (0.6, 0.5, 0.4)
    parts = np.concatenate([x @ mixing(52, 0) * FACEVERSE_GAIN, rotation, translation], 1)
    return (MEAN_FACE + _noisy(rng, parts, (52, 3, 3), NOISE["faceverse"])).astype(np.float32)


def to_deca(rng: np.random.Generator, face: Face) -> np.ndarray:
    """(T, 56): 50 expression, 3 rotation, 3 jaw."""
    x = face.latents
    rotation = x[:, [INDEX[name] for name in ("nod", "shake", "roll")]] * (0.2, 0.2, 0.15)
    jaw = x[:, [INDEX["jaw"], INDEX["round"], INDEX["chin"]]] * (0.2, 0.03, 0.03)
    parts = np.concatenate([x @ mixing(50, 1) * DECA_GAIN, rotation, jaw], 1)
    return _noisy(rng, parts, (50, 3, 3), NOISE["deca"]).astype(np.float32)


# Action unit -> latents and weights, and what is subtracted: intensity is GAIN times the rest, from 0 to 5.
UNITS: tuple[tuple[dict[str, float], float], ...] = (
    ({"brow": 1.0}, 0.16), ({"brow": 0.9, "frown": -0.3}, 0.24), ({"frown": 1.0}, 0.14), ({"cheek": 1.0}, 0.05),
    ({"lid": 1.0, "cheek": 0.3}, 0.14), ({"nose": 1.0}, 0.36), ({"upper": 1.0, "smile": 0.2}, 0.32), ({"smile": 1.0}, 0.0),
    ({"dimple": 1.0, "smile": 0.2}, 0.30), ({"sadness": 1.0}, 0.32), ({"chin": 1.0}, 0.32), ({"press": 0.8, "round": 0.3}, 0.28),
    ({"press": 1.0, "part": -0.3}, 0.34), ({"part": 1.0}, 0.06), ({"jaw": 1.0}, 0.09),
)  # fmt: skip
GAIN = 8.0
DETECTOR_SECONDS = 0.08  # seconds over which a detector of action units averages


@cache
def _unit_weights() -> tuple[np.ndarray, np.ndarray]:
    weights = np.zeros((len(LATENTS), len(UNITS)))
    for column, (terms, _) in enumerate(UNITS):
        for name, weight in terms.items():
            weights[INDEX[name], column] = weight
    return weights, np.array([rest for _, rest in UNITS])


def intensities(face: Face, fps: float) -> np.ndarray:
    """(T, 15) action units from 0 to 5, as OpenFace gives them."""
    weights, rest = _unit_weights()
    evidence = face.latents @ weights - rest + np.broadcast_to(face.bias, EMOTION_DIM)[ACTION_UNITS]
    width = max(round(DETECTOR_SECONDS * fps), 1)
    padded = np.concatenate([np.repeat(evidence[:1], width, 0), evidence])
    total = np.cumsum(padded, 0)
    return np.clip(GAIN * (total[width:] - total[:-width]) / width, 0, 5)


def to_emotion(face: Face, fps: float) -> np.ndarray:
    """(T, 25): 15 action units 0/1 (intensity 1 or more), valence, arousal, 8 expression probabilities that sum to 1."""
    x = face.latents
    units = (intensities(face, fps) >= 1).astype(np.float32)
    smile, sad, frown, brow, jaw, nose = (x[:, INDEX[n]] for n in ("smile", "sadness", "frown", "brow", "jaw", "nose"))
    bias = np.broadcast_to(face.bias, EMOTION_DIM)
    valence = np.tanh(0.8 * smile - 0.6 * sad - 0.4 * frown + bias[15])
    arousal = np.tanh(0.5 * np.abs(smile) + 0.5 * brow + 0.4 * jaw - 0.15 + bias[16])
    zero = np.zeros_like(smile)
    evidence = [
        zero + 1.6,
        8 * smile,
        7 * sad - 0.4,
        6 * brow - 0.9,
        3 * brow + sad - 1.5,
        5 * nose - 1.4,
        6 * frown - 0.9,
        zero - 1.0,
    ]
    logits = np.stack(evidence, 1) + bias[EXPRESSIONS]
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return np.concatenate([units, valence[:, None], arousal[:, None], odds / odds.sum(1, keepdims=True)], 1).astype(
        np.float32
    )
