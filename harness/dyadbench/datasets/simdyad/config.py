"""What can be set about the simulated corpus."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dyadbench.api import Config

GENERATOR = 3  # raised whenever the same configuration gives other bytes

# contexts in train, val, test; every context is played by `listeners` dyads
SIZES = {"tiny": (6, 2, 4), "small": (40, 6, 18), "full": (300, 40, 60)}


class SimConfig(Config):
    """A simulated corpus, complete: the same values give the same bytes."""

    preset: Literal["clear", "hard"] = "clear"
    layout: Literal["react2024", "l2l"] = "react2024"
    size: Literal["tiny", "small", "full"] = "small"
    seed: int = Field(0, ge=0)
    seconds: float = Field(30.0, ge=4.0, le=120.0)
    listeners: int = Field(4, ge=1, le=9)  # fresh listeners for each speaker context
    link: float = Field(1.0, ge=0.0, le=1.0)  # 0 cuts every influence of the speaker on the listener


class Coupling(Config):
    """What distinguishes the presets: how reliably, how alike and how cleanly people react."""

    response: float  # mean probability of reacting to an event
    spread: float  # of that probability over people (logit)
    mimicry: float  # share of a slow affect that both share, the listener 0.6 s behind
    noise: float  # of spontaneous face motion
    styles: float  # of resting offsets and amplitudes over people


PRESETS = {
    "clear": Coupling(response=0.97, spread=0.3, mimicry=0.2, noise=0.1, styles=0.1),
    "hard": Coupling(response=0.4, spread=1.2, mimicry=0.55, noise=0.8, styles=0.9),
}
