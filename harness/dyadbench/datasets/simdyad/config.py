"""What can be set about the simulated corpus."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dyadbench.api import Config

GENERATOR = 4  # raised whenever the same configuration gives other bytes

# What the two presets are, in one line each; shown wherever they are named.
MEANING = {
    "clear": "simulated people who react to nearly every cue, which tells a method that listens from one that does not",
    "hard": "simulated people who react as weakly, and differ as much, as measured in real dyads",
}

# contexts in train, val, test; every context is played by `listeners` dyads
SIZES = {"tiny": (6, 2, 4), "small": (40, 6, 18), "full": (300, 40, 60)}


class SimConfig(Config):
    """A simulated corpus, complete: the same values give the same bytes, other values have another digest."""

    adjustable = frozenset({"size", "seed", "seconds", "listeners", "link"})
    preset: Literal["clear", "hard"] = "clear"
    layout: Literal["react2024", "l2l"] = "react2024"
    size: Literal["tiny", "small", "full"] = "small"
    seed: int = Field(0, ge=0)
    seconds: float = Field(30.0, ge=4.0, le=120.0)
    listeners: int = Field(4, ge=1, le=9)  # fresh listeners for each speaker context
    link: float = Field(1.0, ge=0.0, le=1.0)  # 0 cuts every influence of the speaker on the listener


class Coupling(Config):
    """What distinguishes the presets: how reliably and how alike people react, and how much they do of their own accord."""

    response: float  # mean probability of reacting to an event
    spread: float  # of that probability over people (logit)
    mood: float  # share of the mood's variance that both people have at the same time
    head: float  # share of slow head movement that follows the partner's, 0.6 s later
    gaze: float  # share of where one looks that is opposite to the partner's
    movement: float  # correlation of how much one moves with the partner's, 1.3 s earlier; mean over conversations
    spontaneous: float  # size of movement without any cause
    styles: float  # spread of resting faces and amplitudes over people


PRESETS = {
    "clear": Coupling(
        response=0.97, spread=0.3, mood=0.5, head=0.75, gaze=0.15, movement=0.4, spontaneous=0.6, styles=0.4
    ),
    "hard": Coupling(
        response=0.4, spread=1.2, mood=0.45, head=0.25, gaze=0.1, movement=0.32, spontaneous=1.0, styles=1.0
    ),
}
