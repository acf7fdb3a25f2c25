"""A part of a dataset is another dataset, and what was measured on it ranks nowhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.datasets.test_folds import Counted
from tests.fixtures.vc_dyads import write_vc_dyads
from typer.testing import CliRunner

from dyadbench.api import (
    Aligns,
    AudioSpec,
    Clip,
    Dataset,
    DrawsListeners,
    Dyad,
    DyadbenchError,
    KnowsListeners,
    MoreListeners,
    MotionSpace,
    RemembersListeners,
    Track,
    Voiced,
)
from dyadbench.cell.split import Split
from dyadbench.cell.verify import ChosenClips
from dyadbench.cli import app
from dyadbench.datasets.config import VCDyadsConfig
from dyadbench.datasets.folds import PooledDataset
from dyadbench.datasets.limit import LimitedDataset, scored_part
from dyadbench.datasets.vc_dyads import VCDyadsDataset
from dyadbench.leaderboard.tables import make_table
from dyadbench.records.record import load_record
from dyadbench.registry.host import Host

DYADS = tuple(f"s{n}" for n in (1, 3, 5, 7, 9, 11, 13))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_vc_dyads(tmp_path / "clone", DYADS, frames=130)


def test_clips_are_spread_over_the_split_and_the_digest_is_another(folder: Path) -> None:
    whole = VCDyadsDataset(VCDyadsConfig(frames=60, test=3, validation=1), folder)
    part = LimitedDataset(whole, 4)
    assert isinstance(part, Dataset)
    assert [len(part.clips(split)) for split in ("train", "val", "test")] == [4, 4, 4]
    assert len({clip.session for clip in part.clips("test")}) == 3
    assert part.digest not in (whole.digest, LimitedDataset(whole, 5).digest)
    ids = [clip.id for clip in whole.clips("test")]
    for index, clip in enumerate(part.clips("test")):
        clip_dyad, meant = part.dyad("test", index), whole.dyad("test", ids.index(clip.id))
        assert clip_dyad.clip == clip and np.array_equal(clip_dyad.listener.motion, meant.listener.motion)
    assert np.array_equal(part.appropriate("test"), np.eye(4, dtype=bool))
    assert len(LimitedDataset(whole, 10**6).clips("test")) == len(ids)
    with pytest.raises(DyadbenchError, match=f"{len(ids) + 1} clips are to be scored and split 'test' has {len(ids)}"):
        scored_part(whole, "test", len(ids) + 1)


def _run(words: list[str]) -> str:
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def test_a_limited_record_lies_apart_says_so_and_never_ranks(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "leaderboards").mkdir()
    words = ["run", "-b", "vc-dyads-last-six", "-m", "mime", "--root", str(tmp_path), "--data", f"vc-dyads={folder}"]
    words += ["--data-set", "frames=60", "--threads", "1"]
    process = _run([*words, "--limit", "4"])
    assert "rank nowhere" in process
    path = tmp_path / "leaderboards" / "limited" / "vc-dyads-last-six+frames-60" / "mime" / "seed0.json"
    limited = load_record(path)
    assert limited.limit == 4 and len(limited.clips) == 4
    assert not (tmp_path / "leaderboards" / "records").exists()
    _run(words)
    whole = load_record(tmp_path / "leaderboards" / "records" / path.relative_to(path.parents[2]))
    assert whole.limit == 0 and "limit" not in whole.dataset.model_dump() and len(whole.clips) == 72
    columns = Host().build("suite", "dyad-vc-dyads", {}).columns
    table = make_table([whole, limited.model_copy(update={"method": "ridge"})], "dyad-vc-dyads", columns)
    assert [row.method for row in table.rows] == ["mime"]
    assert any("ridge, seed 0 was measured on 4 clips per split alone" in note for note in table.notes)


def test_a_file_of_all_clips_is_scored_in_part(folder: Path, tmp_path: Path) -> None:
    from dyadbench.files.predictions import write_template

    data = VCDyadsDataset(VCDyadsConfig(frames=60, validation=0), folder)
    clips = [clip.id for clip in data.clips("test")]
    write_template(tmp_path / "p.safetensors", clips, (len(clips), 5, 60, 4), "motion", 30.0)
    words = ["score", str(tmp_path / "p.safetensors"), "--benchmark", "vc-dyads-last-six", "--root", str(tmp_path)]
    words += ["--data", f"vc-dyads={folder}", "--data-set", "frames=60", "--json", "--threads", "1"]
    part, whole = (CliRunner().invoke(app, [*words, *more]) for more in (["--limit", "4"], []))
    assert part.exit_code == whole.exit_code == 0, part.output + whole.output
    values = [json.loads(out.stdout)["dyad-vc-dyads"]["L2.smile"] for out in (part, whole)]
    expected = [
        np.mean([np.linalg.norm(data.dyad("test", n).listener.motion[:, :2], axis=1).mean() for n in rows])
        for rows in ([int((i + 0.5) * len(clips) / 4) for i in range(4)], range(len(clips)))
    ]
    assert values == pytest.approx(expected, rel=1e-5)
    assert "only 4 clips are scored" in part.stderr


def test_couplings_and_checks_read_a_part(folder: Path) -> None:
    rows = json.loads(
        _run(
            ["data", "couplings", "vc-dyads", str(folder), "-s", "frames=60", "-s", "test=1", "--limit", "6", "--json"]
        )
    )
    assert set(rows["copy of the speaker"]) == {"AU06", "AU12", "movement", "gaze"}
    outcome = CliRunner().invoke(app, ["data", "check", "vc-dyads", str(folder), "--limit", "2", "--json"])
    findings = json.loads(outcome.stdout)["findings"]
    assert sum("no window of 900 frames" in each["meaning"] for each in findings) == 2
    assert any("only 2 recordings" in each["what"] for each in findings)


class Able:
    """Four clips whose every optional method answers with the clip that it was asked about."""

    space = MotionSpace("one", 10.0, ("x",), {"all": (0, 1)})
    audio: Mapping[str, AudioSpec] = {}  # never changed
    has_emotion, simulated, digest = False, True, "d"

    def normalisation(self) -> Mapping[str, Any]:
        return {"kind": "none"}

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{split}{n}", f"{split}{n}", 4) for n in range(4)]

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        track = Track(np.full((4, 1), index, np.float32))
        return Dyad(self.clips(split)[index], track, track)

    def appropriate(self, split: str) -> np.ndarray:
        """Beside its own listener, clip 3 has the first of two others."""
        matrix = np.eye(4, 6, dtype=bool)
        matrix[3, 4] = True
        return matrix

    def more_listeners(self, split: str) -> list[Track]:
        return [Track(np.full((2 + n, 1), 10 + n, np.float32)) for n in range(2)]

    def past(self, split: str, index: int, frames: int) -> np.ndarray:
        return np.full((frames, 1), index, np.float32)

    def align(self, emotion: np.ndarray, frames: int) -> np.ndarray:
        return emotion[:frames]

    def fresh(self, split: str, index: int, draw: int) -> Track:
        return Track(np.full((4, 1), 100 * draw + index, np.float32))

    def voice(self, split: str, index: int) -> tuple[np.ndarray, int]:
        return np.full(8, index), 16000

    def listeners(self, split: str) -> list[str]:
        return [f"{split}{n}" for n in range(4)]


VIEWS: list[tuple[Any, list[int]]] = [
    (lambda whole: LimitedDataset(whole, 2), [1, 3]),
    (lambda whole: scored_part(whole, "test", 2), [1, 3]),
    (lambda whole: ChosenClips(whole, "test", [0, 3]), [0, 3]),
    (
        PooledDataset,
        [8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7],
    ),  # test, then train, then val, in the order of their sessions
]


@pytest.mark.parametrize(("view", "rows"), VIEWS, ids=["limit", "clips", "verify", "folds"])
def test_a_part_can_do_whatever_the_whole_can(view: Any, rows: list[int]) -> None:
    whole, part = Able(), view(Able())
    for kind in (KnowsListeners, RemembersListeners, MoreListeners, Aligns, DrawsListeners, Voiced):
        assert isinstance(part, kind), kind.__name__
        assert not isinstance(view(Counted()), kind), kind.__name__
    for index, row in enumerate(rows):
        own = row % 4
        assert part.dyad("test", index).listener.motion[0, 0] == own
        assert part.past("test", index, 3).tolist() == [[own]] * 3
        assert part.fresh("test", index, 2).motion[0, 0] == 200 + own and part.voice("test", index)[0][0] == own
    assert [name[-1] for name in part.listeners("test")] == [str(row % 4) for row in rows]
    matrix, more = part.appropriate("test"), part.more_listeners("test")
    assert matrix.shape == (len(rows), len(rows) + len(more)) and part.align(np.ones((4, 25)), 2).shape == (2, 25)
    for index, row in enumerate(rows):
        suits = [more[at - len(rows)].motion[0, 0] for at in np.flatnonzero(matrix[index]) if at >= len(rows)]
        assert suits == ([10] if row % 4 == 3 else [])
    split, everybody = Split(part, "test"), Split(whole, "test")
    assert split.ragged and len(split.whole_listeners) == len(rows) + len(more) and everybody.ragged
