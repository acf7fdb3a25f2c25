"""From motion and emotion channels to the few parameters of the drawn face.

A parameter is driven only where something says what a channel means: head rotation, gaze and DECA's jaw by their names,
action units by theirs (also where they are channels of motion, as OpenFace writes them), and the expression coefficients
of the simulated corpus by the generator's own mixing, undone by least squares. Expression coefficients of real data have no
such key, so they move nothing, and the page says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import DECA_56, EMOTION_CHANNELS, FACEVERSE_58, Array, Dataset, MotionSpace
from dyadbench.records.excerpts import BESIDE, HEAD, PARAMETERS, FaceTrack

UNITS = {  # action unit -> (drawn parameter, weight)
    "AU1": ("brow", 0.6), "AU2": ("brow", 0.6), "AU4": ("frown", 0.9), "AU6": ("cheek", 0.9), "AU7": ("lid", 0.9),
    "AU12": ("smile", 0.9), "AU15": ("sadness", 0.9), "AU23": ("press", 0.5), "AU24": ("press", 0.5),
    "AU25": ("jaw", 0.25), "AU26": ("jaw", 0.5), "AU45": ("blink", 0.9),
}  # fmt: skip
INTENSITY = 5.0  # largest value of an action unit that is an intensity (and not 0 or 1)
GAZE = 0.5  # radians to the side that draw the eyes at the end of their way


@dataclass(frozen=True)
class FaceMap:
    """How one dataset's channels move the face. `inverse` (D', P) maps expression; None where the channels have no known meaning."""

    groups: dict[str, tuple[int, int]]
    inverse: NDArray[np.float64] | None
    note: str
    # (D + 1, P) of channels whose names say what they are; the last row is at rest
    named: NDArray[np.float64] | None = None
    beside: tuple[str, ...] = ()  # channels of motion that stand beside the face, as they are
    places: tuple[int, ...] = ()  # where those are

    def draw(self, motion: Array | None, emotion: Array | None) -> FaceTrack:
        """(T, D) motion and (T, 25) emotion, either may be missing -> (T, P), then what is beside the face."""
        source = motion if motion is not None else emotion
        assert source is not None
        face = np.zeros((len(source), len(PARAMETERS)))
        if motion is not None:
            start, stop = self.groups.get("rotation", (0, 0))
            if stop - start == HEAD:
                face[:, :HEAD] = motion[:, start:stop]
            if self.named is not None:
                face += motion @ self.named[:-1] + self.named[-1]
            if self.inverse is not None:
                first, last = self.groups["expression"]
                face += motion[:, first:last] @ self.inverse
        if emotion is not None and (self.inverse is None or motion is None):
            for unit, (name, weight) in UNITS.items():
                if unit in EMOTION_CHANNELS:
                    face[:, PARAMETERS.index(name)] += weight * emotion[:, EMOTION_CHANNELS.index(unit)]
        if motion is not None and "jaw" in self.groups:
            face[:, PARAMETERS.index("jaw")] = motion[:, self.groups["jaw"][0]] / JAW_OPEN
        more = np.zeros((len(face), len(self.places))) if motion is None else motion[:, list(self.places)]
        return np.concatenate([face, more], axis=1)


JAW_OPEN = 0.2  # radians of DECA's jaw that draw a wide open mouth


def _generator_inverse(outputs: int, seed: int, gain: float) -> NDArray[np.float64]:
    """(outputs, P): the simulated corpus's mixing undone by least squares; latents that are not drawn are dropped."""
    from dyadbench.datasets.simdyad.coefficients import mixing
    from dyadbench.datasets.simdyad.faces import INDEX

    undo = np.linalg.pinv(mixing(outputs, seed) * gain)  # (outputs, latents)
    inverse = np.zeros((outputs, len(PARAMETERS)))
    for place, name in enumerate(PARAMETERS):
        if name in INDEX and place >= HEAD:
            inverse[:, place] = undo[:, INDEX[name]]
    return inverse


def _named(space: MotionSpace) -> NDArray[np.float64] | None:
    """(D + 1, P) for a space with action units among its channels; None for one without."""
    weights = np.zeros((space.dim + 1, len(PARAMETERS)))
    for place, channel in enumerate(space.channels):
        unit = re.fullmatch(r"AU0*(\d+)(_r)?", channel)
        if unit and (parameter := UNITS.get(f"AU{unit[1]}")):
            weights[place, PARAMETERS.index(parameter[0])] = parameter[1] / INTENSITY
        elif channel == "gaze_angle_x":
            weights[place, PARAMETERS.index("gaze")] = 1 / GAZE
        elif channel == "gaze":  # 1 at the partner: straight ahead; 0 elsewhere: to the side
            weights[[place, -1], PARAMETERS.index("gaze")] = -0.8, 0.8
    return weights if weights[:-1].any() else None


def face_map(dataset: Dataset) -> FaceMap:
    """The map of a dataset, by its motion space and by whether it was simulated."""
    groups = {name: (start, stop) for name, (start, stop) in dataset.space.groups.items()}
    jaw = " The jaw follows the jaw rotation." if "jaw" in groups else ""
    if (named := _named(dataset.space)) is not None:
        head = "the three rotations" if "rotation" in groups else "not measured, so it stays still"
        beside = tuple(name for name in BESIDE if name in dataset.space.channels)
        moves = " The bar beside a face is how much the body moves." if "movement" in beside else ""
        still = " Translation is not drawn." if "translation" in groups else ""
        return FaceMap(
            groups, None,
            f"Head: {head}. Face: the intensities of the action units that were measured, and the gaze to the side."
            f"{moves}{still}", named, beside, tuple(dataset.space.channels.index(name) for name in beside),
        )  # fmt: skip
    if dataset.simulated and dataset.space in (FACEVERSE_58, DECA_56):  # of simdyad, not of a plugin's simulation
        from dyadbench.datasets.simdyad.coefficients import DECA_GAIN, FACEVERSE_GAIN

        seed, gain = (1, DECA_GAIN) if "jaw" in groups else (0, FACEVERSE_GAIN)
        outputs = groups["expression"][1] - groups["expression"][0]
        return FaceMap(
            groups, _generator_inverse(outputs, seed, gain),
            "Head: the three rotations. Face: the simulator's own channels (smile, brow, blink, ...), recovered from the "
            f"expression coefficients by least squares.{jaw} Translation is not drawn.",
        )  # fmt: skip
    if dataset.has_emotion:
        return FaceMap(
            groups, None,
            "Head: the three rotations. Face: the action units of the emotion channels, as they are (0 or 1 where a "
            f"detector made them).{jaw} Expression coefficients have no known meaning one by one and move nothing; "
            "neither blink nor gaze is drawn.",
        )  # fmt: skip
    return FaceMap(
        groups, None,
        f"Head: the three rotations.{jaw} Expression coefficients have no known meaning one by one and move nothing: "
        "mouth corners, brows and lids stay at rest.",
    )  # fmt: skip
