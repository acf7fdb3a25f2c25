"""Sessions that stand in two splits: what is learnt in one is then tested, or chosen, on the same recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from dyadbench.api import Clip


def shared_sessions(clips: Mapping[str, Sequence[Clip]]) -> Iterator[tuple[str, str, list[str], int]]:
    """(a split, a later one, the sessions of both, how many the later one has) of the clips by split, where there are such."""
    sessions = {split: {clip.session for clip in of} for split, of in clips.items()}
    for one, other in combinations(sessions, 2):
        if both := sorted(sessions[one] & sessions[other]):
            yield one, other, both, len(sessions[other])
