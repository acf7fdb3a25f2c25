"""Bands that generated corpora must stay in, fixed from measured conversations before any method was scored.

Sources: Switchboard word timings (turns, phrases, backchannels), MAHNOB mimicry episodes, TALENT (gaze), Bentivoglio
et al. 1997 (blinks), and motion-energy synchrony of 20 dyads (effect size 0.28-0.35 for real against shuffled pairs).
Rates follow the number of partner events, so bands are wider than the sources' standard errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dyadbench.datasets.simdyad.config import SimConfig
from dyadbench.datasets.simdyad.dyads import SimDyad, play, scripts_of
from dyadbench.datasets.simdyad.faces import INDEX

FPS = 25.0
# quantity -> (lowest, highest, measured)
BANDS: Mapping[str, tuple[float, float, float]] = {
    "phrase length, median s": (1.1, 1.9, 1.56),
    "turn length, median s": (3.5, 7.5, 5.35),
    "floor transfer, median s": (0.0, 0.7, 0.30),
    "share of time speaking": (0.36, 0.50, 0.425),
    "verbal backchannels a minute of partner speech": (1.8, 6.4, 4.08),
    "backchannel onset after phrase end, median s": (-0.2, 0.7, 0.12),
    "nods a minute": (2.3, 9.0, 2.3),  # measured as mimicry episodes only: a lower bound
    "smiles a minute": (0.8, 4.0, 0.81),  # likewise
    "blinks a minute": (20.0, 33.0, 26.0),
    "gaze at partner while listening": (0.58, 0.82, 0.70),
    "gaze at partner while speaking": (0.40, 0.64, 0.52),
}
SYNCHRONY = (0.1, 0.6)  # effect size of motion-energy synchrony, `hard`; 0.28-0.35 measured


def sample(config: SimConfig, contexts: int, seconds: float = 60.0) -> list[SimDyad]:
    """Dyads to measure on: a minute each, the first of every context."""
    longer = config.model_copy(update={"seconds": seconds})
    frames = round(seconds * FPS)
    return [play(longer, "train", c, 0, scripts_of(longer, "train", c), FPS, frames) for c in range(contexts)]


def measure(dyads: list[SimDyad]) -> dict[str, float]:
    """Every quantity of BANDS on the given dyads."""
    people = [person for dyad in dyads for person in dyad.people]
    partners = [dyad.people[1 - who] for dyad in dyads for who in (0, 1)]
    frames = len(people[0].face.speaking)
    minutes = frames / FPS / 60
    inside = [p.script.ipus[(p.script.ipus[:, 0] > 0) & (p.script.ipus[:, 1] < frames / FPS)] for p in people]
    turns = np.concatenate([p.script.turns for p in people])
    speech = sum(partner.face.speaking.sum() for partner in partners) / FPS / 60
    verbal = [
        (e.time, partner)
        for p, partner in zip(people, partners, strict=True)
        for e in p.reactions
        if e.kind == "verbal"
    ]
    ends = [
        float(
            np.min(np.abs(t - q.script.ipus[:, 1]))
            * np.sign(t - q.script.ipus[np.argmin(np.abs(t - q.script.ipus[:, 1])), 1])
        )
        for t, q in verbal
        if len(q.script.ipus)
    ]
    listening = [(p.face.gaze[~p.face.speaking], p.face.gaze[p.face.speaking]) for p in people]
    return {
        "phrase length, median s": float(np.median(np.diff(np.concatenate(inside), axis=1))),
        "turn length, median s": float(np.median(np.diff(turns[turns[:, 0] > -1], axis=1))),
        "floor transfer, median s": float(np.median(np.concatenate([_transfers(dyad) for dyad in dyads]))),
        "share of time speaking": float(np.mean([p.face.speaking.mean() for p in people])),
        "verbal backchannels a minute of partner speech": len(verbal) / speech,
        "backchannel onset after phrase end, median s": float(np.median(ends)),
        "nods a minute": _rate(people, "nod", minutes),
        "smiles a minute": _rate(people, "smile", minutes),
        "blinks a minute": float(np.mean([p.face.blinks for p in people])) / minutes,
        "gaze at partner while listening": float(np.mean(np.concatenate([quiet for quiet, _ in listening]))),
        "gaze at partner while speaking": float(np.mean(np.concatenate([loud for _, loud in listening]))),
    }


def _rate(people: list[Any], kind: str, minutes: float) -> float:
    return sum(e.kind == kind and e.time >= 0 for p in people for e in p.reactions) / len(people) / minutes


def _transfers(dyad: SimDyad) -> np.ndarray:
    """Gaps (or overlaps, negative) between one's turn end and the other's next turn start."""
    a, b = (p.script.turns for p in dyad.people)
    order = np.argsort(np.concatenate([a[:, 0], b[:, 0]]))
    starts, ends = (np.concatenate([a[:, i], b[:, i]])[order] for i in (0, 1))
    return starts[1:] - ends[:-1]


def motion_energy(latents: np.ndarray) -> np.ndarray:
    """(T,) summed absolute change of head and face without speech movements, smoothed over half a second."""
    quick = [INDEX[name] for name in ("smile", "cheek", "brow", "nod", "roll", "lean")]
    energy = np.abs(np.diff(latents[:, quick], axis=0)).sum(1)
    return np.convolve(energy, np.ones(13) / 13, "same")


def synchrony_effect(dyads: list[SimDyad], reach: float = 5.0) -> float:
    """Mean |Fisher z| over lags up to `reach` s of real pairs less that of shuffled pairs, over the latter's deviation."""
    energies = [[motion_energy(p.face.latents) for p in dyad.people] for dyad in dyads]
    real = [_synchrony(a, b, reach) for a, b in energies]
    pseudo = [
        _synchrony(energies[i][0], energies[j][1], reach)
        for i in range(len(energies))
        for j in range(len(energies))
        if i != j
    ]
    return float((np.mean(real) - np.mean(pseudo)) / np.std(pseudo))


def _synchrony(a: np.ndarray, b: np.ndarray, reach: float) -> float:
    lags = range(-round(reach * FPS), round(reach * FPS) + 1, 5)
    found = []
    for lag in lags:
        x, y = (a[lag:], b[: len(b) - lag]) if lag >= 0 else (a[:lag], b[-lag:])
        found.append(abs(np.arctanh(np.clip(np.corrcoef(x, y)[0, 1], -0.999, 0.999))))
    return float(np.mean(found))
