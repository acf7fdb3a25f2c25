"""Events to faces: impulses convolved with kernels give latent channels, fixed mixing gives coefficients.

Everything of one person is one batched FFT, so a clip costs a millisecond or two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.fft

from dyadbench.datasets.simdyad.config import Coupling
from dyadbench.datasets.simdyad.listener import Style
from dyadbench.datasets.simdyad.script import IN_FACE, Event, Script

LATENTS = (
    "smile", "cheek", "brow", "frown", "jaw", "round", "press", "lid", "sadness", "nod", "shake", "roll", "blink",
    "gaze", "lean", "sway",
)  # fmt: skip
INDEX = {name: i for i, name in enumerate(LATENTS)}
# Event kind -> (latent channel, gain, rise seconds, fall seconds). A nod is an oscillation, below.
SHAPES: dict[str, tuple[tuple[str, float, float, float], ...]] = {
    "smile": (("smile", 1.0, 0.45, 1.4), ("cheek", 0.7, 0.5, 1.3), ("lid", 0.3, 0.5, 1.2)),
    "brow": (("brow", 1.0, 0.2, 0.7),),
    "sadness": (("sadness", 1.0, 0.5, 1.5), ("frown", 0.8, 0.5, 1.4)),
    "open": (("jaw", 0.8, 0.2, 0.6),),
    "tilt": (("roll", 0.8, 0.4, 0.9),),
    "press": (("press", 1.0, 0.3, 0.8),),
    "nod": (("lean", 0.25, 0.3, 0.6),),
    "blink": (("blink", 1.0, 0.05, 0.08),),
    "verbal": (("jaw", 0.35, 0.08, 0.15),),
}
# What a speaker shows; mostly on another channel than the listener's reaction, so that copying is not reacting.
SPEAKER_MARK = {"punch": "brow", "sad": "press", "question": "tilt", "laugh": "smile"}
LIVELINESS = 0.2
NOD_HZ, NOD_SECONDS = 2.6, 1.2  # fast nods of listeners; median durations measured 0.9 to 1.8 s
LISTENING, SPEAKING = 0.70, 0.52  # probability of looking at the partner, measured
KINDS = tuple(SHAPES)


@dataclass(frozen=True)
class Face:
    """One person's latent channels (T, L) and what the voice needs."""

    latents: np.ndarray
    speaking: np.ndarray  # (T,) bool
    gaze: np.ndarray  # (T,) bool, at the partner
    blinks: int


def _size(frames: int) -> int:
    return scipy.fft.next_fast_len(frames + 200, real=True)


@cache
def _kernels(fps: float, frames: int) -> np.ndarray:
    """(kinds, latents, frequencies) transfer from impulses of each event kind to latent channels."""
    size = _size(frames)
    time = np.arange(size) / fps
    bank = np.zeros((len(KINDS), len(LATENTS), size))
    for k, kind in enumerate(KINDS):
        for name, gain, rise, fall in SHAPES[kind]:
            shape = (1 - np.exp(-time / (rise / 2))) ** 2 * np.exp(-np.maximum(time - rise, 0) / fall)
            bank[k, INDEX[name]] += gain * shape / shape.max()
    # A larger first cycle, declination, and a final lowering.
    swing = np.sin(2 * np.pi * NOD_HZ * time) * np.exp(-time / (NOD_SECONDS / 2)) - 0.15 * np.exp(
        -((time - 0.9) ** 2) / 0.1
    )
    bank[KINDS.index("nod"), INDEX["nod"]] += np.where(time < 2 * NOD_SECONDS, swing, 0)
    return scipy.fft.rfft(bank, axis=2)


@cache
def _colour(fps: float, frames: int, channels: int, low: float) -> np.ndarray:
    """Spectral shaping of white noise to a slope of about -1.5 (measured on head pose) above `low` Hz."""
    size = _size(frames)
    frequency = scipy.fft.rfftfreq(size, 1 / fps)
    gain = 1 / (1 + (frequency / low) ** 1.5)
    gain[0] = 0
    return np.broadcast_to(gain / np.sqrt((gain**2).mean()), (channels, len(gain)))


def coloured(rng: np.random.Generator, fps: float, frames: int, channels: int, low: float = 0.3) -> np.ndarray:
    """(channels, frames) smooth noise of unit variance."""
    white = rng.standard_normal((channels, _size(frames)), np.float32)
    shaped = scipy.fft.irfft(scipy.fft.rfft(white, axis=1) * _colour(fps, frames, channels, low), _size(frames), axis=1)
    return shaped[:, :frames]


def active(spans: np.ndarray, fps: float, frames: int) -> np.ndarray:
    """(T,) bool: frames inside any span."""
    edges = np.zeros(frames + 1, int)
    np.add.at(edges, np.clip(np.round(spans[:, 0] * fps).astype(int), 0, frames), 1)
    np.add.at(edges, np.clip(np.round(spans[:, 1] * fps).astype(int), 0, frames), -1)
    return np.cumsum(edges[:-1]) > 0


def _speech(rng: np.random.Generator, speaking: np.ndarray, fps: float) -> np.ndarray:
    """(T, 2) jaw and lip rounding: syllables at about 4.6 Hz while speaking."""
    time = np.arange(len(speaking)) / fps
    rate = 4.6 * (1 + 0.15 * np.sin(2 * np.pi * 0.31 * time + rng.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(rate) / fps + rng.uniform(0, 6)
    jaw = speaking * (0.45 + 0.4 * np.sin(phase))
    return np.stack([jaw, speaking * 0.4 * np.sin(phase / 1.7)], 1)


def _blink_times(rng: np.random.Generator, rate: float, seconds: float) -> list[Event]:
    """A renewal process with a refractory half second."""
    gaps = 0.5 + rng.exponential(max(60 / rate - 0.5, 0.2), int(rate * seconds / 60 * 3) + 8)
    times = np.cumsum(gaps) - 0.5
    return [Event("blink", float(t), 1.0) for t in times[times < seconds]]


def render(
    rng: np.random.Generator, style: Style, coupling: Coupling, own: Script, reactions: Sequence[Event],
    affect: np.ndarray, fps: float, frames: int,
) -> Face:  # fmt: skip
    """One person's face. `affect` (T,) is the slow mood, shared with the partner as far as mimicry goes."""
    seconds = frames / fps
    blinks = _blink_times(rng, style.blink, seconds)
    shown = [Event(SPEAKER_MARK[e.kind], e.time, 0.7 * e.strength) for e in own.events if e.kind in IN_FACE]
    impulses = np.zeros((len(KINDS), _size(frames)), np.float32)
    for event in (*reactions, *shown, *blinks):
        place = round(event.time * fps)
        if event.kind in SHAPES and 0 <= place < frames:
            impulses[KINDS.index(event.kind), place] += event.strength
    spectrum = scipy.fft.rfft(impulses, axis=1)
    latents = scipy.fft.irfft(np.einsum("kf,klf->lf", spectrum, _kernels(fps, frames)), _size(frames), axis=1)[
        :, :frames
    ].T
    speaking = active(own.ipus, fps, frames)
    latents[:, [INDEX["jaw"], INDEX["round"]]] += _speech(rng, speaking, fps)
    noise = coloured(rng, fps, frames, len(LATENTS) + 1)
    liveliness = np.exp(LIVELINESS * affect)[:, None]  # a shared mood moves both more or less: motion-energy synchrony
    latents += coupling.noise * 0.3 * liveliness * noise[: len(LATENTS)].T
    latents[:, INDEX["smile"]] += 0.6 * affect
    latents[:, INDEX["cheek"]] += 0.4 * affect
    share = np.where(speaking, SPEAKING, LISTENING)
    looking = style.gaze + 1.2 * np.log(share / (1 - share))
    gaze = noise[-1] * 1.7 + looking > 0  # a thresholded process: right share in each state, natural run lengths
    latents[:, INDEX["gaze"]] += np.where(gaze, 0.0, 0.8)
    latents[:, INDEX["shake"]] += 0.35 * speaking * noise[INDEX["sway"]]
    latents += style.offset
    return Face(latents, speaking, gaze, len(blinks))


# --- projections ----------------------------------------------------------------------------------------


@cache
def _mixing(outputs: int, seed: int) -> np.ndarray:
    """(latents, outputs): every output follows one or two latents, a little of the rest."""
    rng = np.random.default_rng([2504, seed, outputs])
    mixing = rng.normal(0, 0.06, (len(LATENTS), outputs))
    for column in range(outputs):
        chosen = rng.choice(9, 2, replace=False) if column % 4 else rng.choice([4, 5, 12, 13], 2, replace=False)
        mixing[chosen, column] += rng.uniform(0.4, 1.0, 2) * (1, 0.5)
    return mixing


MEAN_FACE = np.concatenate([np.linspace(0.02, 0.3, 52), [3.19, 0.02, -0.01], [0.01, -0.03, 0.6]]).astype(np.float32)


def to_faceverse(rng: np.random.Generator, face: Face) -> np.ndarray:
    """(T, 58) as stored: with the mean face, rotation near pi on its first axis."""
    x = face.latents
    pick = [INDEX[name] for name in ("nod", "shake", "roll")]
    rotation = x[:, pick] * (0.9, 0.7, 0.6) + x[:, [INDEX["lean"], INDEX["gaze"], INDEX["sway"]]] * (0.8, 0.3, 0.5)
    translation = x[:, [INDEX["sway"], INDEX["lean"], INDEX["shake"]]] * (1.0, 1.0, 0.8)
    parts = np.concatenate([x @ _mixing(52, 0) * 0.6, rotation, translation], 1)
    return (MEAN_FACE + parts + 0.01 * rng.standard_normal(parts.shape, np.float32)).astype(np.float32)


def to_deca(rng: np.random.Generator, face: Face) -> np.ndarray:
    """(T, 56): 50 expression, 3 rotation, 3 jaw."""
    x = face.latents
    rotation = x[:, [INDEX[name] for name in ("nod", "shake", "roll")]] * (0.12, 0.1, 0.08)
    jaw = x[:, [INDEX["jaw"], INDEX["round"], INDEX["press"]]] * (0.2, 0.02, 0.02)
    parts = np.concatenate([x @ _mixing(50, 1) * 0.8, rotation, jaw], 1)
    return (
        parts + np.concatenate([np.full(53, 0.01), np.full(3, 0.003)]) * rng.standard_normal(parts.shape, np.float32)
    ).astype(np.float32)


# AU -> (latents and weights, threshold); occurrence as a classifier would report it.
UNITS: tuple[tuple[dict[str, float], float], ...] = (
    ({"brow": 1.0}, 0.35), ({"brow": 0.9, "sadness": -0.2}, 0.40), ({"frown": 1.0}, 0.30), ({"cheek": 1.0}, 0.40),
    ({"lid": 1.0, "cheek": 0.4}, 0.35), ({"frown": 0.6, "press": 0.5}, 0.55), ({"smile": 0.5, "frown": 0.3}, 0.55),
    ({"smile": 1.0}, 0.45), ({"press": 0.6, "smile": 0.3}, 0.45), ({"sadness": 1.0}, 0.40), ({"press": 0.7, "sadness": 0.5}, 0.5),
    ({"press": 1.0}, 0.40), ({"press": 0.9, "jaw": -0.5}, 0.45), ({"jaw": 1.0}, 0.20), ({"jaw": 1.0}, 0.45),
)  # fmt: skip


@cache
def _unit_weights() -> tuple[np.ndarray, np.ndarray]:
    weights = np.zeros((len(LATENTS), len(UNITS)))
    for column, (terms, _) in enumerate(UNITS):
        for name, weight in terms.items():
            weights[INDEX[name], column] = weight
    return weights, np.array([threshold for _, threshold in UNITS])


def to_emotion(face: Face) -> np.ndarray:
    """(T, 25): 15 action units 0/1, valence, arousal, 8 expression probabilities that sum to 1."""
    x = face.latents
    weights, thresholds = _unit_weights()
    units = (x @ weights > thresholds).astype(np.float32)
    smile, sad, frown, brow, jaw = (x[:, INDEX[name]] for name in ("smile", "sadness", "frown", "brow", "jaw"))
    valence = np.tanh(1.2 * smile - 0.9 * sad - 0.5 * frown)
    arousal = np.tanh(0.7 * np.abs(smile) + 0.7 * brow + 0.5 * jaw - 0.2)
    zero = np.zeros_like(smile)
    logits = np.stack(
        [
            zero + 1.2,
            3 * smile,
            3 * sad,
            3 * brow - 0.5,
            1.5 * brow + sad - 1.5,
            zero - 1.2,
            2 * frown - 0.8,
            zero - 1.0,
        ],
        1,
    )
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return np.concatenate([units, valence[:, None], arousal[:, None], odds / odds.sum(1, keepdims=True)], 1).astype(
        np.float32
    )
