"""What faces do, counted: blinks, gaze shifts, nods, smiles, mouth, head, and how far behind the speaker they move.

Counted on the excerpts that the page plays, so that a reader can watch what a number says. A behaviour whose channels
never move in the people of an excerpt was not measured there, and is left out.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dyadbench.records.excerpts import BESIDE, HEAD, PARAMETERS, ClipExcerpt, FaceTrack, MethodExcerpt, People, unpack

AT = {name: place for place, name in enumerate((*PARAMETERS, *BESIDE))}
CLOSED, SMILING, SHIFT, NOD = (
    0.5,
    0.3,
    0.3,
    0.03,
)  # of a full blink, of a full smile, of a full turn of the gaze, radians
LONGEST = 2.0  # seconds that a reaction may be behind its cue


def _starts(on: np.ndarray) -> int:
    """How often (T,) becomes true."""
    return int((np.diff(on.astype(int)) == 1).sum() + int(on[0]))


def _blinks(face: FaceTrack, fps: float) -> float:
    return 60 * _starts(face[:, AT["blink"]] > CLOSED) / (len(face) / fps)


def _gaze_shifts(face: FaceTrack, fps: float) -> float:
    """Changes within a fifth of a second, per minute."""
    step = max(round(fps / 5), 1)
    gaze = face[:, AT["gaze"]]
    moved = np.abs(gaze[step:] - gaze[:-step]) > SHIFT if len(gaze) > step else np.zeros(1, bool)
    return 60 * _starts(moved) / (len(face) / fps)


def _nods(face: FaceTrack, fps: float) -> float:
    from scipy.signal import find_peaks

    return 60 * len(find_peaks(face[:, AT["pitch"]], prominence=NOD)[0]) / (len(face) / fps)


def _smiling(face: FaceTrack, fps: float) -> float:
    return 100 * float((face[:, AT["smile"]] > SMILING).mean())


def _mouth(face: FaceTrack, fps: float) -> float:
    return float(np.abs(np.diff(face[:, AT["jaw"]])).mean() * fps)


def _head(face: FaceTrack, fps: float) -> float:
    return float(np.sqrt(np.square(np.diff(face[:, :HEAD], axis=0) * fps).sum(1).mean()))


def _movement(face: FaceTrack, fps: float) -> float:
    return float(face[:, AT["movement"]].mean())


def loudness(clip: ClipExcerpt) -> list[float]:
    """(frames,) root mean square of the speaker's voice in each frame, the loudest 1; [] where there is no voice."""
    if clip.voice is None:
        return []
    import soundfile

    samples, _ = soundfile.read(io.BytesIO(base64.b64decode(clip.voice)))
    parts = np.array_split(np.asarray(samples, np.float64), clip.frames)
    loud = np.array([np.sqrt(np.square(part).mean()) if len(part) else 0.0 for part in parts])
    return [round(float(x), 3) for x in loud / max(loud.max(), 1e-9)]


def latency(speaker: FaceTrack, face: FaceTrack, fps: float) -> float | None:
    """Seconds, up to LONGEST, by which movement follows the speaker's where the two correlate most; None without movement."""
    a, b = (np.convolve(np.abs(np.diff(each, axis=0)).sum(1), np.ones(5) / 5, "same") for each in (speaker, face))
    best: tuple[float, float] | None = None
    for lag in range(min(round(LONGEST * fps), len(a) // 2) + 1):
        x, y = a[: len(a) - lag], b[lag:]
        if x.std() < 1e-9 or y.std() < 1e-9:
            return None
        correlation = float(np.corrcoef(x, y)[0, 1])
        best = max(best, (correlation, -lag / fps)) if best else (correlation, -lag / fps)
    return -best[1] if best else None


COUNTED: tuple[tuple[str, str, tuple[str, ...], Callable[[FaceTrack, float], float]], ...] = (
    ("blinks", "per minute", ("blink",), _blinks), ("gaze shifts", "per minute", ("gaze",), _gaze_shifts),
    ("nods", "per minute", ("pitch",), _nods), ("smile", "% of the time", ("smile",), _smiling),
    ("mouth movement", "per second", ("jaw",), _mouth), ("head speed", "rad/s", PARAMETERS[:HEAD], _head),
    ("body movement", "mean, log of pixels", ("movement",), _movement),
)  # fmt: skip


def behaviour(people: People, methods: Mapping[str, MethodExcerpt]) -> dict[str, Any]:
    """Header and rows: the true listener, the other appropriate ones, then every method, mean over clips and samples."""
    rows = {"true listener": [[unpack(clip.listeners[0].face, people.beside)] for clip in people.clips]}
    if any(len(clip.listeners) > 1 for clip in people.clips):
        rows["other appropriate listeners"] = [
            [unpack(p.face, people.beside) for p in clip.listeners[1:]] for clip in people.clips
        ]
    for name, excerpt in methods.items():
        rows[name] = [
            [unpack(text, people.beside) for text in excerpt.reactions.get(clip.id, ())] for clip in people.clips
        ]
    speakers = [unpack(clip.speaker.face, people.beside) for clip in people.clips]
    real = [*speakers, *(face for faces in rows["true listener"] for face in faces)]
    moving = {name for name in (*PARAMETERS, *people.beside) if any(np.ptp(face[:, AT[name]]) > 0 for face in real)}
    counted = [each for each in COUNTED if moving.intersection(each[2])]
    return {
        "header": [*((title, unit) for title, unit, _, _ in counted), ("behind the speaker", "s")],
        "rows": [(name, _row(clips, speakers, people.fps, [count for *_, count in counted])) for name, clips in rows.items()],
    }  # fmt: skip


def _row(
    clips: Sequence[Sequence[FaceTrack]], speakers: Sequence[FaceTrack], fps: float, counts: Sequence[Callable[[FaceTrack, float], float]]
) -> list[str]:  # fmt: skip
    faces = [face for clip in clips for face in clip]
    if not faces:
        return ["-"] * (len(counts) + 1)
    values = [float(np.mean([count(face, fps) for face in faces])) for count in counts]
    late = [t for speaker, clip in zip(speakers, clips, strict=True) for face in clip if (t := latency(speaker, face, fps)) is not None]  # fmt: skip
    return [*(f"{value:.3g}" for value in values), f"{np.mean(late):.2f}" if late else "-"]
