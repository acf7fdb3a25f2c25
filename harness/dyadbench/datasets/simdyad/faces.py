"""Events to faces: impulses convolved with kernels, curves of the script and spontaneous movement give latent channels.

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

FACE = (
    "smile", "cheek", "brow", "frown", "nose", "upper", "dimple", "sadness", "chin", "press", "lid", "part", "jaw", "round",
    "blink", "gaze",
)  # fmt: skip
HEAD = ("nod", "shake", "roll", "lean", "sway")  # lean and sway move the head through space as well
LATENTS = FACE + HEAD
INDEX = {name: i for i, name in enumerate(LATENTS)}
# Event kind -> (latent channel, gain, rise seconds, fall seconds). A nod is an oscillation, below.
SHAPES: dict[str, tuple[tuple[str, float, float, float], ...]] = {
    "smile": (("smile", 0.8, 0.45, 1.4), ("cheek", 0.6, 0.5, 1.3), ("lid", 0.25, 0.5, 1.2)),
    "brow": (("brow", 0.8, 0.2, 0.7),),
    "sadness": (("sadness", 0.8, 0.5, 1.5), ("frown", 0.7, 0.5, 1.4)),
    "open": (("jaw", 0.5, 0.2, 0.6), ("part", 0.5, 0.2, 0.6)),
    "tilt": (("roll", 0.8, 0.5, 1.3),),
    "press": (("press", 0.8, 0.3, 0.8), ("chin", 0.4, 0.3, 0.8)),
    "nod": (("lean", 0.25, 0.3, 0.6), ("nod", -0.35, 0.5, 0.9)),
    "blink": (("blink", 1.0, 0.05, 0.08),),
    "verbal": (("part", 0.4, 0.08, 0.2), ("jaw", 0.2, 0.08, 0.15)),
}
# What a speaker shows; mostly on another channel than the listener's reaction, so that copying is not reacting.
SPEAKER_MARK = {"punch": "brow", "sad": "press", "question": "tilt", "laugh": "smile"}
NOD_HZ, NOD_SECONDS = 2.6, 1.2  # fast nods of listeners; median durations measured 0.9 to 1.8 s
LISTENING, SPEAKING = 0.70, 0.52  # probability of looking at the partner, measured
KINDS = tuple(SHAPES)
# Deviation of what each channel does without a cause: many sources of similar size, so that none is most of the face.
SPONTANEOUS = {
    "smile": 0.12, "cheek": 0.09, "brow": 0.22, "frown": 0.22, "nose": 0.12, "upper": 0.14, "dimple": 0.16, "sadness": 0.14,
    "chin": 0.16, "press": 0.18, "lid": 0.18, "part": 0.10, "jaw": 0.05, "round": 0.08, "blink": 0.0, "gaze": 0.10,
    "nod": 0.14, "shake": 0.20, "roll": 0.16, "lean": 0.25, "sway": 0.30,
}  # fmt: skip
# Deviation over people of each channel at rest: faces differ, and so does where and how people sit.
SPREAD = np.array([0.10] * 14 + [0.0, 0.05] + [0.15, 0.2, 0.15, 0.35, 0.4])
MOOD = {"smile": 0.30, "cheek": 0.22, "lid": 0.06}  # deviation of what the mood moves
RHYTHM = {
    "nod": ("pitch", 0.22),
    "lean": ("pitch", 0.25),
    "shake": ("yaw", 0.24),
    "roll": ("yaw", 0.14),
    "sway": ("yaw", 0.25),
}  # head movement of speech
BURSTS = 1.0  # how unevenly (log) each part of the face moves over time, one deviation
LIVELY = 0.6  # how much more or less (log) people move, one deviation


@dataclass(frozen=True)
class Drive:
    """What moves a person slowly, each (T,) of unit variance: moods and rhythms, partly shared with the partner."""

    mood: np.ndarray
    pitch: np.ndarray
    yaw: np.ndarray
    lively: np.ndarray
    gaze: np.ndarray


@dataclass(frozen=True)
class Face:
    """One person's latent channels (T, L) and what the voice needs."""

    latents: np.ndarray
    speaking: np.ndarray  # (T,) bool
    gaze: np.ndarray  # (T,) bool, at the partner
    blinks: int
    bias: np.ndarray | float = 0.0  # (25,) what a detector adds to the evidence of each emotion channel in this face


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
    # A larger first cycle and declination.
    swing = 0.6 * np.sin(2 * np.pi * NOD_HZ * time) * np.exp(-time / (NOD_SECONDS / 2))
    bank[KINDS.index("nod"), INDEX["nod"]] += np.where(time < 2 * NOD_SECONDS, swing, 0)
    return scipy.fft.rfft(bank, axis=2)


# name -> parts (share of variance, corner Hz, steepness of power above it)
COLOURS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "face": ((0.4, 0.1, 2.5), (0.6, 1.3, 4.0)),  # expressions that come and go, and quick twitches
    "head": ((0.85, 0.12, 2.2), (0.15, 0.7, 4.0)),  # measured slope of log power -1.5 to -1.8 down to noise
    "slow": ((1.0, 0.3, 3.0),),
    "lively": ((1.0, 0.2, 3.0),),
    "speech": ((0.5, 3.0, 6.0), (0.5, 5.0, 8.0)),
}


@cache
def _gain(fps: float, frames: int, colour: str) -> np.ndarray:
    """(frequencies,) amplitude that turns white noise into a colour of unit variance."""
    frequency = scipy.fft.rfftfreq(_size(frames), 1 / fps)
    power = np.zeros(len(frequency))
    for share, corner, steepness in COLOURS[colour]:
        part = 1 / (1 + (frequency / corner) ** steepness)
        part[0] = 0
        if colour == "speech":  # syllables: nothing slower than about two per second
            part *= 1 / (1 + (2.0 / np.maximum(frequency, 1e-6)) ** 6)
        power += share * part / part.mean()
    return np.sqrt(power)


def coloured(rng: np.random.Generator, fps: float, frames: int, colours: Sequence[str]) -> np.ndarray:
    """(len(colours), frames) smooth Gaussian noise of unit variance, each row of its colour."""
    size = _size(frames)
    white = rng.standard_normal((len(colours), size), np.float32)
    gains = np.stack([_gain(fps, frames, colour) for colour in colours])
    return scipy.fft.irfft(scipy.fft.rfft(white, axis=1) * gains, size, axis=1)[:, :frames]


def active(spans: np.ndarray, fps: float, frames: int) -> np.ndarray:
    """(T,) bool: frames inside any span."""
    edges = np.zeros(frames + 1, int)
    np.add.at(edges, np.clip(np.round(spans[:, 0] * fps).astype(int), 0, frames), 1)
    np.add.at(edges, np.clip(np.round(spans[:, 1] * fps).astype(int), 0, frames), -1)
    return np.cumsum(edges[:-1]) > 0


def talking(script: Script, times: np.ndarray) -> np.ndarray:
    """(T,) how much a person talks at `times`, 0 to 1: phrases with soft edges of a third of a second."""
    rate = 20.0
    first = float(times[0])
    count = int((float(times[-1]) - first) * rate) + 2
    raw = active(script.ipus - first, rate, count).astype(float)
    width = np.hanning(15)
    return np.interp((times - first) * rate, np.arange(count), np.convolve(raw, width / width.sum(), "same"))


def _blink_times(rng: np.random.Generator, rate: float, seconds: float) -> list[Event]:
    """A renewal process with a refractory half second."""
    gaps = 0.5 + rng.exponential(max(60 / rate - 0.5, 0.2), int(rate * seconds / 60 * 3) + 8)
    times = np.cumsum(gaps) - 0.5
    return [Event("blink", float(t), 1.0) for t in times[times < seconds]]


def _from_events(events: Sequence[Event], fps: float, frames: int) -> np.ndarray:
    """(L, T) latents that a list of events moves."""
    impulses = np.zeros((len(KINDS), _size(frames)), np.float32)
    for event in events:
        place = round(event.time * fps)
        if event.kind in SHAPES and 0 <= place < frames:
            impulses[KINDS.index(event.kind), place] += event.strength
    spectrum = scipy.fft.rfft(impulses, axis=1)
    moved = scipy.fft.irfft(np.einsum("kf,klf->lf", spectrum, _kernels(fps, frames)), _size(frames), axis=1)
    return np.asarray(moved[:, :frames])


def render(
    rng: np.random.Generator, style: Style, coupling: Coupling, own: Script, reactions: Sequence[Event],
    drive: Drive, fps: float, frames: int,
) -> Face:  # fmt: skip
    """One person's face over a clip of `frames` frames at `fps`."""
    blinks = _blink_times(rng, style.blink, frames / fps)
    marks = [Event(SPEAKER_MARK[e.kind], e.time, 0.7 * e.strength) for e in own.events if e.kind in IN_FACE]
    latents = _from_events((*reactions, *marks, *blinks), fps, frames)  # (L, T)
    speaking = active(own.ipus, fps, frames)
    talk = talking(own, np.arange(frames) / fps)
    colours = ["face"] * len(FACE) + ["head"] * len(HEAD) + ["speech"] * 3 + ["lively"] * len(FACE)
    noise = coloured(rng, fps, frames, colours)
    lively = np.exp(LIVELY * drive.lively - LIVELY**2)
    sizes = coupling.spontaneous * np.array([SPONTANEOUS[name] for name in LATENTS])
    bursts = np.ones((len(LATENTS), 1)) * lively  # few parts of a face move at a time
    bursts[: len(FACE)] *= np.exp(BURSTS * noise[-len(FACE) :] - 0.6 * BURSTS**2)
    latents += sizes[:, None] * bursts * noise[: len(LATENTS)]
    syllables = (
        np.maximum(0.45 + 0.35 * noise[len(LATENTS) : len(LATENTS) + 3], 0) * talk
    )  # irregular, 2 to 6 per second
    latents[INDEX["jaw"]] += 0.4 * syllables[0]
    latents[INDEX["part"]] += 0.3 * syllables[0] + 0.3 * syllables[1]
    latents[INDEX["round"]] += 0.35 * (syllables[2] - 0.45 * talk)
    latents[INDEX["shake"]] += 0.15 * talk * noise[INDEX["sway"]]
    for name, size in MOOD.items():
        latents[INDEX[name]] += size * style.amplitude * drive.mood
    for name, (curve, size) in RHYTHM.items():
        latents[INDEX[name]] += size * lively * getattr(drive, curve)
    share = np.where(speaking, SPEAKING, LISTENING)
    looking = style.gaze + 1.2 * np.log(share / (1 - share))
    gaze = drive.gaze * 1.7 + looking > 0  # a thresholded process: right share in each state, natural run lengths
    latents[INDEX["gaze"]] += np.where(gaze, 0.0, 0.5)
    return Face(latents.T + style.offset, speaking, gaze, len(blinks), style.bias)
