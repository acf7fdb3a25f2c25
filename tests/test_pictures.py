"""Pictures on request: whoever has some is asked for the first clips, whoever has none is named."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dyadbench.api import Dyad, DyadbenchError
from dyadbench.cell.draw import draw_clips
from dyadbench.conformance.checks import TinyCorpus


class Painter:
    def draw(self, dyad: Dyad) -> dict[str, str]:
        return {"portrait": f"<svg>{dyad.clip.id}</svg>"}


def _run(home: Path, **parts: Any) -> Any:
    """What draw_clips uses of a cell."""
    dyads = list(TinyCorpus().dyads("test"))
    return SimpleNamespace(
        fit=lambda: (SimpleNamespace(**parts), {}),
        cell=SimpleNamespace(name="bench / sfms / seed 0", method="sfms", setting=SimpleNamespace(split="test")),
        runtime=SimpleNamespace(home=home),
        split=SimpleNamespace(clips=[dyad.clip for dyad in dyads]),
        dataset=SimpleNamespace(dyad=lambda split, index: dyads[index]),
    )


def test_the_first_clips_are_drawn_into_a_folder_of_the_cell(tmp_path: Path) -> None:
    drawn = draw_clips(_run(tmp_path, tokenizer=Painter()), 3)
    assert [path.name for path in drawn] == [f"test-{n}-portrait.svg" for n in range(3)]
    assert {path.parent for path in drawn} == {tmp_path / "pictures" / "bench-sfms-seed-0"}
    assert drawn[1].read_text() == "<svg>test/1</svg>"
    assert len(draw_clips(_run(tmp_path, draw=Painter().draw), 100)) == 8


def test_a_method_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match="sfms has no pictures of its own; leave --draw out"):
        draw_clips(_run(tmp_path), 1)
