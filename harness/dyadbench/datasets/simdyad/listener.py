"""How one person reacts: a latent style, and the reaction events it draws from the partner's script."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dyadbench.datasets.simdyad.config import Coupling
from dyadbench.datasets.simdyad.script import KINDS, Event, Script

# What a listener does at each speaker event: (reaction kind, amplitude). Frowns at sad news, brows at news, ...
REACTIONS: dict[str, tuple[tuple[str, float], ...]] = {
    "cue": (("nod", 1.0), ("brow", 0.7)),
    "punch": (("smile", 1.0),),
    "news": (("brow", 1.0), ("tilt", 0.6)),
    "sad": (("sadness", 1.0),),
    "question": (("brow", 0.5), ("nod", 0.7)),
    "laugh": (("smile", 1.0), ("open", 0.8)),
}
SPONTANEOUS = {"nod": 1.0, "smile": 0.6, "brow": 0.6, "tilt": 1.0, "press": 1.2}  # a minute, whatever the partner does
LATENCY = 0.55  # seconds, median; reactions about 700 ms late feel best, onsets come a little earlier
BIAS = np.array(
    [0.3] * 13 + [0.12] * 2 + [0.15] * 2 + [0.6] * 8
)  # deviation over people of what detectors of emotion add to the evidence
VERBAL = 0.5  # share of nods to a cue that come with a spoken backchannel


@dataclass(frozen=True)
class Style:
    """What makes one listener differ from another; over-dispersed as people are."""

    response: dict[str, float]  # probability of reacting, by speaker event
    latency: float  # seconds, this person's median
    amplitude: float
    blink: float  # a minute
    gaze: float  # shift of the probability of looking at the partner (logit)
    offset: np.ndarray  # resting face, (latent channels,)
    bias: np.ndarray  # (25,) what a detector adds to the evidence of each emotion channel in this face
    pitch: float  # of the voice, Hz


def draw_style(rng: np.random.Generator, coupling: Coupling, spread: np.ndarray) -> Style:
    """A new person; `spread` (latent channels,) is how much resting faces and poses differ."""
    centre = np.log(coupling.response / (1 - coupling.response))
    general = rng.normal(0, coupling.spread * 0.7)
    response = {
        kind: float(1 / (1 + np.exp(-(centre + general + rng.normal(0, coupling.spread * 0.7))))) for kind in KINDS
    }
    return Style(
        response=response,
        latency=LATENCY * float(np.exp(rng.normal(0, 0.15))),
        amplitude=float(np.exp(rng.normal(0, coupling.styles * 0.4))),
        blink=26.0 * float(np.exp(rng.normal(0, 0.35))),
        gaze=float(rng.normal(0, 1.0)),
        offset=rng.normal(0, coupling.styles * spread),
        bias=rng.normal(0, coupling.styles * BIAS),
        pitch=float(rng.choice((115.0, 200.0)) * np.exp(rng.normal(0, 0.1))),
    )


def react(rng: np.random.Generator, style: Style, partner: Script, seconds: float, link: float) -> list[Event]:
    """Reaction events with their times; with probability 1 - link a reaction falls anywhere instead of after its cause.

    So rates and shapes are the same at every link, and only the dependence on the partner goes.
    """
    events: list[Event] = []
    for event in partner.events:
        if rng.random() >= style.response[event.kind]:
            continue
        time = event.time + style.latency * float(np.exp(rng.normal(0, 0.18)))
        if rng.random() >= link:
            time = float(rng.uniform(-2.0, seconds))
        for kind, amplitude in REACTIONS[event.kind]:
            events.append(Event(kind, time, amplitude * event.strength * style.amplitude))
        if event.kind == "cue" and rng.random() < VERBAL:
            events.append(Event("verbal", time, 1.0))
    for kind, rate in SPONTANEOUS.items():
        for time in rng.uniform(-2.0, seconds, rng.poisson(rate * (seconds + 2) / 60)):
            events.append(Event(kind, float(time), float(np.clip(rng.normal(0.8, 0.2), 0.2, 1.4)) * style.amplitude))
    return sorted(events, key=lambda event: event.time)
