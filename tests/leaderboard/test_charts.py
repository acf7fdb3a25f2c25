"""Pictures of many rows: every row can be told, nothing covers anything, and one far row does not squeeze the others."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from dyadbench.leaderboard.charts import SERIES, Point, lines, scatter
from dyadbench.leaderboard.drawing import NARROW, WIDE, Size
from dyadbench.leaderboard.labels import LINE, spread, width_of


def _texts(picture: str) -> list[tuple[str, tuple[float, float, float, float]]]:
    """The names and numbers of a picture, each with the space it takes."""
    texts = []
    for each in ElementTree.fromstring(str(picture)).iter("text"):
        if each.get("class") != "number":
            continue
        text, x, y = each.text or "", float(each.get("x", 0)), float(each.get("y", 0))
        wide = width_of(text)
        left = x - {"middle": wide / 2, "end": wide}.get(each.get("text-anchor", ""), 0.0)
        texts.append((text, (left, y - 10, left + wide, y - 10 + LINE)))
    return texts


def _covered(boxes: list[tuple[float, float, float, float]]) -> list[tuple[int, int]]:
    return [
        (i, j) for (i, a), (j, b) in combinations(enumerate(boxes), 2)
        if min(a[2], b[2]) - max(a[0], b[0]) > 0.1 and min(a[3], b[3]) - max(a[1], b[1]) > 0.1
    ]  # fmt: skip


def _crowd(count: int, seed: int) -> list[Point]:
    """Names of very different length in two clouds, with one row far away."""
    rng = np.random.default_rng(seed)
    around = np.where(np.arange(count)[:, None] % 2, (0.02, 0.1), (0.06, 0.3)) + rng.normal(
        0, (0.012, 0.05), (count, 2)
    )
    names = [f"method-{'x' * int(rng.integers(0, 20))}{n}" for n in range(count)]
    kinds = ("ranked", "other", "calibration")
    points = [
        Point(name, *map(float, place), kinds[n % 3]) for n, (name, place) in enumerate(zip(names, around, strict=True))
    ]
    return [*points, Point("far", 0.03, 4.9)]


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("seed", range(4))
def test_names_of_thirty_rows_cover_neither_each_other_nor_points(size: Size, seed: int) -> None:
    points = _crowd(29, seed)
    texts = _texts(scatter(points, "t", "x", "y", size, target=0.0, named=True))
    labels = [text for text, _ in texts]
    assert not _covered([box for _, box in texts])
    assert all(box[0] >= 0 and box[2] <= size.width + 60 for _, box in texts)
    for point in points:
        assert sum(point.label in text.split() for text in labels) == 1, (
            f"{point.label}: beside its point or in the legend"
        )
    numbers = {text for text in labels if text.isdigit()}
    legend = {text.split(" ")[0] for text in labels if " " in text and "far" not in text} - {"·"}
    assert numbers == legend, "every number is explained, every explained number stands at a point"


def test_a_row_far_from_all_others_stands_at_the_frame_with_its_value() -> None:
    picture = scatter(_crowd(29, 0), "t", "x", "y", named=True)
    assert "far (4.9 ↑)" in picture
    axis = [
        float(e.text or "")
        for e in ElementTree.fromstring(str(picture)).iter("text")
        if e.get("text-anchor") == "end" and e.get("x") == "52.0"
    ]
    assert max(axis) < 1, "the axis ends where the others do"
    long = [*_crowd(29, 0)[:-1], Point("learning2listen-released-temperature-x4", 0.03, 4.9)]
    assert "… (4.9 ↑)" in scatter(long, "t", "x", "y", named=True), "a long name is cut, and its value is not"
    few = scatter([Point("a", 0, 0), Point("b", 1, 1), Point("c", 1, 40)], "t", "x", "y", named=True)
    assert "↑" not in few, "of three rows none is the exception"


def test_of_many_lines_the_first_are_named_and_the_others_are_grey() -> None:
    series = {f"m{n}": ([0.0, 1.0], [n, n + 0.1 * n]) for n in range(30)}
    picture = lines(series, "t", "x", "y")
    texts = _texts(picture)
    assert [text for text, _ in texts] == [f"m{n}" for n in range(SERIES)]
    assert not _covered([box for _, box in texts])
    assert picture.count('class="line rest"') == 30 - SERIES
    assert all(f"<title>m{n}</title>" in picture for n in range(30))


def test_names_beside_lines_keep_their_order_and_stay_inside() -> None:
    heights = [10.0, 12.0, 11.0, 200.0, 201.0]
    placed = np.array(spread(heights, 0.0, 210.0))
    assert list(np.argsort(placed)) == list(np.argsort(heights))
    assert (np.diff(np.sort(placed)) >= LINE - 1e-9).all()
    assert placed.min() >= 0 and placed.max() <= 210
    assert spread([], 0, 1) == []
