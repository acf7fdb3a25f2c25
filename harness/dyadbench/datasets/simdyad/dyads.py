"""Contexts played by fresh people: the unit of the corpus, and why its appropriate sets are exact.

A context is two scripts. Each of its dyads draws two new people: A_i speaks the first script and reacts to the
second, B_i the other way round. Whatever B_j does is therefore an appropriate reaction to every A_i of the context,
and A_j to every B_i, with no distance and no threshold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dyadbench.datasets.simdyad.config import PRESETS, SIZES, SimConfig
from dyadbench.datasets.simdyad.faces import LATENTS, Face, coloured, render
from dyadbench.datasets.simdyad.listener import Style, draw_style, react
from dyadbench.datasets.simdyad.script import Event, Script, write_scripts

SPLITS = ("train", "val", "test")
MIMICRY_DELAY = 0.6  # seconds; measured coupling of slow head motion


@dataclass(frozen=True)
class Person:
    style: Style
    script: Script
    reactions: tuple[Event, ...]
    face: Face


@dataclass(frozen=True)
class SimDyad:
    split: str
    context: int
    number: int  # which of the context's dyads
    people: tuple[Person, Person]


def stream(config: SimConfig, *name: object) -> np.random.Generator:
    """The random stream of one thing; independent of everything that was generated before."""
    text = "/".join(map(str, (config.preset, config.seed, config.link, config.seconds, *name)))
    return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")))


def contexts(config: SimConfig, split: str) -> int:
    return SIZES[config.size][SPLITS.index(split)]


def scripts_of(config: SimConfig, split: str, context: int) -> tuple[Script, Script]:
    rng = stream(config, split, context, "script")
    return write_scripts(rng, config.seconds, linked=bool(rng.random() < config.link))


def _affects(
    config: SimConfig, split: str, context: int, number: int, fps: float, frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Slow moods of both: A's own, and B's that follows A's by 0.6 s as far as the preset's mimicry and the link go."""
    share = PRESETS[config.preset].mimicry * config.link
    shared = _resampled(stream(config, split, context, "affect"), fps, frames)
    own = [_resampled(stream(config, split, context, number, person, "affect"), fps, frames) for person in (0, 1)]
    lag = round(MIMICRY_DELAY * fps)
    # Both follow the context's mood, each the other's with the delay: symmetric, so that mirrored clips are alike.
    leads = [shared, np.concatenate([np.repeat(shared[:1], lag), shared])[:frames]]
    first, second = (np.sqrt(share) * lead + np.sqrt(1 - share) * mine for lead, mine in zip(leads, own, strict=True))
    return first, second


def _resampled(rng: np.random.Generator, fps: float, frames: int) -> np.ndarray:
    return coloured(rng, fps, frames, 1, low=0.12)[0]


def play(
    config: SimConfig, split: str, context: int, number: int, scripts: tuple[Script, Script], fps: float, frames: int
) -> SimDyad:
    """One dyad of a context at a frame rate."""
    coupling = PRESETS[config.preset]
    moods = _affects(config, split, context, number, fps, frames)
    people = []
    for who in (0, 1):
        rng = stream(config, split, context, number, who, "person")
        style = draw_style(rng, coupling, len(LATENTS))
        reactions = react(rng, style, scripts[1 - who], config.seconds, config.link)
        face = render(rng, style, coupling, scripts[who], reactions, moods[who], fps, frames)
        people.append(Person(style, scripts[who], tuple(reactions), face))
    return SimDyad(split, context, number, (people[0], people[1]))


def dyads(config: SimConfig, split: str, fps: float, frames: int) -> Iterator[SimDyad]:
    """All dyads of a split, context by context."""
    for context in range(contexts(config, split)):
        scripts = scripts_of(config, split, context)
        for number in range(config.listeners):
            yield play(config, split, context, number, scripts, fps, frames)
