"""Pictures on request: whoever has some is asked for the first clips, whoever has none is named."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from dyadbench.api import Dyad, DyadbenchError, Needs
from dyadbench.cell.draw import draw_clips
from dyadbench.cli import app
from dyadbench.datasets.tiny_corpus import TinyCorpus


class Painter:
    needs = Needs(audio=("mfcc-78",))

    def __init__(self, name: str = "portrait"):
        self.name = name

    def draw(self, dyad: Dyad) -> dict[str, str]:
        return {self.name: f"<svg>{dyad.clip.id} {' '.join(dyad.speaker.audio)}</svg>"}


def test_the_first_clips_are_drawn_into_the_folder(tmp_path: Path) -> None:
    corpus = TinyCorpus()
    pictures = draw_clips(
        SimpleNamespace(tokenizer=Painter(), needs=Painter.needs), corpus, "test", tmp_path / "pictures", 3
    )
    assert [path.name for path in pictures] == [f"test-{n}-portrait.svg" for n in range(3)]
    assert {path.parent for path in pictures} == {tmp_path / "pictures"}
    assert pictures[1].read_text() == "<svg>test/1 mfcc-78</svg>", "with the sound that the method hears"
    assert len(draw_clips(Painter(), corpus, "test", tmp_path, 100)) == 8


def test_a_method_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match="no pictures of its own; leave --draw out"):
        draw_clips(SimpleNamespace(), TinyCorpus(), "test", tmp_path, 1)


def test_pictures_that_cannot_be_drawn_cost_no_record(tmp_path: Path) -> None:
    words = ["-b", "simdyad-clear-react-online", "-m", "mime", "--data-set", "size=tiny", "--root", str(tmp_path)]
    answer = CliRunner().invoke(app, ["run", *words, "--home", str(tmp_path / "home"), "--draw", "1"])
    assert answer.exit_code == 1 and "1 of 1 cells recorded" in answer.stdout
    assert len(list(tmp_path.glob("leaderboards/records/*/mime/seed0.json"))) == 1
    fault = "its record is written, and its pictures cannot be drawn: this method has no pictures of its own"
    assert (
        f"simdyad-clear-react-online / mime / seed 0: {fault}" in answer.stderr
        and "pictures are in" not in answer.stdout
    )


def test_a_picture_cannot_be_drawn_outside_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "pictures"
    for name in ("../../../../evil", "/evil", "..", ""):
        (path,) = draw_clips(Painter(name), TinyCorpus(), "test", folder, 1)
        assert path.parent == folder and path.resolve().parent == folder.resolve()
