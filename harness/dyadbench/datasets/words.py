"""Words of a part of a conversation."""

from __future__ import annotations

from collections.abc import Sequence

from dyadbench.api import Word


def words_within(words: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """The words that can be heard between two times, counted from the first of them and cut to what lies between."""
    return tuple(
        Word(w.text, max(w.start, start) - start, min(w.end, end) - start)
        for w in words
        if w.end > start and w.start < end
    )
