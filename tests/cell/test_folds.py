"""A cross-validated cell: one fit per fold, one record over all clips, and keys that know the fold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.fixtures.hosts import shared_host
from tests.fixtures.vc_dyads import write_vc_dyads

from dyadbench.api import BenchmarkConfig, DyadbenchError, Setup
from dyadbench.cell.folds import FoldedCellRun, merge_facts, run_of
from dyadbench.cell.keys import source_of
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.run import CellRun
from dyadbench.cell.runtime import Runtime
from dyadbench.datasets.config import VCDyadsConfig
from dyadbench.datasets.folds import FoldedDataset
from dyadbench.datasets.train_data import TrainSplits
from dyadbench.datasets.vc_dyads import VCDyadsDataset
from dyadbench.matrix.cells import Cell, MethodSpec, make_cell
from dyadbench_baselines.config import RidgeMatchedConfig
from dyadbench_baselines.matched import RidgeMatched

DATA = {"frames": 60, "test": 1, "validation": 1}
DYADS = ("s1", "s3", "s5", "s7", "s9", "s11")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> VCDyadsDataset:
    folder = write_vc_dyads(tmp_path_factory.mktemp("folds") / "clone", DYADS, frames=130)
    return VCDyadsDataset(VCDyadsConfig(**DATA), folder)


def _cell(method: str = "ridge-matched", folds: int = 3, **spec: object) -> Cell:
    cell = make_cell(shared_host(), "vc-dyads", MethodSpec(name=method, **spec), 0, DATA)  # type: ignore[arg-type]
    return cell.model_copy(update={"setting": cell.setting.model_copy(update={"folds": folds})})


def _run(home: Path, dataset: VCDyadsDataset, **changes: object) -> CellRun:
    return run_of(_cell(**changes), shared_host(), Runtime(home=home), dataset)  # type: ignore[arg-type]


def test_a_record_holds_every_clip_and_each_was_predicted_by_a_fold_that_never_saw_it(
    dataset: VCDyadsDataset, tmp_path: Path
) -> None:
    run = _run(tmp_path, dataset)
    record = run.run()
    assert isinstance(run, FoldedCellRun) and len(record.clips) == 6 * 3 * 2 * 2
    assert list(dict.fromkeys(record.sessions)) == list(DYADS)
    reactions = run.reactions("motion")
    assert reactions.shape == (72, 5, 60, 4) and len(reactions) == 72
    setup = Setup(dataset.space, {}, has_emotion=False, seed=0)
    for fold in range(3):
        folded = FoldedDataset(dataset, fold, 3)
        alone = RidgeMatched(RidgeMatchedConfig(), setup)
        alone.fit(TrainSplits(folded))
        part = run.parts[fold]
        context = part.split.context(range(len(part.split.clips)), alone.needs, privileged=False)
        expected = alone.sample(context, 1, CellNoise(0)).motion
        assert expected is not None
        for row, clip in enumerate(part.split.clips):
            whole = record.clips.index(clip.id)
            assert run.part_of(whole) == (part, row)
            assert np.allclose(reactions[whole][0], expected[row, 0], atol=1e-5)
    values = record.suites["dyad-vc-dyads"].per_clip["CCC.smile"]
    assert len(values) == 72 and record.suites["dyad-vc-dyads"].scores["CCC.smile"].value == pytest.approx(
        np.mean([v for v in values if v is not None])
    )
    assert record.benchmark_config.folds == 3 and record.measured.frames == 72 * 60 * 5


def test_only_what_is_missing_is_done_again(dataset: VCDyadsDataset, tmp_path: Path) -> None:
    first = _run(tmp_path, dataset)
    record = first.run()
    stages = [tmp_path / "store" / "fit", tmp_path / "store" / "generate"]
    assert [sum(1 for _ in folder.rglob("DONE")) for folder in stages] == [3, 3]
    folder = first.runtime.store.stage("generate", first.parts[1].generate_key).folder
    (folder / "DONE").unlink()
    names: list[str] = []
    again = run_of(
        first.cell,
        shared_host(),
        Runtime(home=tmp_path, report=lambda stage, done, total: names.append(stage)),
        dataset,
    )
    assert again.run().suites == record.suites
    assert set(names) == {"generate"}, "one fold is sampled again, nothing is fitted or scored"
    assert again.gives(record)


def test_keys_know_the_fold_and_are_what_they_were_without_one(dataset: VCDyadsDataset, tmp_path: Path) -> None:
    folded, other = _run(tmp_path, dataset), _run(tmp_path, dataset, folds=2)
    plain = _run(tmp_path, dataset, folds=0)
    keys = [part.fit_key for part in (*folded.parts, *other.parts, plain)]
    assert len(set(keys)) == 6
    assert len({run.generate_key for run in (folded, other, plain)}) == 3
    assert type(plain) is CellRun
    assert "folds" not in json.loads(plain.cell.json_text())["setting"]
    assert "folds" not in BenchmarkConfig(dataset="x", suite="y").model_dump(mode="json")
    assert source_of(folded.cell, folded.host, "00", 1)["fold"] == {"number": 1, "of": 3, "version": 1}, (
        "as in the golden keys"
    )
    assert source_of(plain.cell, plain.host, "00").keys() == {"dataset", "digest"}
    assert Cell.model_validate(json.loads(folded.cell.json_text())) == folded.cell


def test_tokens_are_scored_on_clips_their_fold_never_saw(dataset: VCDyadsDataset, tmp_path: Path) -> None:
    run = _run(tmp_path, dataset, method="learning2listen", folds=2, preset="smoke")
    record = run.run()
    tokens = record.suites["tokens"]
    assert len(tokens.per_clip["reconstruction"]) == 72
    parts = [part.tokens(run.cell.tokenizer)[0] for part in run.parts]  # type: ignore[arg-type]
    weights = [len(part.split.clips) for part in run.parts]
    mean = np.average([part.scores["reconstruction"].value or 0 for part in parts], weights=weights)
    assert tokens.scores["reconstruction"].value == pytest.approx(mean)
    assert set(record.measured.validation) >= {f"fold {n}, predictor" for n in (0, 1)}


def test_facts_of_folds_become_one() -> None:
    merged = merge_facts(
        [
            {"fit_seconds": 1.5, "lookahead": 0, "parameters": 7, "validation": {"a": {"loss": 1.0}}},
            {"fit_seconds": 2.0, "lookahead": 3, "parameters": 7, "validation": {"a": {"loss": 2.0}}},
        ]
    )
    assert merged["fit_seconds"] == 3.5 and merged["lookahead"] == 3 and merged["parameters"] == 7
    assert merged["validation"] == {"fold 0, a": {"loss": 1.0}, "fold 1, a": {"loss": 2.0}}
    assert merge_facts([{"lookahead": 3}, {"lookahead": None}])["lookahead"] is None


def test_curves_of_folds_are_thinned_and_costs_that_one_fold_did_not_count_are_left_out() -> None:
    curve = {"steps": list(range(100)), "loss": [0.0] * 100, "metric": "nll"}
    merged = merge_facts([{"fit_cpu_seconds": 1.0, "curves": {"a": curve}}, {}])
    assert "fit_cpu_seconds" not in merged
    assert list(merged["curves"]) == ["fold 0, a"]
    assert len(merged["curves"]["fold 0, a"]["steps"]) == 20 and merged["curves"]["fold 0, a"]["metric"] == "nll"


def test_folds_of_another_split_are_refused(dataset: VCDyadsDataset, tmp_path: Path) -> None:
    cell = _cell()
    cell = cell.model_copy(update={"setting": cell.setting.model_copy(update={"split": "val"})})
    with pytest.raises(DyadbenchError, match="its split must be 'test', not 'val'"):
        run_of(cell, shared_host(), Runtime(home=tmp_path), dataset)
