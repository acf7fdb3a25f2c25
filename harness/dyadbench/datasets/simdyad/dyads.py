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
from dyadbench.datasets.simdyad.faces import SPREAD, Drive, Face, coloured, render, talking
from dyadbench.datasets.simdyad.listener import Style, draw_style, react
from dyadbench.datasets.simdyad.script import Event, Script, write_scripts

SPLITS = ("train", "val", "test")
HEAD_DELAY = 0.6  # seconds; measured coupling of slow head motion
MOVEMENT_DELAY = 1.3  # seconds; how much people move is most alike after one to two
MOVEMENT_SPREAD = 0.45  # over conversations, of how alike two people move: some dyads are in step, others take turns
TALK_MOVES = 0.5  # how much livelier people are while they talk
Scripts = tuple[Script, Script]


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


def scripts_of(config: SimConfig, split: str, context: int) -> Scripts:
    """Both sides of a context; in the layout of Learning2Listen the second one only listens."""
    rng = stream(config, split, context, "script")
    linked = bool(rng.random() < config.link)
    return write_scripts(rng, config.seconds, linked=linked, listening=config.layout == "l2l")


def _drive(rng: np.random.Generator, config: SimConfig, scripts: Scripts, who: int, fps: float, frames: int) -> Drive:
    """What moves one person slowly: the mood of the conversation at once, the speaking partner's rhythm a little later."""
    own, partner = scripts[who], scripts[1 - who]
    coupling, times = PRESETS[config.preset], np.arange(frames) / fps
    private = coloured(rng, fps, frames, ("slow", "slow", "slow", "lively", "slow", "slow", "slow"))

    def mixed(curve: np.ndarray, alone: np.ndarray, share: float) -> np.ndarray:
        share *= config.link
        return np.sqrt(share) * curve + np.sqrt(1 - share) * alone

    def rhythm(axis: str, alone: np.ndarray, script: np.ndarray) -> np.ndarray:
        follow = partner.curve(axis, times - HEAD_DELAY) * talking(partner, times - HEAD_DELAY)
        rhythm = np.sqrt(0.6) * own.curve(axis, times) + np.sqrt(0.4) * script  # of the script, and of this take
        return rhythm * talking(own, times) + mixed(follow, 0.6 * alone, coupling.head)

    lively = partner.curve("lively", times - MOVEMENT_DELAY)
    alike = config.link * np.clip(coupling.movement + MOVEMENT_SPREAD * scripts[0].rapport, -0.9, 0.9)
    return Drive(
        mood=mixed(scripts[0].curve("mood", times), private[0], coupling.mood),
        pitch=rhythm("pitch", private[1], private[4]),
        yaw=rhythm("yaw", private[2], private[5]),
        lively=0.5 * own.curve("lively", times)
        + TALK_MOVES * talking(own, times)
        + alike * lively
        + np.sqrt(1 - alike**2) * private[3],
        gaze=mixed((1 - 2 * who) * scripts[0].curve("gaze", times), private[6], coupling.gaze),
    )


def draw_person(
    config: SimConfig, split: str, context: int, number: int, who: int, scripts: Scripts, fps: float, frames: int
) -> Person:
    """A new person who speaks side `who` of the context and reacts to the other side; `number` is which of many."""
    coupling = PRESETS[config.preset]
    rng = stream(config, split, context, number, who, "person")
    style = draw_style(rng, coupling, SPREAD)
    reactions = react(rng, style, scripts[1 - who], config.seconds, config.link)
    drive = _drive(rng, config, scripts, who, fps, frames)
    face = render(rng, style, coupling, scripts[who], reactions, drive, fps, frames)
    return Person(style, scripts[who], tuple(reactions), face)


def play(
    config: SimConfig, split: str, context: int, number: int, scripts: Scripts, fps: float, frames: int
) -> SimDyad:
    """One dyad of a context at a frame rate."""
    first, second = (draw_person(config, split, context, number, who, scripts, fps, frames) for who in (0, 1))
    return SimDyad(split, context, number, (first, second))


def dyads(config: SimConfig, split: str, fps: float, frames: int) -> Iterator[SimDyad]:
    """All dyads of a split, context by context."""
    for context in range(contexts(config, split)):
        scripts = scripts_of(config, split, context)
        for number in range(config.listeners):
            yield play(config, split, context, number, scripts, fps, frames)
