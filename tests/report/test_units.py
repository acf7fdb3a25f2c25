"""Faces are drawn from action units and gaze that are channels of motion, whatever else a space has or lacks."""

from __future__ import annotations

import numpy as np

from dyadbench.api import MotionSpace
from dyadbench.cell.faces import face_map
from dyadbench.datasets.config import OpenFaceConfig
from dyadbench.datasets.openface import space_of
from dyadbench.datasets.vc_dyads import SPACE
from dyadbench.records.excerpts import PARAMETERS, pack, unpack


class _Data:
    simulated = has_emotion = False

    def __init__(self, space: MotionSpace):
        self.space = space


def _face(space: MotionSpace, **values: float) -> dict[str, float]:
    motion = np.zeros((1, space.dim), np.float32)
    for channel, value in values.items():
        motion[0, space.channels.index(channel)] = value
    map_ = face_map(_Data(space))  # type: ignore[arg-type]
    names = (*PARAMETERS, *map_.beside)
    return {
        name: round(float(value), 3) for name, value in zip(names, map_.draw(motion, None)[0], strict=True) if value
    }


def test_openface_moves_head_smile_lids_and_gaze() -> None:
    space = space_of(OpenFaceConfig())
    assert _face(space, AU12_r=5.0) == {"smile": 0.9}
    assert _face(space, AU45_r=2.5) == {"blink": 0.45}
    assert _face(space, pose_Ry=0.3) == {"yaw": 0.3}
    assert _face(space, gaze_angle_x=0.25) == {"gaze": 0.5}
    assert _face(space, pose_Tx=9.0) == {}


def test_a_space_without_a_head_keeps_it_still_and_looks_at_the_partner() -> None:
    assert _face(SPACE, AU06=5.0, gaze=1.0) == {"cheek": 0.9}
    assert _face(SPACE) == {"gaze": 0.8}, "elsewhere is to the side"
    note = face_map(_Data(SPACE)).note  # type: ignore[arg-type]
    assert "not measured" in note and "how much the body moves" in note and "ranslation" not in note


def test_movement_stands_beside_the_face_and_survives_packing() -> None:
    assert _face(SPACE, gaze=1.0, movement=6.5) == {"movement": 6.5}
    faces = face_map(_Data(SPACE))  # type: ignore[arg-type]
    face = faces.draw(np.array([[1, 2, 6.5, 0], [0, 0, 11.9, 1]], np.float32), None)
    assert faces.beside == ("movement",) and face.shape == (2, len(PARAMETERS) + 1)
    assert np.abs(unpack(pack(face, faces.beside), faces.beside) - face).max() < 12 / 127


def test_a_simulation_of_a_plugin_is_not_read_with_the_simulators_key() -> None:
    """A space without expression ended the report, and one with it moved faces by coefficients of unknown meaning."""
    for groups in ({"all": (0, 3)}, {"expression": (0, 3)}, {"expression": (0, 2), "jaw": (2, 3)}):
        data = _Data(MotionSpace("odd", 25.0, ("a", "b", "c"), groups))
        data.simulated = True
        faces = face_map(data)  # type: ignore[arg-type]
        assert faces.inverse is None and "simulator" not in faces.note
        assert faces.draw(np.zeros((2, 3), np.float32), None).shape == (2, len(PARAMETERS))


def test_a_space_with_two_rotations_and_no_known_channel_is_drawn_at_rest() -> None:
    space = MotionSpace("odd", 25.0, ("p", "q"), {"rotation": (0, 2)})
    assert _face(space, p=1.0) == {}
