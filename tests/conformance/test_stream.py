"""A stream gives what sampling gives: for every method that streams, and check notices one that does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.fixtures.hosts import shared_host

from dyadbench.api import DECA_56, Context, DyadbenchError, Needs, Noise, Reaction, Setup, Streaming, Word
from dyadbench.bench.latency import latency_rows, streaming
from dyadbench.cell.latency import cut_frames, joined, measure_latency
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.react import largest_gap
from dyadbench.conformance.checks import check_factory
from dyadbench.conformance.stream import check_stream
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.matrix.cells import MethodSpec, method_parts

STREAMS = {
    "mime",
    "lagged-mime",
    "ridge",
    "ridge-sampled",
    "ridge-two-sided",
    "ridge-matched",
    "learning2listen",
    "vqtalker-chunked",
    "dense-fsq",
}


def _build(name: str, corpus: TinyCorpus, **settings: Any) -> Any:
    part, under = method_parts(shared_host(), MethodSpec(name=name, settings=settings), default_preset="smoke")
    setup = Setup(corpus.space, corpus.audio, corpus.emotion, seed=0)
    more = {"tokenizer": shared_host().build("tokenizer", under.name, under.config, setup)} if under else {}
    predictor = shared_host().build("predictor", part.name, part.config, setup, **more)
    if name.startswith("ridge"):
        predictor.fit(corpus)
    return predictor


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in sorted(STREAMS)),
        ("dense-fsq", {"predictor.attention": "block-causal", "predictor.layers": 2}),
        ("dense-fsq", {"predictor.attention": "block-causal", "predictor.context": 16, "predictor.temperature": 0.7}),
        ("dense-fsq", {"predictor.rotary": True, "predictor.context": 16}),
        ("dense-fsq", {"predictor.guidance": 1.5, "predictor.null": 0.15}),
        ("learning2listen", {"predictor.ahead": 8, "predictor.guidance": 1.5, "predictor.null": 0.15}),
        ("learning2listen", {"predictor.ahead": 3, "predictor.reencode": True}),
        (
            "vqtalker-chunked",
            {"predictor.ahead": 5, "predictor.drawn": 2, "predictor.smooth": 30.0, "predictor.guidance": 1.5, "predictor.null": 0.15},
        ),
        ("vqtalker-chunked", {"predictor.drawn": 0, "predictor.convolutions": 2}),
        ("vqtalker-chunked", {"predictor.latent": 4, "predictor.guidance": 1.5, "predictor.null": 0.15}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("space", ["faceverse-58", "deca-56"])
def test_steps_give_what_sample_gives(name: str, settings: dict[str, Any], space: str) -> None:
    corpus = TinyCorpus() if space == "faceverse-58" else TinyCorpus(DECA_56, emotion=False)
    predictor = _build(name, corpus, **settings)
    assert not check_stream(predictor, corpus, CellNoise(3)).startswith("not in")


def test_the_predictors_that_stream_are_found() -> None:
    assert set(streaming(shared_host())) >= STREAMS


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vqtalker", {}),
        ("learning2listen", {"predictor.decode": "window"}),
        ("dense-fsq", {"predictor.mode": "released"}),
        ("dense-fsq", {"tokenizer.block": 32}),
    ],
)
def test_a_configuration_that_cannot_stream_says_so(name: str, settings: dict[str, Any]) -> None:
    predictor = _build(name, TinyCorpus(), **settings)
    with pytest.raises(DyadbenchError, match="stream"):
        predictor.start(("clip",), 1, CellNoise(0))
    row = next(latency_rows(shared_host(), [name], "smoke", settings, 100))
    assert row.latency is None and "does not stream in this configuration" in row.verdict


def test_a_preset_that_no_timed_method_has_is_refused() -> None:
    with pytest.raises(DyadbenchError, match="'papr' is no preset of ridge, dense-fsq; did you mean paper"):
        next(latency_rows(shared_host(), ["ridge", "dense-fsq"], "papr", {}, 100))


def test_a_step_hears_the_words_that_end_in_it() -> None:
    words = (Word("yes", 0.0, 0.2), Word("indeed", 0.3, 1.0), Word("so", 1.8, 2.0))  # frames 4, 24 and 49
    context = dataclasses.replace(TinyCorpus().context([0], Needs(), 50), words=(words,))
    heard = {}
    for first in range(50):
        (now,) = cut_frames(context, first, first + 1, 25.0).words or ()
        heard |= {word.text: (first, word.end) for word in now}
    assert heard == {
        "yes": (4, pytest.approx(0.04)),
        "indeed": (24, pytest.approx(0.04)),
        "so": (49, pytest.approx(0.04)),
    }
    ((late,),) = cut_frames(context, 20, 30, 25.0).words or ()
    assert (late.text, late.start, late.end) == ("indeed", pytest.approx(-0.5), pytest.approx(0.2))


def test_chunks_of_a_short_clip_do_not_depend_on_the_batch() -> None:
    corpus = TinyCorpus()
    predictor = _build("vqtalker-chunked", corpus)
    context = corpus.context([0, 1], predictor.needs, 61)
    for values in (context.speaker_motion, *context.audio.values()):
        values[1, 37 * values.shape[1] // 61 :] = 0
    ragged = dataclasses.replace(context, lengths=np.array([61, 37]))
    alone = predictor.sample(cut_frames(ragged, 0, 37, 25.0), 2, CellNoise(0))
    together = predictor.sample(ragged, 2, CellNoise(0))
    assert largest_gap(Reaction(alone.motion[1:]), Reaction(together.motion[1:, :, :37])) < 1e-4


class Late:
    """Copies the speaker; its stream keeps `owed` frames back, and adds `off` to what it gives."""

    needs = Needs()

    def __init__(self, owed: int = 0, off: float = 0.0):
        self.owed, self.off = owed, off

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        return Reaction(np.repeat(context.speaker_motion[:, None], k, 1))

    def start(self, clips: Sequence[str], k: int, noise: Noise) -> Any:
        return _LateStream(self, k)


class _LateStream:
    def __init__(self, of: Late, k: int):
        self.of, self.k, self.buffer = of, k, np.zeros((0,))

    def step(self, heard: Context) -> Reaction | None:
        new = heard.speaker_motion + self.of.off
        self.buffer = new if not self.buffer.size else np.concatenate([self.buffer, new], 1)
        ready = self.buffer.shape[1] - self.of.owed
        if ready <= 0:
            return None
        ready_frames, self.buffer = self.buffer[:, :ready], self.buffer[:, ready:]
        return Reaction(np.repeat(ready_frames[:, None], self.k, 1))

    def finish(self) -> Reaction | None:
        return Reaction(np.repeat(self.buffer[:, None], self.k, 1)) if self.of.owed else None


@pytest.mark.parametrize(
    ("model", "complaint"),
    [(Late(owed=2), "it owes 1 more"), (Late(off=0.01), "differs from what it samples, from frame 0"), (Late(), "")],
)
def test_check_notices_a_stream_that_is_late_or_other(model: Late, complaint: str) -> None:
    report = check_factory("late", lambda setup: model)
    item = next(item for item in report.items if "streams what it samples" in item.what)
    assert item.ok == (not complaint)
    assert complaint in item.detail


def test_latency_counts_the_frames_that_must_be_heard() -> None:
    corpus = TinyCorpus(frames=120)
    model: Streaming = Late(owed=3)
    latency = measure_latency(model, corpus.context([0], model.needs, 120), CellNoise(0), 25.0)
    assert latency is not None
    assert latency.first_frame_after == 4
    assert latency.first_frame_ms >= 160
    assert latency.budget_ms == 40
    assert 0 < latency.step_p50_ms <= latency.step_p99_ms
    assert latency.step_p99_cpu_ms > 0


def test_parts_are_joined_and_cut() -> None:
    part = Reaction(np.ones((1, 2, 8, 3), np.float32))
    whole = joined([part, part], 11)
    assert whole is not None and whole.motion is not None
    assert whole.motion.shape == (1, 2, 11, 3)
    assert whole.emotion is None
    assert joined([], 5) is None
