"""What `dyadbench check` asserts of a predictor, and the look-ahead measurement that every run makes."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import (
    DyadbenchError,
    Fittable,
    MotionSpace,
    Noise,
    Predictor,
    Reaction,
    Setup,
    Trainable,
)  # fmt: skip
from dyadbench.cell.lookahead import first_difference, measure_lookahead
from dyadbench.cell.noise import CellNoise
from dyadbench.conformance.tiny_corpus import TinyCorpus
from dyadbench.errors import PluginError
from dyadbench.registry.host import Host

# --- the checks -----------------------------------------------------------------------------------------


REFUSED = "refuses this kind of dataset"


@dataclass(frozen=True)
class Item:
    what: str
    ok: bool
    detail: str = ""


@dataclass
class Report:
    name: str
    items: list[Item] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(item.ok for item in self.items)

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "checks": [dataclasses.asdict(item) for item in self.items]}

    def note(self, what: str, test: Callable[[], str | None]) -> bool:
        """Runs `test`; None or text is success (the text is shown), an AssertionError or anything else is not."""
        try:
            with contextlib.redirect_stdout(sys.stderr):  # whatever the method prints; stdout is the report's
                self.items.append(Item(what, True, test() or ""))
        except (Exception, SystemExit) as error:
            self.items.append(Item(what, False, f"{type(error).__name__}: {error}"))
        return self.items[-1].ok


def check(name: str, host: Host, *, preset: str | None = None) -> Report:
    """Builds, fits and samples `name` on made-up data; every promise of the contract is one line of the report."""
    from dyadbench.matrix.cells import MethodSpec, method_parts

    report = Report(name)
    for corpus in (TinyCorpus(), TinyCorpus(_deca(), emotion=False)):
        predictor_part, tokenizer_part = method_parts(
            host, MethodSpec(name=name, preset=preset), default_preset="smoke"
        )
        setup = Setup(corpus.space, corpus.audio, corpus.emotion, seed=0)

        def build(
            setup: Setup = setup, predictor_part: Any = predictor_part, tokenizer_part: Any = tokenizer_part
        ) -> tuple[Any, Any]:
            tokenizer = tokenizer_part and host.build("tokenizer", tokenizer_part.name, tokenizer_part.config, setup)
            more = {"tokenizer": tokenizer} if tokenizer is not None else {}
            return host.build("predictor", predictor_part.name, predictor_part.config, setup, **more), tokenizer

        _check_on(report, corpus, build)
    return _worked_somewhere(report)


def check_factory(name: str, factory: Callable[[Setup], Predictor]) -> Report:
    """The same checks for a predictor that is not registered; `factory` builds it for a Setup."""
    report = Report(name)
    corpus = TinyCorpus()
    _check_on(report, corpus, lambda: (factory(Setup(corpus.space, corpus.audio, True, seed=0)), None))
    return _worked_somewhere(report)


def _worked_somewhere(report: Report) -> Report:
    """A component may refuse one kind of dataset, not every kind: nothing would have been checked."""
    if all(item.what.endswith(REFUSED) for item in report.items):
        report.items.append(Item("works on some dataset", False, "every kind of dataset was refused"))
    return report


def _deca() -> MotionSpace:
    from dyadbench.api import DECA_56

    return DECA_56


def _check_on(report: Report, corpus: TinyCorpus, build: Callable[[], tuple[Any, Any]]) -> None:
    where = corpus.space.name
    if refusal := _refusal(build):
        report.items.append(Item(f"{where}: {REFUSED}", True, refusal))
        return
    built: list[Any] = []
    if not report.note(f"{where}: builds and fits", lambda: built.append(_fitted(build, corpus))):
        return
    predictor, noise = built[0], CellNoise(3)
    needs = predictor.needs

    def sampled(rows: Sequence[int], frames: int, k: int = 3, model: Any = predictor) -> Reaction:
        return model.sample(corpus.context(rows, needs, frames), k, noise)

    def same(a: Reaction, b: Reaction, what: str) -> None:
        assert first_difference(a, b) is None, what

    for frames in (corpus.frames, 37, 1):
        exactly = partial(lambda n: _shapes(sampled([0, 1], n), n, corpus), frames)
        report.note(f"{where}: exactly {frames} frames", exactly)
    if not report.ok:
        return
    report.note(
        f"{where}: same noise, same reaction", lambda: same(sampled([0], 64), sampled([0], 64), "two calls differ")
    )
    report.note(f"{where}: batch does not matter", lambda: _alone_and_together(sampled, same))
    report.note(f"{where}: global random state untouched", lambda: _globals_kept(lambda: sampled([0], 32)))
    report.note(f"{where}: inputs untouched", lambda: _inputs_kept(predictor, corpus, noise))
    report.note(f"{where}: state survives saving", lambda: _state_kept(predictor, build, corpus, sampled, same))
    report.note(f"{where}: samples", lambda: _diversity(sampled([0], 64)))
    report.note(f"{where}: look-ahead", lambda: _lookahead(predictor, corpus, noise))


def _refusal(build: Callable[[], tuple[Any, Any]]) -> str | None:
    """Why this kind of dataset is not one for the component, in its own words: a method of emotion needs emotion."""
    try:
        build()
    except PluginError:
        return None  # it broke, which building it again reports
    except DyadbenchError as refusal:
        return str(refusal)
    except Exception:
        return None
    return None


def _fitted(build: Callable[[], tuple[Any, Any]], corpus: TinyCorpus) -> Any:
    predictor, tokenizer = build()
    for component in (tokenizer, predictor):
        if isinstance(component, Trainable):
            from dyadbench.training.loop import FitOptions, fit

            with tempfile.TemporaryDirectory() as folder:
                fit(component, corpus, corpus.audio, FitOptions(folder=Path(folder), seed=0))
        elif isinstance(component, Fittable):
            component.fit(corpus)
    return predictor


def _shapes(reaction: Reaction, frames: int, corpus: TinyCorpus) -> str:
    for values, channels, what in ((reaction.motion, corpus.space.dim, "motion"), (reaction.emotion, 25, "emotion")):
        if values is not None:
            assert values.shape == (2, 3, frames, channels), f"{what} has shape {values.shape}"
            assert np.isfinite(values).all(), f"{what} is not finite"
    assert reaction.motion is not None or reaction.emotion is not None, "neither motion nor emotion"
    return " and ".join(what for what in ("motion", "emotion") if getattr(reaction, what) is not None)


def _alone_and_together(sampled: Callable[..., Reaction], same: Callable[..., None]) -> None:
    together, alone = sampled([0, 1, 2], 64), sampled([0], 64)
    cut = Reaction(*(None if v is None else v[:1] for v in (together.motion, together.emotion)))
    for name in ("motion", "emotion"):
        a, b = getattr(cut, name), getattr(alone, name)
        assert a is None or np.abs(a - b).max() <= 1e-4 * (1 + np.abs(b).max()), (
            f"{name} depends on the rest of the batch"
        )


def _globals_kept(call: Callable[[], Any]) -> None:
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


def _inputs_kept(predictor: Any, corpus: TinyCorpus, noise: Noise) -> None:
    context = corpus.context([0, 1], predictor.needs, 40)
    copies = [np.array(a) for a in (context.speaker_motion, *context.audio.values())]
    predictor.sample(context, 2, noise)
    for kept, now in zip(copies, (context.speaker_motion, *context.audio.values()), strict=True):
        assert np.array_equal(kept, now), "sampling changed the context it was given"


def _state_kept(predictor: Any, build: Any, corpus: TinyCorpus, sampled: Any, same: Any) -> str:
    if isinstance(predictor, Trainable):
        other = _fitted(build, corpus)
        other.load_state_dict(predictor.state_dict())
    elif isinstance(predictor, Fittable):
        from safetensors.numpy import load, save

        other, _ = build()
        other.load_state(dict(load(save({k: np.ascontiguousarray(v) for k, v in predictor.state().items()}))))
    else:
        return "nothing is learnt"
    same(sampled([0], 64), sampled([0], 64, model=other), "a restored predictor gives other reactions")
    return ""


def _diversity(reaction: Reaction) -> str:
    values = reaction.motion if reaction.motion is not None else reaction.emotion
    assert values is not None
    return "differ" if np.abs(values - values[:, :1]).max() > 1e-6 else "all alike (deterministic)"


def _lookahead(predictor: Any, corpus: TinyCorpus, noise: Noise) -> str:
    measured = measure_lookahead(predictor, corpus.context([0], predictor.needs, corpus.frames), noise)
    declared = predictor.needs.lookahead
    words = ["the whole clip" if n is None else f"{n} frames" for n in (measured, declared)]
    if declared is not None and (measured is None or measured > declared):
        raise DyadbenchError(f"measured {words[0]}, declared {words[1]}")
    return f"measured {words[0]}, declared {words[1]}"
