"""A source-filter voice: glottal pulses through three formants, syllables at 4.6 Hz, prosody that carries events."""

from __future__ import annotations

import numpy as np

from dyadbench.datasets.simdyad.faces import active
from dyadbench.datasets.simdyad.script import IN_VOICE, Event, Script
from dyadbench.datasets.simdyad.words import BACKCHANNEL, SYLLABLE

RATE = 44100
CONTROL = 200  # values of pitch and loudness per second
FORMANTS = ((620.0, 90.0), (1350.0, 110.0), (2550.0, 160.0))  # Hz, bandwidth
# Pitch factor over the end of a phrase: a cue is a low-pitch region of at least 0.11 s (Ward & Tsukahara 2000).
PITCH = {"cue": 0.72, "punch": 1.25, "news": 1.4, "question": 1.5, "laugh": 1.3}
LOUDNESS = {"cue": 0.8, "punch": 1.5, "news": 1.6, "question": 1.1, "laugh": 1.8}
EMPHASIS = 0.06  # of log pitch, one deviation of the script's head rhythm
REACH = 0.35  # seconds before the event that its prosody lasts


def contours(
    rng: np.random.Generator, script: Script, backchannels: list[Event], pitch: float, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """(pitch Hz, loudness 0..) at CONTROL values per second."""
    count = int(seconds * CONTROL)
    time = np.arange(count) / CONTROL
    spans = (
        np.concatenate([script.ipus, [(e.time, e.time + BACKCHANNEL) for e in backchannels]])
        if backchannels
        else script.ipus
    )
    speaking = active(spans, CONTROL, count).astype(float)
    slow = np.interp(time, np.arange(int(seconds) + 2), rng.normal(0, 0.05, int(seconds) + 2))
    f0 = pitch * np.exp(slow + EMPHASIS * script.curve("pitch", time))  # the head moves with the voice's emphasis
    loud = speaking * (0.55 + 0.45 * np.sin(2 * np.pi / SYLLABLE * time + 1.5 * slow * 20))
    for start, end in script.ipus:  # declination within a phrase
        inside = (time >= start) & (time < end)
        f0[inside] *= 1.06 - 0.12 * (time[inside] - start) / max(end - start, 0.1)
    for event in script.events:
        if event.kind in IN_VOICE:
            inside = (time >= event.time - REACH) & (time <= event.time + 0.12)
            f0[inside] *= PITCH[event.kind]
            loud[inside] *= LOUDNESS[event.kind]
    return f0, np.convolve(loud, np.hanning(13) / np.hanning(13).sum(), "same")


def synthesise(
    rng: np.random.Generator, script: Script, backchannels: list[Event], pitch: float, seconds: float
) -> np.ndarray:
    """(samples,) int16 at 44.1 kHz, mono."""
    from scipy.signal import lfilter

    f0, loud = contours(rng, script, backchannels, pitch, seconds)
    count = int(seconds * RATE)
    place = np.arange(count) * (CONTROL / RATE)
    phase = np.cumsum(np.interp(place, np.arange(len(f0)), f0)) / RATE
    source = np.zeros(count, np.float32)
    source[1:] = np.diff(np.floor(phase))  # one pulse a period
    source = lfilter([1.0], [1.0, -0.95], source) - 0.05 + 0.02 * rng.standard_normal(count, np.float32)
    source *= np.interp(place, np.arange(len(loud)), loud)
    for frequency, width in FORMANTS:
        radius = np.exp(-np.pi * width / RATE)
        source = lfilter([1 - radius], [1.0, -2 * radius * np.cos(2 * np.pi * frequency / RATE), radius**2], source)
    peak = np.abs(source).max()
    return (source / max(peak, 1e-9) * 20000 + rng.normal(0, 3.0, count)).astype(np.int16)
