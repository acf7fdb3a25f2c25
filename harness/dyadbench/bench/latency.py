"""Timing predictors that stream: how long the listener's next frame takes, on one core, one sample at a time.

Networks are not trained: weights change no time. What is fitted in closed form is fitted on a few made-up clips.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dyadbench.api import Config, DyadbenchError, Fittable, Predictor, Setup, Streaming, Trainable
from dyadbench.cell.latency import Latency, measure_latency
from dyadbench.cell.noise import CellNoise
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.errors import PluginError, nearest
from dyadbench.matrix.cells import MethodSpec, method_parts
from dyadbench.registry.host import Host

SLOW, FAST = 1e3 / 25, 1e3 / 30  # milliseconds of a frame


class Timed(Config):
    """One method. `latency` None: it does not stream, or its plugin `failed`, for the `reason` given."""

    method: str
    preset: str
    latency: Latency | None = None
    reason: str = ""
    failed: bool = False

    @property
    def verdict(self) -> str:
        """Whether 99 of 100 steps fit into a frame of 30 or of 25 frames per second."""
        if self.latency is None:
            return self.reason
        p99 = self.latency.step_p99_ms
        return "30 fps" if p99 <= FAST else "25 fps" if p99 <= SLOW else "too slow"


def latency_rows(
    host: Host, names: Sequence[str], preset: str | None, settings: Mapping[str, Any], frames: int
) -> Iterator[Timed]:
    """The methods `names` over one made-up clip of FaceVerse, emotion and sound; all that stream where no name is given.

    `preset` None: "small" of those that have it. Raises DyadbenchError for a preset that none of them has. A method whose
    plugin fails costs no other one its row.
    """
    chosen, corpus = names or streaming(host), TinyCorpus(frames=frames)
    if preset is not None:
        _demand_preset(host, chosen, preset)
    for name in chosen:
        row = Timed(method=name, preset="")
        try:
            predictor, entry, used = _build(host, name, preset or "small", settings, corpus)
            with host.blame("predictor", entry, "stream"):
                row = row.model_copy(update={"preset": used, **_timed(predictor, corpus, frames)})
        except PluginError as error:
            row = row.model_copy(update={"reason": str(error), "failed": True})
        yield row


def _timed(predictor: Predictor, corpus: TinyCorpus, frames: int) -> dict[str, Any]:
    """The latency, or the reason why there is none."""
    if not isinstance(predictor, Streaming):
        return {"reason": "does not stream: it has no start(clips, k, noise)"}
    context = corpus.context([0], predictor.needs, frames)
    try:
        predictor.start(context.clips, 1, CellNoise(0))
    except DyadbenchError as refusal:
        return {"reason": f"does not stream in this configuration: {refusal}"}
    try:
        return {"latency": measure_latency(predictor, context, CellNoise(0), corpus.space.fps)}
    except DyadbenchError as fault:
        return {"reason": str(fault), "failed": True}


def _demand_preset(host: Host, names: Sequence[str], preset: str) -> None:
    predictors = [method_parts(host, MethodSpec(name=name))[0].name for name in names]
    presets = list(dict.fromkeys(each for name in predictors for each in host.get("predictor", name).presets))
    if preset not in presets:
        raise DyadbenchError(f"{preset!r} is no preset of {', '.join(names)}; {nearest(preset, presets)}")


def streaming(host: Host) -> list[str]:
    """Every method and predictor that can be built here and streams."""
    names = dict.fromkeys([entry.name for kind in ("method", "predictor") for entry in host.entries(kind)])
    streamers = []
    for name in names:
        try:
            predictor, entry, _ = _build(host, name, "smoke", {}, TinyCorpus(frames=32, clips=2))
            if isinstance(predictor, Streaming):
                with host.blame("predictor", entry, "stream"):
                    predictor.start(("clip",), 1, CellNoise(0))
                streamers.append(name)
        except DyadbenchError:  # a plugin that fails is one of these, too
            continue
    return streamers


def _build(
    host: Host, name: str, preset: str, settings: Mapping[str, Any], corpus: TinyCorpus
) -> tuple[Predictor, str, str]:
    """The predictor, its registered name, and the preset where it has that one."""
    part, under = method_parts(host, MethodSpec(name=name, settings=settings), default_preset=preset)
    setup = Setup(corpus.space, corpus.audio, corpus.emotion, seed=0)
    more: dict[str, Any] = {}
    if under is not None:
        more["tokenizer"] = host.build("tokenizer", under.name, under.config, setup)
    predictor: Predictor = host.build("predictor", part.name, part.config, setup, **more)
    if isinstance(predictor, Fittable) and not isinstance(predictor, Trainable):
        with host.blame("predictor", part.name, "fit"):
            predictor.fit(corpus)
    return predictor, part.name, preset if preset in host.get("predictor", part.name).presets else ""
