"""Streams depend on their four values and on nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dyadbench.cell.noise import CellNoise

where = st.tuples(st.integers(0, 99), st.text(max_size=5), st.integers(0, 20), st.text(max_size=3))


@given(where, where)
def test_equal_places_share_a_stream_and_others_do_not(a: tuple, b: tuple) -> None:
    def first(place: tuple) -> float:
        return CellNoise(place[0]).stream(*place[1:]).random()

    CellNoise(a[0]).stream(*a[1:]).random(7)  # drawing elsewhere changes nothing
    assert (first(a) == first(b)) == (a == b)


def test_clip_sample_and_purpose_cannot_run_into_each_other() -> None:
    noise = CellNoise(1)
    assert noise.stream("a1", 2).random() != noise.stream("a", 12).random()
