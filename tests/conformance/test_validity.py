"""Validity: a sound metric passes, each kind of unsound one fails for the reason it should, and headlines are of sound ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
from tests.fixtures.records import COLUMNS, floor, record, write_records

from dyadbench.api import (
    AudioSpec,
    Clip,
    Column,
    Dyad,
    DyadbenchError,
    Evaluation,
    MotionSpace,
    Progress,
    Result,
    Track,
)
from dyadbench.cell.split import Split
from dyadbench.conformance.known_order import AT_RANDOM, DEGRADATIONS, LADDER, KnownOrder
from dyadbench.conformance.validity import BLIND, examine
from dyadbench.leaderboard.build import make_tables
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.validity import Corpus, judged_on, load_validity, validity_json
from dyadbench.leaderboard.validity_page import validity_page
from dyadbench.records.comparable import by_benchmark
from dyadbench.registry.host import Host

ROOT = Path(__file__).parents[2]
SESSIONS, EACH, FRAMES = 12, 4, 200


class Pairs:
    """Listeners who follow their speakers by half, each with a smile of their own size; people can be drawn again."""

    space = MotionSpace("toy", 25.0, ("a", "b", "c"), {"all": (0, 3)})
    audio: Mapping[str, AudioSpec] = {}
    has_emotion, simulated, digest = False, True, "toy"

    def clips(self, split: str) -> Sequence[Clip]:
        return [Clip(f"s{n // EACH}/{n % EACH}", f"s{n // EACH}", FRAMES) for n in range(SESSIONS * EACH)]

    def listeners(self, split: str) -> Sequence[str] | None:
        return [f"B of {clip.session}" for clip in self.clips(split)]

    def _smooth(self, seed: list[int]) -> np.ndarray:
        noise = np.random.default_rng(seed).standard_normal((FRAMES + 20, 3))
        return np.stack([noise[i : i + FRAMES] for i in range(20)]).sum(0) / 4

    def _listener(self, index: int, draw: int) -> Track:
        own = self._smooth([index, 1, draw])
        return Track((0.7 * self._smooth([index, 0]) + 0.7 * own).astype(np.float32))

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        speaker = Track(self._smooth([index, 0]).astype(np.float32))
        return Dyad(self.clips(split)[index], speaker, self._listener(index, 0))

    def fresh(self, split: str, index: int, draw: int) -> Track:
        return self._listener(index, draw + 1)

    def appropriate(self, split: str) -> np.ndarray:
        return np.eye(SESSIONS * EACH, dtype=bool)

    def normalisation(self) -> Mapping[str, Any]:
        return {}


def _clip(pred: np.ndarray, truth: np.ndarray, n: int) -> dict[str, float]:
    """pred (K, T, 3), truth (T, 3)."""
    flat = lambda x: (x - x.mean(-2, keepdims=True)).reshape(*x.shape[:-2], -1)  # noqa: E731
    p, t = flat(pred), flat(truth)
    with np.errstate(invalid="ignore"):
        corr = np.nan_to_num((p @ t) / np.sqrt((p**2).sum(-1) * (t @ t))).mean()
    return {
        "sound": corr,
        "error": float(np.linalg.norm(pred - truth, axis=-1).mean()),
        "deaf": float(np.random.default_rng(n).random()),
        "liveliest": float(pred.var(-2).mean()),
        "by place": corr * (1 + n),
        "any constant": corr * float(pred.std(-2).min() > 1e-6),
        "variation": float(pred.var(-2).mean()),
        "variation_target": float(truth.var(0).mean()),
        "unjudged": corr,
    }


class Toy:
    space: Literal["motion"] = "motion"
    columns = (
        Column("sound", "max", family="appropriateness", headline=True), Column("error", "min", family="appropriateness"),
        Column("deaf", "max", family="appropriateness"), Column("liveliest", "max", family="appropriateness"),
        Column("by place", "max", family="appropriateness"), Column("any constant", "max", family="appropriateness"),
        Column("variation", "match", family="diversity", target="variation_target"),
        Column("variation_target", "match", ranked=False, target="variation_target"), Column("unjudged", "max"),
    )  # fmt: skip

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        rows = [
            _clip(np.asarray(data.predicted_motion[n])[:, :length], np.asarray(data.listener_motion[n])[:length], n)
            for n, length in enumerate(data.lengths)
        ]
        values = {c.id: np.array([row[c.id] for row in rows]) for c in self.columns}
        return {name: Result(float(v.mean()), v) for name, v in values.items()}


@pytest.fixture(scope="module")
def corpus_result() -> Corpus:
    return examine(Split(Pairs(), "test"), {"toy": Toy()}, "toy-pairs", Host(), samples=2, report=lambda *_: None)


def test_a_sound_metric_passes(corpus_result: Corpus) -> None:
    sound = corpus_result.suites["toy"]["sound"]
    assert sound.passes is True and sound.why == ()
    readings = {(pair.better, pair.worse): pair.reading for pair in sound.pairs}
    for pair in (
        ("true", "fresh"),
        ("true", "mismatched"),
        ("fresh", "mismatched"),
        ("true", "same person"),
        ("fresh", "averaged mismatched"),
    ):
        assert readings[pair] == "yes"
    assert readings[("mismatched", "shuffled")] == "blind", "neither has seen the speaker"
    assert {fall.kind: fall.reading for fall in sound.falls} == dict.fromkeys(DEGRADATIONS, "falls")
    for fall in sound.falls:  # the steps lead from the truth to the last, and add up to the whole
        *steps, whole = fall.steps
        assert [step.better for step in steps[1:]] == [step.worse for step in steps[:-1]]
        assert (whole.better, whole.worse) == ("true", steps[-1].worse)
        gaps = [step.gap for step in steps if step.gap is not None]
        assert whole.gap == pytest.approx(sum(gaps)) and len(gaps) == len(DEGRADATIONS[fall.kind])
        assert whole.low is not None and whole.low > 0 and whole.reading == "yes"
    order = sound.shifts["order of clips"].moved
    assert order is not None and order < 1e-6
    assert corpus_result.suites["toy"]["unjudged"].passes is None


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("error", "prefers constant to mismatched"),
        ("deaf", "cannot tell true from mismatched"),
        ("liveliest", "gets better with noise"),
        ("by place", "depends on the order of clips"),
        ("any constant", "once a channel is constant"),
    ],
)
def test_an_unsound_metric_fails_for_what_it_does(corpus_result: Corpus, column: str, why: str) -> None:
    one = corpus_result.suites["toy"][column]
    assert one.passes is False
    assert any(why in reason for reason in one.why), one.why


def test_matched_columns_are_judged_by_their_distance_to_the_target(corpus_result: Corpus) -> None:
    variation = corpus_result.suites["toy"]["variation"]
    assert variation.passes is True
    readings = {(pair.better, pair.worse): pair.reading for pair in variation.pairs}
    assert readings[("mismatched", "constant")] == "yes"
    assert readings[("true", "mismatched")] == "blind", "other people vary as much"


def test_what_is_drawn_is_drawn_anew_for_every_seed_and_nothing_else() -> None:
    split = Split(Pairs(), "test")
    first, second = KnownOrder(split, 2, 0), KnownOrder(split, 2, 1)
    for kind, (*_, most) in DEGRADATIONS.items():
        same = np.array_equal(first.degraded(kind, most).motion, second.degraded(kind, most).motion)
        assert same is (kind not in AT_RANDOM), kind
    reports: list[str] = []
    examine(
        split, {"toy": Toy()}, "toy-pairs", Host(), samples=2, draws=3, report=lambda name, *_: reports.append(name)
    )
    assert {kind: reports.count(f"validity {kind} {DEGRADATIONS[kind][0]:g}") for kind in DEGRADATIONS} == {
        kind: 3 if kind in AT_RANDOM else 1 for kind in DEGRADATIONS
    }


def test_conditions_are_what_their_names_say() -> None:
    order = KnownOrder(Split(Pairs(), "test"), 2)
    ladder = order.ladder()
    assert tuple(ladder) == LADDER
    truth = np.stack(order.tracks["motion"] or [])
    at = {x.tobytes(): n for n, x in enumerate(truth)}
    rows = np.array([[at[x.tobytes()] for x in clip] for clip in ladder["mismatched"].motion])
    assert (rows // EACH != np.arange(len(truth))[:, None] // EACH).all(), "of other sessions"
    same = np.array([[at[x.tobytes()] for x in clip] for clip in ladder["same person"].motion])
    assert (same // EACH == np.arange(len(truth))[:, None] // EACH).all() and (
        same != np.arange(len(truth))[:, None]
    ).all()
    assert np.array_equal(ladder["reversed"].motion, ladder["mismatched"].motion[:, :, ::-1])
    assert np.allclose(np.sort(ladder["shuffled"].motion, 2), np.sort(ladder["mismatched"].motion, 2))
    assert not np.ptp(ladder["constant"].motion, axis=2).any()
    assert np.array_equal(ladder["averaged mismatched"].motion[:, 0], ladder["averaged mismatched"].motion[:, 1])
    spread = {name: ladder[name].motion.var(2).mean() for name in ("mismatched", "averaged mismatched")}
    assert spread["averaged mismatched"] == pytest.approx(spread["mismatched"] / 8, rel=0.2), "of eight people"
    assert not np.array_equal(
        KnownOrder(order.split, 2, 1).ladder()["mismatched"].motion, ladder["mismatched"].motion
    ), "other people for another draw"
    assert np.allclose(ladder["noise"].motion.std((0, 1, 2)), truth.std((0, 1)), rtol=0.05)
    assert not np.isin([x.tobytes() for x in ladder["fresh"].motion[:, 0]], list(at)).any(), (
        "nobody whom the dataset holds"
    )
    late = order.degraded("delay", 0.2).motion[0, 0]
    assert np.array_equal(late[5:], truth[0][:-5]) and np.array_equal(late[:5], truth[0][-5:])
    assert np.array_equal(order.degraded("swapped", 0.0).motion[:, 0], truth)
    held = order.degraded("dropped", 0.6).motion[0, 0]
    assert 0.5 < (np.diff(held, axis=0) == 0).all(1).mean() < 0.7


def test_without_the_names_of_listeners_nobody_is_the_same_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pairs, "listeners", lambda *_: None)
    assert tuple(KnownOrder(Split(Pairs(), "test"), 2).ladder()) == tuple(
        rung for rung in LADDER if rung != "same person"
    )


def test_what_should_not_matter_changes_nothing_else() -> None:
    rng = np.random.default_rng(0)
    shape = (6, 20)
    data = Evaluation(
        clips=tuple("abcdef"), lengths=np.full(6, 20), space=Pairs.space, appropriate=np.eye(6, dtype=bool),
        predicted_motion=rng.random((6, 2, 20, 3)), predicted_emotion=rng.random((6, 2, 20, 25)), listener_motion=rng.random((*shape, 3)),
        speaker_motion=rng.random((*shape, 3)), listener_emotion=rng.random((*shape, 25)), speaker_emotion=rng.random((*shape, 25)),
    )  # fmt: skip
    constant = BLIND["a constant channel"](data)
    for name, channel in (
        ("predicted_motion", 2),
        ("listener_motion", 2),
        ("predicted_emotion", 24),
        ("speaker_emotion", 24),
    ):
        was, now = getattr(data, name), getattr(constant, name)
        assert np.ptp(now[..., channel]) == 0 and np.array_equal(now[..., :channel], was[..., :channel]), name
    moved = BLIND["order of clips"](data)
    place = {clip: n for n, clip in enumerate(data.clips)}
    order = [place[clip] for clip in moved.clips]
    assert order != sorted(order) and moved.appropriate is not None and np.array_equal(moved.appropriate, np.eye(6))
    assert np.array_equal(moved.predicted_emotion, data.predicted_emotion[order])
    assert (BLIND["half the length"](data).lengths == 10).all()


def test_results_are_kept_and_shown(tmp_path: Path, corpus_result: Corpus) -> None:
    (tmp_path / "validity").mkdir()
    (tmp_path / "validity" / "toy-pairs.json").write_text(validity_json(corpus_result))
    [back] = load_validity(tmp_path)
    assert validity_json(back) == validity_json(corpus_result)

    def scored(version: int, frames: int = 900, units: str = "binary") -> Any:
        versions = dict.fromkeys(back.suites["toy"], version)
        settings = SimpleNamespace(dataset_config={"frames": frames}, action_units=units)
        return SimpleNamespace(
            dataset=SimpleNamespace(digest=""),
            benchmark_config=settings,
            suites={"toy": SimpleNamespace(versions=versions)},
        )

    judged = judged_on([back], [scored(1)], "toy")
    assert judged_on([back], [scored(2)], "toy") == {}, "a newer version of a metric was not judged"
    assert {name for name, why in judged.items() if why} == {"error", "deaf", "liveliest", "by place", "any constant"}
    assert judged["sound"] == ()
    read = back.model_copy(update={"dataset_config": {"frames": 900}})
    assert judged_on([read], [scored(1)], "toy") == judged
    assert judged_on([read], [scored(1, frames=450)], "toy") == {}, (
        "the same recordings, cut otherwise, are other clips"
    )
    binary = read.model_copy(update={"action_units": 1})
    assert judged_on([binary], [scored(1)], "toy") == judged
    assert judged_on([binary], [scored(1, units="raw")], "toy") == {}, "units as they are emitted are other values"
    page = validity_page([back])
    assert "| `sound` (headline) | **yes** | ✓ ✓ ✓ | ✓ ✓ ✓ ✗ |" in page
    fails = back.suites["toy"]["error"].model_copy(update={"headline": True})
    beside = validity_page([back.model_copy(update={"suites": {"toy": {"error": fails}}})])
    assert "| `error` (not in the headline here) | no |" in beside, "its suite declares it, and it fails"
    assert "`error`: prefers constant to mismatched" in page
    assert "../docs/" not in page and "../docs/validity.md" in validity_page([back], explained=True)
    (tmp_path / "validity" / "bad.json").write_text("{}")
    with pytest.raises(DyadbenchError, match="no result of `dyadbench validity`"):
        load_validity(tmp_path)
    (tmp_path / "validity" / "bad.json").write_text(validity_json(corpus_result))
    with pytest.raises(DyadbenchError, match=r"is the result of toy-pairs, which belongs to toy-pairs\.json"):
        load_validity(tmp_path)


def test_a_column_that_fails_on_a_corpus_is_no_part_of_its_headline(tmp_path: Path, corpus_result: Corpus) -> None:
    failed = {"FRDist": corpus_result.suites["toy"]["error"]}
    here = corpus_result.model_copy(update={"data": "d" * 64, "suites": {"react2024": failed}})
    write_records(tmp_path, [floor(), record("a", 0.1), record("b", 0.3)])

    def tables() -> list[Table]:
        leaderboards = tmp_path / "leaderboards"
        return make_tables(by_benchmark(leaderboards), {"react2024": COLUMNS}, (), load_validity(leaderboards))[0]

    [before] = tables()
    (tmp_path / "leaderboards" / "validity").mkdir()
    (tmp_path / "leaderboards" / "validity" / "toy-pairs.json").write_text(validity_json(here))
    [after] = tables()
    assert [scale.column for scale in before.scales] == ["FRCorr", "FRDist"]
    assert [scale.column for scale in after.scales] == ["FRCorr"]
    was, now = ({row.method: row for row in table.rows}["a"] for table in (before, after))
    assert now.skill == was.skills["FRCorr"] and now.declared == was.skill, "the same records by the rule of before"
    assert any("headline leaves out" in note and "FRDist (prefers constant" in note for note in after.notes)
    other = here.model_copy(update={"data": "e" * 64})
    (tmp_path / "leaderboards" / "validity" / "toy-pairs.json").write_text(validity_json(other))
    [elsewhere] = tables()
    assert elsewhere == before, "what fails on other data changes nothing here"


def test_committed_validity_is_of_the_versions_that_head_the_boards() -> None:
    host, corpora = Host(), load_validity(ROOT / "leaderboards")
    assert any(not corpus.simulated for corpus in corpora), "real people are among them"
    count = 0
    for entry in host.entries("suite"):
        headline = {c.id: c for c in host.build("suite", entry.name, {}).columns if c.headline}
        for corpus in corpora:
            assert corpus.data, f"{corpus.benchmark}: run dyadbench validity again"
            for name, one in corpus.suites.get(entry.name, {}).items():
                if name in headline:
                    count += 1
                    assert one.version == headline[name].version, (
                        f"{name} has changed since; run dyadbench validity again"
                    )
    assert count
