"""A REACT folder small enough to run whole cells on, and the command in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dyadbench.api import EMOTION_CHANNELS

FRAMES = 48
PAIRS = {
    "train": [(f"NoXI/06{i}/Expert_video/1", f"NoXI/06{i}/Novice_video/1") for i in range(3)],
    "val": [(f"NoXI/07{i}/Expert_video/1", f"NoXI/07{i}/Novice_video/1") for i in range(2)],
    "test": [(f"NoXI/08{i}/Expert_video/1", f"NoXI/08{i}/Novice_video/1") for i in range(2)],
}


def write_react(root: Path, frames: int = FRAMES) -> Path:
    """Smooth random people in the released layout, sound included."""
    import soundfile

    rng = np.random.default_rng(0)
    (root / "data").mkdir(parents=True)
    for split, pairs in PAIRS.items():
        lines = [",speaker_path,listener_path", *(f"{i},{a},{b}" for i, (a, b) in enumerate(pairs))]
        (root / "data" / f"{split}.csv").write_text("\n".join(lines) + "\n")
        for path in [each for pair in pairs for each in pair]:
            *head, person, clip = path.split("/")
            released = {"Expert_video": "P1", "Novice_video": "P2"}[person]
            motion = root / split / "3D_FV_files" / f"{path}.npy"
            felt = root / split / "Emotion" / "/".join([*head, released]) / f"{clip}.csv"
            heard = root / split / "Audio_files" / f"{path}.wav"
            for file in (motion, felt, heard):
                file.parent.mkdir(parents=True, exist_ok=True)
            np.save(motion, np.cumsum(rng.standard_normal((frames + 1, 1, 58)), 0).astype(np.float32) * 0.05)
            rows = np.concatenate(
                [rng.random((frames, 15)) > 0.5, rng.uniform(-1, 1, (frames, 2)), rng.dirichlet(np.ones(8), frames)], 1
            )
            header = ",".join(EMOTION_CHANNELS)
            np.savetxt(felt, rows, "%.6f", ",", header=header, comments="")
            soundfile.write(str(heard), rng.standard_normal(int((frames + 1) / 25 * 16000)) * 0.05, 16000)
        if split != "train":
            count = 2 * len(pairs)
            np.save(root / f"neighbour_emotion_{split}.npy", np.eye(count) + np.eye(count)[::-1])
    np.save(root / "mean_face.npy", np.zeros((1, 1, 58), np.float32))
    np.save(root / "std_face.npy", np.ones((1, 1, 58), np.float32))
    return root


@pytest.fixture(scope="session")
def react(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared and never written to."""
    return write_react(tmp_path_factory.mktemp("weather") / "react")


@pytest.fixture
def own_react(tmp_path: Path) -> Path:
    """One to break."""
    return write_react(tmp_path / "react")


@pytest.fixture
def dyadbench(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`dyadbench("run", ...)` -> exit code, stdout, stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        from dyadbench.cli import main

        monkeypatch.setattr("sys.argv", ["dyadbench", *map(str, words)])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture
def cell(react: Path) -> Callable[..., list[str]]:
    """The words of a run over the small folder."""

    def words(method: str, base: Path, data: Path = react, home: Path | None = None) -> list[str]:
        return ["run", "-b", "react2024-val", "-m", method, "--data", f"react2024={data}", "--data-set",
                f"frames={FRAMES}", "--root", str(base), "--home", str(home or base / "home"), "--threads", "1"]  # fmt: skip

    return words
