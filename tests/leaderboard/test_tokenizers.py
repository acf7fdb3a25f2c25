"""The tokenizer page and the pictures over time: from records alone, the same bytes every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.fixtures.records import COLUMNS, SESSIONS, record, write_records

from dyadbench.api import DyadbenchError
from dyadbench.leaderboard import write
from dyadbench.leaderboard.over_time import embedded, pictures
from dyadbench.leaderboard.tables import make_table
from dyadbench.leaderboard.tokenizers import _cells, corpora, numbered, tokenizer_files
from dyadbench.leaderboard.write import write_leaderboards
from dyadbench.metrics.over_time import NAMES, OverTimeSuite
from dyadbench.metrics.tokens import VERSIONS, version_of
from dyadbench.records.record import Record, Score, SuiteScores


def _suite(values: dict[str, np.ndarray], versions: dict[str, int], detail: dict[str, float]) -> SuiteScores:
    return SuiteScores(
        versions=versions,
        scores={n: Score(value=None if np.isnan(v).all() else float(v.mean()), detail=detail if n == "utilisation" else {}) for n, v in values.items()},
        per_clip={n: [None if np.isnan(x) else float(x) for x in v] for n, v in values.items()},
    )  # fmt: skip


def with_tokens(method: str, tokenizer: str, residual: int, seed: int = 0, **change: Any) -> Record:
    """A record whose tokenizer's error halves with every layer: 0.8, 0.4, ..."""
    rng = np.random.default_rng([seed, residual])
    values = {name: np.full(40, 0.5) for name in VERSIONS}
    values |= {"emotion-rmse": np.full(40, np.nan), "constant-emotion-rmse": np.full(40, np.nan)}
    values |= {"bits-per-second": np.full(40, 100.0 * residual), "position-bits-per-second": np.full(40, 7.0)}
    for n in range(1, residual + 1):
        error = 0.8 / 2 ** (n - 1) + 0.01 * rng.standard_normal(40)
        values["motion-rmse"] = error
        if residual > 1:
            values[f"motion-rmse.layers{n}"] = error
    detail = {f"g{g}r{r}": 1.0 / (r + 1) for g in range(2) for r in range(residual)}
    base = record(method, 0.2, seed)
    suite = _suite(values, {name: version_of(name) for name in values}, detail)
    facts = {"codes": 16, "groups": 2, "residual": residual, "frames_per_token": 1, "lookahead": 0, "fps": 25.0}
    fields: dict[str, Any] = {
        "suites": {**base.suites, "tokens": suite}, "measured": base.measured.model_copy(update={"tokens": facts, "tokenizer_parameters": 12}),
        "method_config": {kind: {"name": name, "version": 1, "config": {}} for kind, name in (("predictor", method), ("tokenizer", tokenizer))},
    }  # fmt: skip
    return base.model_copy(update=fields | change)


def test_every_tokenizer_is_one_row_a_number_of_layers() -> None:
    records = [with_tokens("deep", "a", 3, seed) for seed in (0, 1)]
    records += [with_tokens("flat", "b", 1), with_tokens("other", "b", 1), record("mime", 0.3)]
    records += [
        with_tokens("deep-quarter", "c", 3, of="deep")
    ]  # the second budget of a claim is no tokenizer of its own
    [corpus] = corpora(records)
    assert corpus.name == "toy"
    assert [(one.label, one.seeds) for one in corpus.tokenizers] == [("flat, other", (0,)), ("deep", (0, 1))]
    assert [(n, rate.layers) for n, _, rate in numbered(corpus)] == [(1, 1), (2, 1), (2, 2), (2, 3)]
    deep = corpus.tokenizers[1]
    # Of each, 7 say where keyframes are: as many for one layer as for three.
    assert [rate.bits for rate in deep.rates] == pytest.approx([107, 207, 307])
    cells = [rate.errors["motion-rmse"] for rate in deep.rates]
    assert [cell.value for cell in cells] == pytest.approx([0.8, 0.4, 0.2], abs=0.01)
    assert all(cell.low < cell.value < cell.high for cell in cells)
    assert deep.whole.errors["emotion-rmse"].value is None
    assert deep.by_layer == pytest.approx((1.0, 0.5, 1 / 3))


def test_the_page_and_its_picture() -> None:
    records = [with_tokens("deep|<b>", "a", 2), with_tokens("flat", "b", 1)]
    files = tokenizer_files(records)
    assert set(files) == {"tokenizers.md", "tokenizers-toy-motion.svg"}, "nobody decodes emotion here"
    assert files == tokenizer_files(records[::-1])
    page = files["tokenizers.md"]
    assert "deep\\|&lt;b&gt;" in page
    assert "![Error of motion against bits per second](tokenizers-toy-motion.svg)" in page
    assert "| 1.000 / 0.500 |" in page
    root = ElementTree.fromstring(files["tokenizers-toy-motion.svg"])
    labels = [e.text for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert labels == ["1 flat", "2 deep|<b>, 1 of 2 layers", "2 deep|<b>"]
    assert [e.text for e in root.iter("{http://www.w3.org/2000/svg}text") if e.get("class") == "number"] == ["1", "2"]
    assert "constant mean" in files["tokenizers-toy-motion.svg"]
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 1
    assert tokenizer_files([record("mime", 0.3)]) == {}


def test_other_versions_are_left_out_and_said() -> None:
    old = with_tokens("old", "c", 1)
    suite = old.suites["tokens"].model_copy(update={"versions": {**old.suites["tokens"].versions, "perplexity": 0}})
    records = [with_tokens("flat", "b", 1), old.model_copy(update={"suites": {**old.suites, "tokens": suite}})]
    [corpus] = corpora(records)
    assert [one.label for one in corpus.tokenizers] == ["flat"]
    assert "old, seed 0 was scored by other versions" in tokenizer_files(records)["tokenizers.md"]


def test_other_data_is_left_out_and_said() -> None:
    data = record("stale", 0.2).dataset.model_copy(update={"digest": "e" * 64})
    records = [with_tokens("flat", "b", 1), with_tokens("deep", "a", 2), with_tokens("stale", "c", 1, dataset=data)]
    [corpus] = corpora(records)
    assert [one.label for one in corpus.tokenizers] == ["flat", "deep"]
    assert corpus.notes == ("stale, seed 0 was measured on other data and is left out; run it again",)


def over_time(method: str, rise: float, **change: Any) -> Record:
    values = {column.id: np.full(40, 1.0) for column in OverTimeSuite.columns}
    values |= {f"{kind}.{name}": 1.0 + rise * b + 0.1 * np.arange(40) for b, name in enumerate(NAMES) for kind in ("best", "mean")}  # fmt: skip
    values |= {"best.25-30s": np.full(40, np.nan), "mean.25-30s": np.full(40, np.nan)}
    base = record(method, 0.2, **change)
    suite = _suite(values, {column.id: column.version for column in OverTimeSuite.columns}, {})
    setting = base.benchmark_config.model_copy(update={"also": ("over-time-emotion",)})
    return base.model_copy(update={"suites": {**base.suites, "over-time-emotion": suite}, "benchmark_config": setting})


def test_error_over_time_is_drawn_for_methods_and_the_levels_to_beat() -> None:
    records = [over_time("steady", 0.0), over_time("drifting", 0.2), over_time("mean", 0.0, calibration=True),
               over_time("oracle", 0.0, calibration=True), record("earlier", 0.1)]  # fmt: skip
    table = make_table(records, "over-time-emotion", OverTimeSuite.columns)
    assert table.notes == (
        "earlier, seed 0 was measured before its benchmark had suite over-time-emotion; run it again",
    )
    assert {row.method for row in table.rows} == {"steady", "drifting", "mean", "oracle"}
    files = pictures(table)
    assert set(files) == {"toy-over-time-best.svg", "toy-over-time-mean.svg"}
    lines = [e.get("points", "") for e in ElementTree.fromstring(files["toy-over-time-mean.svg"]).iter("{http://www.w3.org/2000/svg}polyline")]  # fmt: skip
    assert sorted(len(points.split()) for points in lines) == [2, 2, 2, 5, 5, 5], (
        "undefined bins have no point; a line to each name"
    )
    [(_, name, says), _] = sorted(embedded(table))
    assert name in files
    named = [
        e.text
        for e in ElementTree.fromstring(files[name]).iter("{http://www.w3.org/2000/svg}text")
        if e.get("class") == "number"
    ]
    assert says == "Error over time, all samples."
    assert set(named) == {"steady", "drifting", "mean"}


def test_the_files_are_covered_by_the_check(tmp_path: Path) -> None:
    write_records(tmp_path, [with_tokens("deep", "a", 2), with_tokens("flat", "b", 1), over_time("steady", 0.1)])
    suites = {"react2024": COLUMNS, "over-time-emotion": OverTimeSuite.columns}
    assert "leaderboards/tokenizers.md" in write_leaderboards(tmp_path, suites).drift
    assert not write_leaderboards(tmp_path, suites, check=True).drift
    folder = tmp_path / "leaderboards"
    assert "toy-over-time-mean.svg" in (folder / "toy.md").read_text()
    assert "(tokenizers.md)" in (folder / "README.md").read_text()
    (folder / "tokenizers-toy-motion.svg").write_text("")
    mine = [folder / name for name in ("notes.md", "mine.csv", "plan.json", "photo.svg")]
    for path in [*mine, folder / "old.svg"]:
        path.write_text("")
    [one_record] = (folder / "records").rglob("steady/seed0.json")
    with (folder / "generated.txt").open("a") as listed:
        listed.write(f"old.svg\ngone.svg\n../README.md\n{one_record.relative_to(folder).as_posix()}\n")
    broken = "leaderboards/tokenizers-toy-motion.svg", "leaderboards/generated.txt"
    assert write_leaderboards(tmp_path, suites, check=True).drift == (
        *broken,
        "leaderboards/old.svg (no record gives it)",
    )
    write_leaderboards(tmp_path, suites)
    assert not write_leaderboards(tmp_path, suites, check=True).drift and not (folder / "old.svg").exists()
    assert one_record.exists() and all(path.exists() for path in mine), "only what the program wrote is removed"


def test_no_file_of_the_users_is_overwritten(tmp_path: Path) -> None:
    """A README.md of their own in leaderboards/ was replaced by the generated one."""
    write_records(tmp_path, [with_tokens("flat", "b", 1)])
    folder = tmp_path / "leaderboards"
    (folder / "README.md").write_text("mine")
    with pytest.raises(DyadbenchError, match=r"README\.md is not on the list of what this command wrote"):
        write_leaderboards(tmp_path, {"react2024": COLUMNS})
    assert (folder / "README.md").read_text() == "mine" and not (folder / "toy.md").exists()
    (folder / "README.md").unlink()
    write_leaderboards(tmp_path, {"react2024": COLUMNS})
    (folder / "README.md").write_text("an edit of a file that was generated")
    write_leaderboards(tmp_path, {"react2024": COLUMNS})
    assert "toy" in (folder / "README.md").read_text()


def test_a_run_that_was_killed_while_it_wrote_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are on the list before they are written, or the next run would take them for the user's."""
    write_records(tmp_path, [with_tokens("flat", "b", 1)])
    whole = write.atomic_write

    def killed(path: Path, text: str, **how: Any) -> None:
        if path.name == "README.md":
            raise KeyboardInterrupt
        whole(path, text, **how)

    monkeypatch.setattr(write, "atomic_write", killed)
    with pytest.raises(KeyboardInterrupt):
        write_leaderboards(tmp_path, {"react2024": COLUMNS})
    monkeypatch.undo()
    write_records(tmp_path, [with_tokens("deep", "a", 2)])
    assert write_leaderboards(tmp_path, {"react2024": COLUMNS}).drift
    assert not write_leaderboards(tmp_path, {"react2024": COLUMNS}, check=True).drift


def test_sessions_are_as_many_as_the_records_say() -> None:
    [corpus] = corpora([with_tokens("flat", "b", 1)])
    assert (corpus.clips, corpus.sessions) == (40, len(set(SESSIONS)))


def test_one_seed_of_a_random_method_has_no_interval_on_the_tokenizers_page() -> None:
    one = with_tokens("a", "t", 2)
    assert _cells([one], ["motion-rmse"])["motion-rmse"].low is not None, "a method without chance"
    assert _cells([one.model_copy(update={"deterministic": False})], ["motion-rmse"])["motion-rmse"].low is None
    two = [with_tokens("a", "t", 2, seed).model_copy(update={"deterministic": False}) for seed in range(2)]
    assert _cells(two, ["motion-rmse"])["motion-rmse"].low is not None


def test_some_clips_of_a_corpus_are_a_corpus_of_their_own() -> None:
    """Names were cut at the first word that differs: fifty clips on both tracks were called as all of them are."""
    clips = {f"c{n}": "" for n in range(20)}
    part = [
        with_tokens(name, "t", 1, benchmark=f"toy-{track}+clips-20", clips=list(clips), sessions=SESSIONS[:20])
        for name, track in (("a", "online"), ("b", "offline"), ("c", "online"))
    ]
    for record_of_part in part:
        scores = record_of_part.suites["tokens"]
        for values in scores.per_clip.values():
            del values[20:]
    whole = [with_tokens(name, "t", 1, benchmark=f"toy-{name}line") for name in ("on", "off")]
    assert {corpus.name: corpus.clips for corpus in corpora([*whole, *part])} == {"toy": 40, "toy+clips-20": 20}
    assert not any(corpus.notes for corpus in corpora([*whole, *part]))
