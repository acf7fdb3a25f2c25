"""Whether the streams of one clip run on one clock: motion, emotion and sound of a length, at the declared rate."""

from __future__ import annotations

RATES = (10, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120)  # frames per second that recordings have
NEAR = 0.005  # a rate within this share of one of them is taken for it: 29.97 is 30


def disagreement(fps: float, motion: int | None, emotion: int | None = None, seconds: float | None = None) -> str:
    """Why the streams of one clip cannot be read side by side, in words, and the rate they suggest; "" where they can.

    fps: the declared rate; motion: frames; emotion: rows; seconds: of sound; None for what is not there. Lengths agree
    within one frame: REACT has 751 frames of motion, 750 rows of emotion and sound of 30.04 s.
    """
    if motion is not None and emotion is not None and abs(motion - emotion) > 1:
        rate = _usual(fps * motion / emotion, emotion) if emotion else None
        guess = f"at {fps:g} rows per second the motion has {rate:g}: resample one of them" if rate else "one is cut"
        return f"{motion} frames of motion and {emotion} rows of emotion; {guess}"
    pictures = [frames for frames in (motion, emotion) if frames is not None]
    if seconds is None or not pictures or min(abs(seconds * fps - frames) for frames in pictures) <= 1 + 1e-6:
        return ""
    frames = pictures[0]
    rate = _usual(frames / seconds, frames) if seconds else None
    lengths = f"{seconds:.1f} s of sound and {frames} frames of picture, which last {frames / fps:.1f} s at {fps:g} per second"
    if rate and rate != fps:
        return f"{lengths}; they suggest {rate:g} frames per second: resample the picture to {fps:g}"
    return f"{lengths}; one is cut, or the sound is of another recording"


def other_rate(fps: float, frames: int, seconds: float) -> str:
    """In words, the usual rate that the lengths of motion and sound suggest where it is not `fps`; "" elsewhere.

    For releases whose motion and sound may be cut differently: a cut is no other rate.
    """
    rate = _usual(frames / seconds, frames) if seconds else None
    if rate is None or abs(rate - fps) < 1e-6:
        return ""
    return f"{frames} frames and {seconds:.1f} s of sound suggest {rate:g} frames per second: resample the motion to {fps:g}"


def _usual(rate: float, frames: int) -> float | None:
    """The usual rate that is meant, None where there is none near; `frames` decide how exactly it is known."""
    nearest = min(RATES, key=lambda usual: abs(usual - rate) / usual)
    return nearest if abs(nearest - rate) <= max(NEAR, 1.5 / max(frames, 1)) * nearest else None
