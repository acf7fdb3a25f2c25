"""Who says what when: turns, inter-pausal units and typed events, before anything is rendered.

Numbers marked (M) are measured on Switchboard word timings; see acceptance.py for the bands they must stay in.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dyadbench.api import Word
from dyadbench.datasets.simdyad.words import TAIL, speak

BURN_IN = 40.0  # seconds before the clip, so that it starts in the middle of a conversation
KINDS = ("cue", "punch", "news", "sad", "question", "laugh")  # speaker events
# Share of phrase ends that carry each kind, and what carries it: prosody, face, or both.
SHARES = (0.42, 0.12, 0.12, 0.08, 0.08, 0.06)
IN_VOICE = {"cue", "punch", "news", "question", "laugh"}
IN_FACE = {"punch", "sad", "question", "laugh"}
# Slow curves that belong to a script, so that every take of it has them: the speaker's head rhythm (two axes, which the
# voice carries as well), how lively it is, and the
# mood and the mutual gaze of the conversation.
SLOW = ("pitch", "yaw", "lively", "mood", "gaze")
SLOW_HZ = {"pitch": 0.5, "yaw": 0.35, "lively": 0.2, "mood": 0.05, "gaze": 0.3}  # corner of each curve's spectrum
SLOW_RATE = 10.0  # values per second
LEAD = 4.0  # seconds of each curve before the clip
OFFSET_QUANTILES = ((0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0), (-1.4, -0.75, -0.07, 0.30, 1.00, 2.62, 4.5))  # (M)


@dataclass(frozen=True)
class Event:
    kind: str
    time: float  # seconds from the start of the clip
    strength: float


@dataclass(frozen=True)
class Script:
    """One person's side of a context."""

    ipus: np.ndarray  # (U, 2) start and end of each stretch of speech, seconds
    turns: np.ndarray  # (V, 2)
    events: tuple[Event, ...]
    words: tuple[Word, ...] = ()
    rapport: float = 0.0  # standard normal: how much more alike than usual the two people of this conversation move
    slow: np.ndarray = field(default_factory=lambda: np.zeros((2, len(SLOW))))  # (N, 5) at SLOW_RATE from -LEAD on

    def curve(self, name: str, times: np.ndarray) -> np.ndarray:
        """One of SLOW at `times` (T,), seconds from the start of the clip."""
        return np.interp(times, np.arange(len(self.slow)) / SLOW_RATE - LEAD, self.slow[:, SLOW.index(name)])


def _turns(rng: np.random.Generator, seconds: float) -> list[list[tuple[float, float]]]:
    """Alternating turns of two people from before the clip until after it."""
    sides: list[list[tuple[float, float]]] = [[], []]
    time, who = -BURN_IN, int(rng.integers(2))
    while time < seconds:
        length = float(np.clip(rng.lognormal(1.716, 1.173), 0.4, 60.0))  # (M) turn length
        sides[who].append((time, time + length))
        offset = float(np.interp(rng.random(), *OFFSET_QUANTILES))  # (M) floor-transfer offset
        time = max(time + 0.3, time + length + offset)
        who = 1 - who
    return sides


def _ipus(rng: np.random.Generator, turns: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches of speech within turns, pauses of at least 0.2 s between."""
    units = []
    for start, end in turns:
        time = start
        while time < end:
            length = float(np.clip(rng.lognormal(0.362, 0.863), 0.15, 12.0))  # (M) IPU length
            stop = min(time + length, end)
            if stop - time > 0.12:
                units.append((time, stop))
            time = stop + 0.2 + float(rng.exponential(0.35))
    return units


def _events(rng: np.random.Generator, ipus: list[tuple[float, float]]) -> list[Event]:
    """At most one typed event at the end of each phrase."""
    edges = np.cumsum(SHARES)
    made_events = []
    for start, end in ipus:
        if end - start < 0.5:
            continue
        place = int(np.searchsorted(edges, rng.random()))
        if place < len(KINDS):
            made_events.append(Event(KINDS[place], end - TAIL, float(np.clip(rng.normal(1.0, 0.15), 0.5, 1.5))))
    return made_events


def _monologue(rng: np.random.Generator, seconds: float) -> list[tuple[float, float]]:
    """Turns of one person while the other only listens: short pauses between them."""
    turns, time = [], -BURN_IN
    while time < seconds:
        length = float(np.clip(rng.lognormal(1.716, 1.173), 0.4, 60.0))
        turns.append((time, time + length))
        time += length + 0.4 + float(rng.exponential(0.8))
    return turns


def _slow(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """(N, 5) smooth Gaussian curves of unit variance, one a column, cut off steeply above their corner."""
    count = round((seconds + 2 * LEAD) * SLOW_RATE)
    size = 2 * count  # a periodic series, of which the first half is kept
    frequency = np.fft.rfftfreq(size, 1 / SLOW_RATE)[:, None]
    gain = 1 / (1 + (frequency / np.array([SLOW_HZ[name] for name in SLOW])) ** 2)
    gain[0] = 0
    curves = np.fft.irfft(np.fft.rfft(rng.standard_normal((size, len(SLOW))), axis=0) * gain, size, axis=0)
    return curves[:count] / np.sqrt((gain**2).mean(0))


def _side(rng: np.random.Generator, turns: list[tuple[float, float]], seconds: float) -> Script:
    ipus = _ipus(rng, turns)
    events = _events(rng, ipus)
    return Script(
        ipus=_inside(ipus, seconds),
        turns=_inside(turns, seconds),
        events=tuple(e for e in events if -2.0 < e.time < seconds),
        words=speak(rng, ipus, {e.time: e.kind for e in events}, seconds),
        rapport=float(rng.normal()),
        slow=_slow(rng, seconds),
    )


def _inside(spans: list[tuple[float, float]], seconds: float) -> np.ndarray:
    inside = [(start, end) for start, end in spans if end > -1.0 and start < seconds + 1.0]
    return np.array(inside, np.float64).reshape(-1, 2)


def write_scripts(
    rng: np.random.Generator, seconds: float, linked: bool, listening: bool = False
) -> tuple[Script, Script]:
    """Both sides of a context. Unlinked: the second side is of another conversation, so nothing can be inferred.

    `listening`: the second person says nothing but backchannels, as in Learning2Listen.
    """
    if listening:
        return _side(rng, _monologue(rng, seconds), seconds), _side(rng, [], seconds)
    first, second = _turns(rng, seconds)
    if not linked:
        second = _turns(rng, seconds)[1]
    return _side(rng, first, seconds), _side(rng, second, seconds)
