"""How far ahead a predictor looks: measured by a change of the speaker, never taken on trust."""

from __future__ import annotations

import dataclasses

import numpy as np

from dyadbench.api import Context, Noise, Predictor, Reaction, Word

OTHER_WORDS = ("no", "wonderful", "yesterday", "terrible", "maybe", "laughing")
SAMPLES = 2  # whose look-ahead is measured: a later one may look further than the first
# Where in the clip the speaker is disturbed, off any patch grid; a beginning may look further ahead than the rest, as a first
# window that is filled does.
PROBES = (0.35, 0.5, 0.63, 0.81, 0.02, 0.1)


def perturb_after(context: Context, frame: int, rng: np.random.Generator, fps: float = 25.0) -> Context:
    """The same speakers up to and including `frame`, others afterwards: face, sound and words.

    A word is known when it has been said, so whatever ends after the frame is another word.
    """

    def other(values: np.ndarray, first: int) -> np.ndarray:
        changed = np.array(values)
        tail = changed[:, first:]
        tail += (rng.standard_normal(tail.shape) * (1.0 + np.abs(tail))).astype(changed.dtype)
        return changed

    frames = context.frames
    return dataclasses.replace(
        context,
        speaker_motion=other(context.speaker_motion, frame + 1),
        speaker_emotion=None if context.speaker_emotion is None else other(context.speaker_emotion, frame + 1),
        audio={name: other(a, (frame + 1) * (a.shape[1] // frames)) for name, a in context.audio.items()},
        own_audio={name: other(a, (frame + 1) * (a.shape[1] // frames)) for name, a in context.own_audio.items()},
        words=context.words
        and tuple(_other_words(words, (frame + 1) / fps, frames / fps, rng) for words in context.words),
    )


def _other_words(words: tuple[Word, ...], after: float, end: float, rng: np.random.Generator) -> tuple[Word, ...]:
    """The words that end by `after` seconds, then as many others as were there, at least one, up to the clip's end."""
    past = tuple(word for word in words if word.end <= after)
    count = max(1, len(words) - len(past))
    starts = np.sort(rng.uniform(after, max(end, after), count))
    texts = rng.choice(OTHER_WORDS, count)
    return past + tuple(
        Word(str(text), float(start), float(start) + 0.2) for text, start in zip(texts, starts, strict=True)
    )


@dataclasses.dataclass(frozen=True)
class _Renamed:
    """The noise of the clips that were given other names."""

    noise: Noise
    clips: dict[str, str]  # other name -> name

    def stream(self, clip: str, sample: int, purpose: str = "") -> np.random.Generator:
        return self.noise.stream(self.clips.get(clip, clip), sample, purpose)


def _under_name(predictor: Predictor, context: Context, noise: Noise, probe: str) -> Reaction:
    """The answer for the same clips and the same noise under names of this probe."""
    names = {f"{clip} {probe}": clip for clip in context.clips}
    return predictor.sample(dataclasses.replace(context, clips=tuple(names)), SAMPLES, _Renamed(noise, names))


def _one_answer(predictor: Predictor, context: Context, noise: Noise) -> tuple[Reaction, bool]:
    """The answer, and whether it is another under another name.

    Names have to differ between probes, or a predictor that keeps its answers by clip gives the first one again and seems
    to see nothing. One that reads the name itself, or fails at one that the split does not have, has to be asked under its own.
    """
    base = predictor.sample(context, SAMPLES, noise)
    try:
        again = _under_name(predictor, context, noise, "again")
    except Exception:
        return base, True
    return base, first_difference(base, again) is not None


def _ask(predictor: Predictor, context: Context, noise: Noise, probe: str, by_name: bool) -> Reaction:
    return predictor.sample(context, SAMPLES, noise) if by_name else _under_name(predictor, context, noise, probe)


def measure_lookahead(predictor: Predictor, context: Context, noise: Noise, fps: float = 25.0) -> int | None:
    """How many speaker frames after the one being generated change the output; None: the whole clip.

    The speaker is disturbed after frame t for several t; the first output frame that moves tells how far that frame
    reaches at least, and where the disturbance begins last that still moves it tells how far it reaches.
    """
    # Always the same disturbance: a measurement that changes between runs could not be recorded.
    rng, frames = np.random.default_rng(0), context.frames
    base, by_name = _one_answer(predictor, context, noise)

    def first_moved(t: int) -> int:
        """The first frame that moves with what follows frame t; `frames` where none does."""
        answer = _ask(predictor, perturb_after(context, t, rng, fps), noise, f"after {t}", by_name)
        moved = first_difference(base, answer)
        return frames if moved is None else moved

    reaches = [0]
    for share in PROBES:
        t = int(share * (frames - 1))
        # Frame 0 moves by what happens after the middle: it depends on the whole clip, however long that is.
        if (moved := first_moved(t)) == 0 and t > frames // 2:
            return None
        if moved > t:
            continue
        # A method that works in blocks gives a block's first frame all of the block, of which t may be anywhere.
        last, beyond = t, frames - 1
        while beyond - last > 1:
            middle = (last + beyond) // 2
            last, beyond = (middle, beyond) if first_moved(middle) <= moved else (last, middle)
        reaches.append(last + 1 - moved)  # frames up to `last` were untouched
    return max(reaches)


def reads_emotion(predictor: Predictor, context: Context, noise: Noise) -> bool | None:
    """Whether another emotion of the same speakers, all else equal, changes the output; None where there is no emotion."""
    if context.speaker_emotion is None:
        return None
    other = np.random.default_rng(0).random(context.speaker_emotion.shape).astype(np.float32)
    base, by_name = _one_answer(predictor, context, noise)
    changed = dataclasses.replace(context, speaker_emotion=other)
    return first_difference(base, _ask(predictor, changed, noise, "emotion", by_name)) is not None


def first_difference(a: Reaction, b: Reaction) -> int | None:
    firsts = []
    for one, two in ((a.motion, b.motion), (a.emotion, b.emotion)):
        if one is not None and two is not None:
            # A tolerance, because sums over a longer padded input may be taken in another order.
            moved = np.abs(one - two).max(axis=(0, 1, 3)) > 1e-6 * (1 + np.abs(one).max())
            if moved.any():
                firsts.append(int(moved.argmax()))
    return min(firsts, default=None)
