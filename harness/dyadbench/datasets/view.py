"""A dataset that shows clips of another one keeps whatever the other can do beside the Dataset protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from dyadbench.api import Aligns, Dataset, KnowsListeners, MoreListeners

BY_CLIP = ("fresh", "voice", "past", "emotion")  # methods whose first arguments are a split and a clip's index


def pass_on(view: Any, dataset: Dataset, at: Callable[[str, int], tuple[str, int]]) -> None:
    """Gives `view` the optional methods that `dataset` has, and no others: who asks by isinstance gets the same answer.

    `at` turns a (split, index) of the view to one of the dataset.
    """

    def by_clip(method: Callable[..., Any], split: str, index: int, *more: Any) -> Any:
        return method(*at(split, index), *more)

    for name in BY_CLIP:
        if (method := getattr(dataset, name, None)) is not None:
            setattr(view, name, partial(by_clip, method))
    if isinstance(dataset, KnowsListeners):
        view.listeners = partial(_listeners, view, dataset, at)
    if isinstance(dataset, Aligns):
        view.align = dataset.align


def _listeners(
    view: Dataset, dataset: KnowsListeners, at: Callable[[str, int], tuple[str, int]], split: str
) -> list[str] | None:
    """Who listens in the clips of a view; None where the dataset does not say so of one of its splits."""
    places, names = [at(split, n) for n in range(len(view.clips(split)))], dict[str, Sequence[str]]()
    for own in {own for own, _ in places}:
        if (people := dataset.listeners(own)) is None:
            return None
        names[own] = people
    return [names[own][n] for own, n in places]


def listeners_of_no_clip(dataset: Dataset, split: str) -> int:
    """How many columns of `appropriate(split)` are listeners of no clip (api.MoreListeners)."""
    return dataset.appropriate(split).shape[1] - len(dataset.clips(split)) if isinstance(dataset, MoreListeners) else 0
