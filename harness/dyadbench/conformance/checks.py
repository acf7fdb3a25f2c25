"""What `dyadbench check` asserts of a predictor. The look-ahead is measured by `cell.lookahead`, as in every run."""

from __future__ import annotations

import dataclasses
import random
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import (
    DECA_56,
    Context,
    DyadbenchError,
    Fittable,
    Needs,
    Noise,
    Predictor,
    Reaction,
    Setup,
    Streaming,
    Trainable,
)  # fmt: skip
from dyadbench.cell.lookahead import first_difference, measure_lookahead
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.react import FLOAT_ORDER, demand_predictor, largest_gap, react, row_of
from dyadbench.conformance.report import Item, Report
from dyadbench.conformance.stream import check_stream
from dyadbench.datasets.tiny_corpus import OWN_SPACE, TinyCorpus
from dyadbench.errors import PluginError
from dyadbench.matrix.cells import MethodSpec, Part, method_parts
from dyadbench.records.gain import gain_of
from dyadbench.registry.host import Host
from dyadbench.training.fit import learns


def check_method(name: str, host: Host, *, preset: str | None = None) -> Report:
    """Builds, fits and samples `name` on made-up data; every promise of the contract is one line of the report."""
    report = Report(name)
    for corpus in (
        TinyCorpus(),
        TinyCorpus(DECA_56, emotion=False),
        TinyCorpus(OWN_SPACE, emotion=False, sound=False),
    ):
        predictor_part, tokenizer_part = method_parts(
            host, MethodSpec(name=name, preset=preset), default_preset="smoke"
        )
        build = partial(_build, host, predictor_part, tokenizer_part, corpus)
        entry = host.get("predictor", predictor_part.name)
        fixed = entry.deterministic and tokenizer_part is None
        _check_on(report, corpus, build, privileged=entry.calibration, deterministic=fixed)
    return worked_somewhere(report)


def _build(host: Host, predictor: Part, tokenizer: Part | None, corpus: TinyCorpus) -> tuple[Any, Any]:
    """(predictor, tokenizer or None), untrained."""
    setup = Setup(corpus.space, corpus.audio, corpus.emotion, seed=0)
    if tokenizer is None:
        return host.build("predictor", predictor.name, predictor.config, setup), None
    stand = host.build("tokenizer", tokenizer.name, tokenizer.config, setup)
    return host.build("predictor", predictor.name, predictor.config, setup, tokenizer=stand), stand


def built_on_made_up_data(name: str, host: Host) -> Any:
    """The predictor of a method as it is before training, in its smallest preset."""
    parts = method_parts(host, MethodSpec(name=name), default_preset="smoke")
    return _build(host, *parts, TinyCorpus())[0]


def check_factory(name: str, factory: Callable[[Setup], Predictor]) -> Report:
    """The same checks for a predictor that is not registered; `factory` builds it for a Setup."""
    report = Report(name)
    corpus = TinyCorpus()
    _check_on(report, corpus, lambda: (factory(Setup(corpus.space, corpus.audio, True, seed=0)), None))
    return worked_somewhere(report)


def worked_somewhere(report: Report) -> Report:
    """Adds a failure if every kind of dataset was refused: nothing would have been checked."""
    if all(item.refusal for item in report.items):
        why = report.items[0].detail if report.items else ""
        report.items.append(Item("works on some dataset", False, f"every kind of dataset was refused: {why}"))
    return report


def _check_on(
    report: Report,
    corpus: TinyCorpus,
    build: Callable[[], tuple[Any, Any]],
    *,
    privileged: bool = True,
    deterministic: bool = False,
) -> None:
    where = corpus.space.name
    if refused(report, where, build, corpus):
        return
    fits: list[tuple[Any, dict[str, float]]] = []
    if not report.note(f"{where}: builds and fits", lambda: fits.append(_fitted(build, corpus))):
        return
    (predictor, facts), noise = fits[0], CellNoise(3)
    if not report.note(f"{where}: says what it needs", lambda: _needs(predictor, report.name, privileged)):
        return

    def react_to(context: Context, model: Any = predictor, seed: int = 3) -> Reaction:
        return react(model.sample, context, 3, CellNoise(seed), corpus.space, report.name)

    def sampled(rows: Sequence[int], frames: int, **how: Any) -> Reaction:
        return react_to(corpus.context(rows, predictor.needs, frames), **how)

    for frames in (corpus.frames, 37, 1):
        report.note(f"{where}: exactly {frames} frames", partial(lambda n: _spaces(sampled([0, 1], n)), frames))
    if not report.ok:
        return
    rows = [0, 1, 2]
    report.note(
        f"{where}: same noise, same reaction",
        lambda: _equal(sampled(rows, 64), sampled(rows, 64), "two calls differ; draw from noise.stream(clip, sample)"),
    )

    needs = predictor.needs
    lengths = (64, 64, 64) if needs.truth or needs.fresh else (64, 57, 50)  # references are given whole listeners
    alone = [corpus.context([row], needs, length) for row, length in zip(rows, lengths, strict=True)]
    together = _in_one_batch(corpus, needs, alone, rows)
    report.note(f"{where}: batch does not matter", lambda: _alone_and_together(react_to, together, alone))
    report.note(f"{where}: global random state untouched", lambda: _check_globals(lambda: sampled([0], 32)))
    report.note(f"{where}: inputs untouched", lambda: _check_inputs(predictor, corpus, noise))
    report.note(f"{where}: state survives saving", lambda: _check_state(predictor, build, corpus, sampled))
    report.note(f"{where}: samples", lambda: _diversity(sampled([0], 64)))
    if deterministic:
        report.note(
            f"{where}: the seed changes nothing",
            lambda: _equal(
                sampled(rows, 64), sampled(rows, 64, seed=4),
                "registered with deterministic=True, and another seed gives another reaction; leave that out",
            ),
        )  # fmt: skip
    report.note(f"{where}: speaker", lambda: _hears(predictor, facts, corpus, noise))
    report.note(f"{where}: look-ahead", lambda: _lookahead(predictor, corpus, noise))
    if isinstance(predictor, Streaming):
        report.note(f"{where}: streams what it samples", lambda: check_stream(predictor, corpus, noise))


def refused(report: Report, where: str, build: Callable[[], Any], corpus: TinyCorpus) -> bool:
    """Whether the component refuses the dataset it is built for, which is no fault and stands in the report."""
    if why := _refusal(build, corpus):
        report.items.append(Item(f"{where}: refuses this kind of dataset", True, why, refusal=True))
    return bool(why)


def _refusal(build: Callable[[], Any], corpus: TinyCorpus) -> str | None:
    """The component's reason for refusing this kind of dataset, or None. A method of emotion needs emotion, for example."""
    try:
        component = build()
        needs = getattr(component[0] if isinstance(component, tuple) else component, "needs", None)
        if needs is not None:
            corpus.context([0], needs, 1)  # refuses a feature that it does not have
    except PluginError:
        return None  # it broke, which building it again reports
    except DyadbenchError as refusal:
        return str(refusal)
    except Exception:
        return None
    return None


def _fitted(build: Callable[[], tuple[Any, Any]], corpus: TinyCorpus) -> tuple[Any, dict[str, float]]:
    """The predictor, and its speaker gains (`gain_of`)."""
    predictor, tokenizer = build()
    learn(tokenizer, corpus)
    return predictor, learn(predictor, corpus, speaker_gain=True)


def learn(component: Any, corpus: TinyCorpus, *, speaker_gain: bool = False) -> dict[str, float]:
    """Trains or fits the component on the corpus, if it learns. Returns the speaker gains if they are asked for."""
    if not learns(component):
        return {}
    if not isinstance(component, Trainable):
        component.fit(corpus)
        return {}
    from dyadbench.training.loop import FitOptions, fit

    with tempfile.TemporaryDirectory() as folder:
        how = FitOptions(folder=Path(folder), seed=0, speaker_gain=speaker_gain)
        return gain_of(fit(component, corpus, corpus.audio, how))


def _needs(predictor: Any, name: str, privileged: bool) -> None:
    demand_predictor(predictor, name)
    assert privileged or not predictor.needs.truth, (
        "it asks for the true listener; only entries with calibration=True are given it, and those are never ranked"
    )


def _spaces(reaction: Reaction) -> str:
    return " and ".join(what for what in ("motion", "emotion") if getattr(reaction, what) is not None)


def _equal(a: Reaction, b: Reaction, otherwise: str) -> None:
    assert largest_gap(a, b) == 0, otherwise


def _alone_and_together(react_to: Callable[[Context], Reaction], together: Context, alone: Sequence[Context]) -> str:
    """Compares every clip alone with the batch. The first clip is not enough: a generator seeded per call gives it the same in both."""
    reaction, gaps = react_to(together), []
    for place, context in enumerate(alone):
        gaps.append(largest_gap(row_of(reaction, place, context.frames), react_to(context)))
        assert gaps[-1] <= FLOAT_ORDER, (
            f"clip {place + 1} of a batch gets another reaction alone; draw from noise.stream(clip, sample), and look at no "
            "other clip and at nothing after a clip's own length"
        )
    return "equal to the bit" if max(gaps) == 0 else f"within {max(gaps):.0e} of the size: sums in another order"


def _in_one_batch(corpus: TinyCorpus, needs: Needs, alone: Sequence[Context], rows: Sequence[int]) -> Context:
    """Clips of several lengths as one batch, zeros after the end of the shorter ones."""
    lengths = np.array([context.frames for context in alone])
    longest = corpus.context(rows, needs, int(lengths.max()))

    def cut(values: np.ndarray) -> np.ndarray:
        cut_values = np.array(values)
        for row, length in enumerate(lengths):
            cut_values[row, length * (values.shape[1] // longest.frames) :] = 0
        return cut_values

    return dataclasses.replace(
        longest,
        lengths=lengths,
        speaker_motion=cut(longest.speaker_motion),
        speaker_emotion=None if longest.speaker_emotion is None else cut(longest.speaker_emotion),
        audio={name: cut(values) for name, values in longest.audio.items()},
        own_audio={name: cut(values) for name, values in longest.own_audio.items()},
        words=longest.words and tuple(context.words[0] for context in alone if context.words),
    )


def _check_globals(call: Callable[[], Any]) -> None:
    def snapshot() -> tuple[Any, ...]:
        torch = sys.modules.get("torch")
        state: Any = np.random.get_state(legacy=True)
        return (
            random.getstate(),
            state[1].tobytes(),
            state[2],
            torch.get_rng_state().numpy().tobytes() if torch else None,
        )

    before = snapshot()
    call()
    after = snapshot()
    assert before == after, "sampling drew from a global generator; use noise.stream(clip, sample)"


def _check_inputs(predictor: Any, corpus: TinyCorpus, noise: Noise) -> None:
    context = corpus.context([0, 1], predictor.needs, 40)
    copies = [np.array(a) for a in (context.speaker_motion, *context.audio.values())]
    predictor.sample(context, 2, noise)
    for before, now in zip(copies, (context.speaker_motion, *context.audio.values()), strict=True):
        assert np.array_equal(before, now), "sampling changed the context it was given"


def _check_state(predictor: Any, build: Any, corpus: TinyCorpus, sampled: Any) -> str:
    """Restores the state into a predictor that has learnt nothing, as a run does; only the tokenizer is trained again."""
    if not isinstance(predictor, Trainable | Fittable):
        return "nothing is learnt"
    other, tokenizer = build()
    if tokenizer is not None:
        learn(tokenizer, corpus)
    restore(predictor, other)
    first = first_difference(sampled([0], 64), sampled([0], 64, model=other))
    assert first is None, f"a restored predictor gives other reactions, from frame {first}"
    return ""


def restore(learnt: Any, other: Any) -> None:
    """Gives `other` the state of `learnt` as the store does."""
    if isinstance(learnt, Trainable):
        other.load_state_dict(learnt.state_dict())
        return
    from safetensors.numpy import load, save

    other.load_state_dict(load(save({k: np.ascontiguousarray(v) for k, v in learnt.state_dict().items()})))


def _diversity(reaction: Reaction) -> str:
    values = reaction.motion if reaction.motion is not None else reaction.emotion
    assert values is not None
    return "differ" if np.abs(values - values[:, :1]).max() > 1e-6 else "all alike (deterministic)"


def _hears(predictor: Any, gains: Mapping[str, float], corpus: TinyCorpus, noise: Noise) -> str:
    """Whether another speaker changes the reaction, or in validation the loss: a few steps may not move a token yet.

    The gain is printed as a record has it, but after a fit of seconds on made-up data only zero means something.
    """
    context = corpus.context([0, 1, 2], predictor.needs, 64)
    first = predictor.sample(context, 1, noise)
    gap = largest_gap(first, predictor.sample(_with_another_speaker(context), 1, noise))
    if gap == 0 and not any(gains.values()):
        return "this method ignores the speaker"
    hears = "another speaker, another reaction" if gap else "another speaker, another loss"
    # Without sound there is one number, and "face and sound" beside it would be wrong.
    each = ", ".join(f"{gain:.2g} ({what})" if len(gains) > 1 else f"{gain:.2g}" for what, gain in gains.items())
    return f"{hears}; speaker gain in the unit of its loss: {each}" if gains else hears


def _with_another_speaker(context: Context) -> Context:
    """Every clip with the speaker of the next one; the clip's name, and so its noise, stays."""

    def moved(values: Any) -> Any:
        return None if values is None else np.roll(values, -1, 0)

    return dataclasses.replace(
        context,
        speaker_motion=moved(context.speaker_motion),
        speaker_emotion=moved(context.speaker_emotion),
        audio={name: moved(values) for name, values in context.audio.items()},
        words=None if context.words is None else (*context.words[1:], context.words[0]),
    )


def _lookahead(predictor: Any, corpus: TinyCorpus, noise: Noise) -> str:
    measured = measure_lookahead(
        predictor, corpus.context([0], predictor.needs, corpus.frames), noise, corpus.space.fps
    )
    declared = predictor.needs.lookahead
    words = ["the whole clip" if n is None else f"{n} frames" for n in (measured, declared)]
    if declared is not None and (measured is None or measured > declared):
        raise DyadbenchError(f"measured {words[0]}, declared {words[1]}")
    return f"measured {words[0]}, declared {words[1]}"
