"""Measures the quantities of `bands` on generated corpora; `python -m dyadbench.datasets.simdyad.acceptance` prints where both
presets stand."""

from __future__ import annotations

from typing import Any

import numpy as np

from dyadbench.api import EMOTION_CHANNELS, EMOTION_DIM
from dyadbench.datasets.simdyad import measures as m
from dyadbench.datasets.simdyad.bands import BANDS, BETWEEN, COUPLINGS, EXPLAINED, FACES, SYNCHRONY
from dyadbench.datasets.simdyad.coefficients import intensities, to_deca, to_emotion, to_faceverse
from dyadbench.datasets.simdyad.config import PRESETS, SimConfig
from dyadbench.datasets.simdyad.dyads import SimDyad, play, scripts_of, stream
from dyadbench.datasets.simdyad.faces import HEAD, INDEX, Face
from dyadbench.metrics.react.closed_form import ccc

FPS = 25.0


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
        "verbal backchannels per minute of partner speech": len(verbal) / speech,
        "backchannel onset after phrase end, median s": float(np.median(ends)),
        "nods per minute": _rate(people, "nod", minutes),
        "smiles per minute": _rate(people, "smile", minutes),
        "blinks per minute": float(np.mean([p.face.blinks for p in people])) / minutes,
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
    correlations = []
    for lag in lags:
        x, y = (a[lag:], b[: len(b) - lag]) if lag >= 0 else (a[:lag], b[-lag:])
        correlations.append(abs(np.arctanh(np.clip(np.corrcoef(x, y)[0, 1], -0.999, 0.999))))
    return float(np.mean(correlations))


# --- faces ----------------------------------------------------------------------------------------------


def _takes(config: SimConfig, contexts: int, fps: float) -> list[list[SimDyad]]:
    """Clips of 30 s: all dyads of each context of the training split."""
    frames = round(config.seconds * fps)
    scripts = [scripts_of(config, "train", context) for context in range(contexts)]
    return [
        [play(config, "train", c, n, pair, fps, frames) for n in range(config.listeners)]
        for c, pair in enumerate(scripts)
    ]


def _stored(config: SimConfig, dyad: SimDyad, who: int, layout: str) -> np.ndarray:
    rng = stream(config, "train", dyad.context, dyad.number, who, layout)
    return (to_deca if layout == "deca" else to_faceverse)(rng, dyad.people[who].face)


def _everybody(takes: list[list[SimDyad]]) -> list[tuple[SimDyad, int]]:
    return [(dyad, who) for context in takes for dyad in context for who in (0, 1)]


def measure_faces(config: SimConfig, contexts: int = 24) -> dict[str, float]:
    """Every quantity of FACES, and the variance of emotion between clips."""
    measures: dict[str, float] = {}
    deca = [_stored(config, d, who, "deca") for d, who in _everybody(_takes(config, contexts, 30.0))]
    people = _everybody(_takes(config, contexts, FPS))
    verse = [_stored(config, d, who, "faceverse") for d, who in people]
    for name, clips, channels in (
        ("DECA expression", deca, slice(50)), ("DECA rotation", deca, slice(50, 53)), ("DECA jaw", deca, slice(53, 56)),
        ("FaceVerse expression", verse, slice(52)), ("FaceVerse rotation", verse, slice(52, 55)),
    ):  # fmt: skip
        measures[f"white noise in {name}"] = float(np.mean([m.noise_share(clip[:, channels]) for clip in clips]))
    for name, channels in (("expression", slice(50)), ("rotation", slice(50, 53))):
        values = [m.autocorrelation(clip[:, channels], 6) for clip in deca]
        measures[f"autocorrelation of {name} at 0.2 s"] = float(np.mean(values))
    measures["effective rank of expression in 30 s"] = float(np.mean([m.effective_rank(clip[:, :50]) for clip in deca]))
    pieces = [clip[i : i + 75, :52] for clip in verse for i in range(0, len(clip) - 74, 75)]
    for share in (0.90, 0.99):
        counts = [m.components(piece, share) for piece in pieces]
        measures[f"components for {share:.0%} of expression in 3 s".replace("%", " %")] = float(np.mean(counts))
    centred = np.concatenate([clip[:, :50] - clip[:, :50].mean(0) for clip in deca])
    measures["first component of expression, all clips"] = m.largest_component(centred)
    together = np.concatenate(verse)
    measures["variance of rotation"] = float(together[:, 52:55].var(0).mean())
    measures["variance of translation"] = float(together[:, 55:].var(0).mean())
    return measures | _emotions(np.stack([to_emotion(d.people[who].face, FPS) for d, who in people]))


def _emotions(clips: np.ndarray) -> dict[str, float]:
    """Rates and durations of action units, and variances, of (clips, T, 25)."""
    minutes = clips.shape[0] * clips.shape[1] / FPS / 60
    measures = {}
    for name in ("AU12", "AU25", "AU4"):
        on = clips[:, :, EMOTION_CHANNELS.index(name)] > 0.5
        lengths = np.concatenate([m.bouts(clip, FPS) for clip in on])
        measures[f"{name} share of time"] = float(on.mean())
        measures[f"{name} per minute"] = len(lengths) / minutes
        measures[f"{name} median s"], measures[f"{name} mean s"] = float(np.median(lengths)), float(lengths.mean())
        measures[f"clips in which {name} never changes"] = float(np.mean(on.all(1) | ~on.any(1)))
    within = clips.var(1, ddof=1).mean()
    measures["constant emotion channels"] = float((np.ptp(clips, axis=1) == 0).mean())
    measures["variance of emotion within clips"] = float(within)
    measures["variance of emotion between clips"] = float(clips.reshape(-1, EMOTION_DIM).var(0).mean() - within)
    return measures


def explained(config: SimConfig, contexts: int = 24) -> dict[str, float]:
    """Share of the listeners' variance that the speaker explains, by group: EXPLAINED."""
    shares = [_common(config.model_copy(update={"link": link}), contexts) for link in (1.0, 0.0)]
    return {name: shares[0][name] - shares[1][name] for name in shares[0]}


def _common(config: SimConfig, contexts: int) -> dict[str, float]:
    groups = {
        "expression": slice(52),
        "rotation": slice(52, 55),
        "translation": slice(55, 58),
        "action units": slice(58, 73),
    }
    by_group: dict[str, list[float]] = {name: [] for name in groups}
    for takes in _takes(config, contexts, FPS):
        for who in (0, 1):
            people = [
                np.concatenate([_stored(config, d, who, "faceverse"), to_emotion(d.people[who].face, FPS)], 1)
                for d in takes
            ]
            for name, channels in groups.items():
                by_group[name].append(m.common_share([person[:, channels] for person in people]))
    return {name: float(np.mean(values)) for name, values in by_group.items()}


def couplings(config: SimConfig, contexts: int = 150) -> dict[str, float]:
    """Every quantity of COUPLINGS, measured as on the real dyads: 900 frames at 30 per second, both roles."""
    rows = []
    for (dyad,) in _takes(config.model_copy(update={"listeners": 1, "seconds": 30.0}), contexts, 30.0):
        people = [_series(person.face)[None] for person in dyad.people]  # (1, T, 4) each
        for speaker, listener in ((people[0], people[1]), (people[1], people[0])):
            copies = np.concatenate([speaker, m.late(speaker[0], 30)[None]])  # (2, T, 4): at once, 1 s late
            rows.append(ccc(copies, listener)[0][:, 0])
    means = np.mean(rows, 0)  # (2, 4)
    lags = ("at once", "1 s late")
    return {f"{name} {lag}": float(means[i, n]) for i, lag in enumerate(lags) for n, name in enumerate(DYADIC)}


DYADIC = ("AU06", "AU12", "movement", "gaze")


def _series(face: Face) -> np.ndarray:
    """The channels of vc-dyads, (T, 4): intensities of AU06 and AU12, log motion energy, gaze at the partner."""
    units = intensities(face, 30.0)
    head = face.latents[:, [INDEX[name] for name in HEAD]]
    energy = np.convolve(np.abs(np.diff(head, axis=0, prepend=head[:1])).sum(1), np.ones(3) / 3, "same")
    smiles = [units[:, EMOTION_CHANNELS.index(name)] for name in ("AU6", "AU12")]
    return np.stack([*smiles, np.log(energy + 1e-3), face.gaze], 1)


def _rows() -> list[list[str]]:
    """The table of all bands: quantity, band, real, clear, hard."""
    configs = [SimConfig.model_validate({"preset": preset}) for preset in PRESETS]
    rows = []

    def add(name: str, low: float, high: float, real: str, values: list[float]) -> None:
        rows.append([name, f"{low:g} to {high:g}", real, *(f"{value:.3f}" for value in values)])

    talk = [measure(sample(config, 60)) for config in configs]
    for name, (low, high, real) in BANDS.items():
        add(name, low, high, f"{real:g}", [values[name] for values in talk])
    faces = [measure_faces(config) for config in configs]
    for name, (low, high, source) in FACES.items():
        add(name, low, high, source, [values[name] for values in faces])
    between = "variance of emotion between clips"
    add(f"{between} (hard)", *BETWEEN, [values[between] for values in faces])
    for config in configs:
        for name, value in explained(config).items():
            add(f"{name} explained by the speaker ({config.preset})", *EXPLAINED[config.preset][name], "", [value])
    copies = [couplings(config) for config in configs]
    for name, (low, high, real) in COUPLINGS.items():
        add(f"{name}: copy (hard)", low, high, f"{real:g}", [values[name] for values in copies])
    effects = [
        synchrony_effect(sample(SimConfig.model_validate({"preset": "hard", "seed": seed}), 30)) for seed in range(4)
    ]
    add("motion-energy synchrony, effect size (hard)", *SYNCHRONY, "0.28-0.35", [float(np.mean(effects))])
    return rows


if __name__ == "__main__":
    for row in _rows():
        print("| " + " | ".join(row) + " |")
