"""What is said: a small vocabulary, in which the last words before an event tell what kind of event it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dyadbench.api import Word

SYLLABLE = 1 / 4.6  # seconds, the rhythm of the voice
# (word, syllables)
PLAIN = (
    ("I", 1), ("you", 1), ("we", 1), ("they", 1), ("the", 1), ("a", 1), ("and", 1), ("but", 1), ("so", 1), ("went", 1),
    ("said", 1), ("think", 1), ("make", 1), ("there", 1), ("house", 1), ("time", 1), ("people", 2), ("only", 2),
    ("maybe", 2), ("working", 2), ("summer", 2), ("really", 2), ("another", 3), ("remember", 3), ("yesterday", 3),
    ("usually", 4),
)  # fmt: skip
ENDINGS: Mapping[str, tuple[tuple[str, int], ...]] = {  # the last words of a phrase that ends in an event
    "cue": (("you", 1), ("know", 1)),
    "punch": (("and", 1), ("he", 1), ("fell", 1), ("over", 2)),
    "news": (("guess", 1), ("what", 1), ("happened", 2)),
    "sad": (("she", 1), ("died", 1)),
    "question": (("do", 1), ("you", 1), ("agree", 2)),
    "laugh": (("ha", 1), ("ha", 1)),
}
BACKCHANNELS = ("mhm", "yeah", "right")
BACKCHANNEL = 0.44  # seconds, measured
TAIL = 0.12  # seconds between an event and the end of its phrase


def speak(
    rng: np.random.Generator, ipus: Sequence[tuple[float, float]], events: Mapping[float, str], seconds: float
) -> tuple[Word, ...]:
    """Words of all phrases that are heard within the clip, each with its start and end in seconds.

    A phrase is filled with whole words from its start; `events` maps an event's time to its kind, and the phrase that
    ends there ends with that kind's words.
    """
    words: list[Word] = []
    for start, end in ipus:
        if end <= 0 or start >= seconds:
            continue
        kind = events.get(end - TAIL)
        last = ENDINGS.get(kind, ()) if kind else ()
        budget = max(round((end - start) / SYLLABLE), 1)
        while sum(size for _, size in last) > budget:  # a short phrase keeps only the last of them
            last = last[1:]
        room, spoken = budget - sum(size for _, size in last), []
        while room > 0:
            choices = [word for word in PLAIN if word[1] <= room]
            spoken.append(choices[int(rng.integers(len(choices)))])
            room -= spoken[-1][1]
        chosen = (*spoken, *last)
        edges = start + (end - start) * np.cumsum([0, *(size for _, size in chosen)]) / budget
        words += [Word(text, float(a), float(b)) for (text, _), a, b in zip(chosen, edges[:-1], edges[1:], strict=True)]
    return tuple(word for word in words if word.end > 0 and word.start < seconds)


def backchannels(times: Sequence[float]) -> tuple[Word, ...]:
    """The words of a listener's spoken backchannels, which begin at `times` (seconds)."""
    return tuple(Word(BACKCHANNELS[i % len(BACKCHANNELS)], time, time + BACKCHANNEL) for i, time in enumerate(times))
