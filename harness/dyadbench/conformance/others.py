"""What `dyadbench check` asserts of tokenizers, suites and datasets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import (
    DECA_56,
    EMOTION_DIM,
    FACEVERSE_58,
    Evaluation,
    Fittable,
    MoreListeners,
    MotionSpace,
    Reaction,
    Setup,
    Suite,
    Tokenizer,
    Tokens,
    TokenSpec,
    Trainable,
)
from dyadbench.cell.react import largest_gap
from dyadbench.cell.score import demand_columns, evaluate
from dyadbench.cell.split import Split, demand_dataset
from dyadbench.conformance.checks import learn, refused, restore, worked_somewhere
from dyadbench.conformance.report import Report
from dyadbench.datasets.limit import LimitedDataset
from dyadbench.datasets.sessions import shared_sessions
from dyadbench.datasets.tiny_corpus import OWN_SPACE, TinyCorpus
from dyadbench.matrix.cells import PartSpec, resolve_part
from dyadbench.registry.host import Host

FRAMES = 64


def check_tokenizer(name: str, host: Host, *, preset: str | None = None) -> Report:
    """Fits a tokenizer on made-up motion, encodes and decodes it."""
    report = Report(name)
    if preset is None and "smoke" in host.get("tokenizer", name).presets:
        preset = "smoke"
    part = resolve_part(host, "tokenizer", PartSpec(name=name, preset=preset))
    for corpus in (
        TinyCorpus(),
        TinyCorpus(DECA_56, emotion=False),
        TinyCorpus(OWN_SPACE, emotion=False, sound=False),
    ):
        where, trained = corpus.space.name, list[Tokenizer]()
        setup = Setup(corpus.space, corpus.audio, corpus.emotion, seed=0)
        build: Callable[[], Tokenizer] = partial(host.build, "tokenizer", name, part.config, setup)
        if refused(report, where, build, corpus):
            continue

        def fit(
            build: Callable[[], Tokenizer] = build, corpus: TinyCorpus = corpus, trained: list[Tokenizer] = trained
        ) -> None:
            tokenizer = build()
            learn(tokenizer, corpus)
            trained.append(tokenizer)

        if report.note(f"{where}: builds and fits", fit):
            motion = np.stack([corpus.dyad("test", row).listener.motion for row in range(3)])  # (3, T, D)
            _check_codes(report, where, trained[0], motion)
            report.note(f"{where}: state survives saving", partial(_check_state, trained[0], build, motion))
    return worked_somewhere(report)


def _check_state(tokenizer: Tokenizer, build: Callable[[], Tokenizer], motion: np.ndarray) -> str:
    """Restores the state into a tokenizer that has learnt nothing, as a run does."""
    if not isinstance(tokenizer, Trainable | Fittable):
        return "nothing is learnt"
    other = build()
    restore(tokenizer, other)
    tokens, others = (each.encode(motion[:, :FRAMES]) for each in (tokenizer, other))
    assert np.array_equal(tokens.ids, others.ids), "a restored tokenizer gives other ids"
    decoded = (Reaction(*each.decode(coded, FRAMES)) for each, coded in ((tokenizer, tokens), (other, others)))
    assert largest_gap(*decoded) == 0, "a restored tokenizer decodes another motion or emotion"
    return ""


def _demand_ids(ids: np.ndarray, spec: TokenSpec, clips: int) -> str:
    """What the ids of `clips` clips are; AssertionError where `spec` says otherwise."""
    assert np.issubdtype(ids.dtype, np.integer), f"ids are {ids.dtype}; whole numbers are due"
    assert len(ids) == clips, f"{len(ids)} rows of ids for {clips} clips"
    assert ids.min() >= 0 and ids.max() < spec.codes, (
        f"ids reach from {ids.min()} to {ids.max()}; the book has {spec.codes} codes"
    )
    if spec.groups * spec.residual > 1:
        assert ids.shape[2:] == (spec.groups, spec.residual), (
            f"ids have shape {ids.shape} where (clips, tokens, {spec.groups}, {spec.residual}) is due"
        )
    return f"shape {ids.shape}, {spec.codes} codes"


def _check_codes(report: Report, where: str, tokenizer: Tokenizer, motion: np.ndarray) -> None:
    spec = tokenizer.tokens

    def encoded(frames: int) -> Tokens:
        return tokenizer.encode(motion[:, :frames])

    def decoded(frames: int) -> str:
        values, emotion = tokenizer.decode(encoded(frames), frames)
        for what, array, channels in (("motion", values, motion.shape[2]), ("emotion", emotion, EMOTION_DIM)):
            if array is not None:
                due = (len(motion), frames, channels)
                assert np.shape(array) == due, f"{what} has shape {np.shape(array)} where {due} is due"
                assert np.isfinite(array).all(), f"{what} is not finite"
        return "motion" if emotion is None else "motion and emotion"

    def refuses() -> None:
        tokens = encoded(FRAMES)
        wrong = Tokens(np.full_like(tokens.ids, spec.codes), tokens.keyframes, tokens.frames)
        try:
            tokenizer.decode(wrong, FRAMES)
        except ValueError:
            return
        raise AssertionError(f"decoding the id {spec.codes} of {spec.codes} codes raises no ValueError")

    if report.note(f"{where}: ids", lambda: _demand_ids(encoded(FRAMES).ids, spec, len(motion))):
        for frames in (FRAMES, 37, 1):
            report.note(f"{where}: decodes exactly {frames} frames", lambda n=frames: decoded(n))  # type: ignore[misc]
        report.note(f"{where}: an id outside the book is refused", refuses)
        report.note(f"{where}: encodes alike twice", lambda: _alike(encoded(FRAMES).ids, encoded(FRAMES).ids))


def _alike(one: np.ndarray, two: np.ndarray) -> None:
    assert np.array_equal(one, two), "two calls give other ids"


def check_suite(name: str, host: Host) -> Report:
    """Builds a suite and scores made-up reactions with it; every column must be a mean over clips."""
    report, suites = Report(name), list[Suite]()

    def build() -> str:
        suites.append(host.build("suite", name, {}))
        demand_columns(suites[0])
        return f"{len(suites[0].columns)} columns, scores {suites[0].space}"

    if report.note("builds, and its columns hold together", build):
        for space in _spaces_for(suites[0]):
            data = _evaluation(TinyCorpus(space, clips=4))
            report.note(f"{space.name}: scores", lambda data=data: _scores(host, name, suites[0], data))  # type: ignore[misc]
    return report


def _spaces_for(suite: Suite) -> list[MotionSpace]:
    """The spaces that a suite is tried on: those that have its groups of channels, or one that is made up of these."""
    if suite.space == "emotion":
        return [FACEVERSE_58]
    groups: tuple[str, ...] = tuple(getattr(suite, "groups", ()))
    fitting = [space for space in (FACEVERSE_58, DECA_56, OWN_SPACE) if set(groups) <= set(space.groups)]
    if fitting:
        return fitting
    channels = tuple(f"{group}_{n}" for group in groups for n in range(3))
    return [MotionSpace("made-up", 25.0, channels, {group: (3 * i, 3 * i + 3) for i, group in enumerate(groups)})]


def _scores(host: Host, name: str, suite: Suite, data: Evaluation) -> str:
    results, again = (evaluate(host, name, suite, data, None) for _ in range(2))
    for column, result in results.items():
        assert np.array_equal(result.per_clip, again[column].per_clip, equal_nan=True), (
            f"{column}: two calls give other values"
        )
    undefined = [column for column, result in results.items() if result.value is None]
    return f"undefined: {', '.join(undefined)}" if undefined else "all columns defined"


def _evaluation(corpus: TinyCorpus) -> Evaluation:
    rng = np.random.default_rng(0)
    dyads = [corpus.dyad("test", row) for row in range(corpus.count)]

    def stacked(role: str, what: str) -> np.ndarray:  # (N, T, C)
        return np.stack([getattr(getattr(dyad, role), what) for dyad in dyads])

    def varied(values: np.ndarray) -> np.ndarray:  # (N, T, C) -> (N, 3, T, C)
        shape = (len(values), 3, *values.shape[1:])
        return (values[:, None] + 0.1 * rng.standard_normal(shape)).astype(np.float32)

    motion, emotion = stacked("listener", "motion"), stacked("listener", "emotion")
    arrays: dict[str, Any] = {
        "lengths": np.full(len(dyads), corpus.frames), "predicted_motion": varied(motion), "predicted_emotion": varied(emotion),
        "listener_motion": motion, "speaker_motion": stacked("speaker", "motion"), "listener_emotion": emotion,
        "speaker_emotion": stacked("speaker", "emotion"), "appropriate": corpus.appropriate("test"),
    }  # fmt: skip
    for array in arrays.values():
        array.flags.writeable = False  # as in a run
    return Evaluation(clips=tuple(dyad.clip.id for dyad in dyads), space=corpus.space, **arrays)


def check_dataset(
    name: str, host: Host, root: Path, *, settings: dict[str, Any] | None = None, limit: int = 0
) -> Report:
    """Reads the clips of a dataset's folder, `limit` of every split or 0 for all, and holds them to what it declares."""
    report, datasets = Report(name), list[Any]()
    part = resolve_part(host, "dataset", PartSpec(name=name, config=settings or {}))

    def build() -> str:
        datasets.append(host.build("dataset", name, part.config, root=root))
        demand_dataset(datasets[0])
        return f"{datasets[0].space.name}, digest {datasets[0].digest[:12]}"

    if not report.note("opens, and declares what it must", build):
        return report
    dataset = LimitedDataset(datasets[0], limit) if limit else datasets[0]
    for split in ("train", "val", "test"):
        report.note(f"{split}: every clip is as declared", lambda split=split: _read(dataset, split))  # type: ignore[misc]
    report.note("no session is in two splits", lambda: _demand_apart(dataset))
    report.note(
        "digest is the same when opened again", lambda: _same_digest(host, name, part.config, root, datasets[0].digest)
    )
    return report


def _read(dataset: Any, split: str) -> str:
    if split == "val" and not dataset.clips(split):
        return "no clips"
    opened = Split(dataset, split)
    opened.listeners()
    more = len(dataset.more_listeners(split)) if isinstance(dataset, MoreListeners) else 0
    due, shape = (len(opened.clips), len(opened.clips) + more), np.shape(dataset.appropriate(split))
    assert shape == due, f"appropriate has shape {shape} where {due} is due"
    own = np.diagonal(dataset.appropriate(split))
    assert own.all(), f"clip {opened.clips[int(own.argmin())].id}: its own listener is not appropriate"
    assert tuple(dataset.clips(split)) == opened.clips, "two calls of clips() give other clips, or another order"
    one, two = (dataset.dyad(split, 0) for _ in range(2))
    for role in ("speaker", "listener"):
        same = np.array_equal(getattr(one, role).motion, getattr(two, role).motion)
        assert same, f"clip {opened.clips[0].id}: two calls of dyad() give other motion of the {role}"
    for index, clip in enumerate(opened.clips):
        speaker = dataset.dyad(split, index, tuple(dataset.audio)).speaker
        for feature, spec in dataset.audio.items():
            rows = clip.frames * spec.per_frame
            assert np.shape(speaker.audio[feature]) == (rows, spec.dim), (
                f"clip {clip.id}: {feature} has shape {np.shape(speaker.audio[feature])} where {(rows, spec.dim)} is due"
            )
    return f"{len(opened.clips)} clips, {len({clip.session for clip in opened.clips})} sessions"


def _demand_apart(dataset: Any) -> None:
    for one, other, both, _ in shared_sessions({split: dataset.clips(split) for split in ("train", "val", "test")}):
        raise AssertionError(
            f"{len(both)} sessions are in {one} and in {other}, the first is {both[0]}; scores would flatter"
        )


def _same_digest(host: Host, name: str, config: Any, root: Path, digest: str) -> None:
    again = host.build("dataset", name, config, root=root).digest
    assert again == digest, f"it was {digest[:12]} and is now {again[:12]}"
