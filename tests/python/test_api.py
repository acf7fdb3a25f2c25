"""The Python API does what the command does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import dyadbench
from dyadbench import records
from dyadbench.api import DyadbenchError
from dyadbench.files.predictions import read_predictions
from dyadbench.python.score import _opened

BENCHMARK, TINY = "simdyad-clear-react-online", {"size": "tiny"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ridge and a smoke fit of dense-fsq have run."""
    root = tmp_path_factory.mktemp("root")
    records = dyadbench.run(BENCHMARK, ["ridge", "mismatched-listener"], dataset=TINY, root=root)
    records += dyadbench.run(BENCHMARK, "dense-fsq", preset="smoke", dataset=TINY, root=root)
    assert [record.method for record in records] == ["ridge", "mismatched-listener", "dense-fsq"]
    return root


def test_run_gives_the_records_that_it_writes(root: Path) -> None:
    table = records.frame(root)
    [ridge] = dyadbench.run(BENCHMARK, "ridge", dataset=TINY, root=root)  # from the store
    value = table.query("method == 'ridge' and suite == 'react2024' and metric == 'FRCorr'").value.item()
    assert value == ridge.suites["react2024"].scores["FRCorr"].value


def test_a_wrong_request_and_a_failed_cell_are_errors(root: Path) -> None:
    with pytest.raises(DyadbenchError, match="there is no method 'rigde'; did you mean ridge"):
        dyadbench.run(BENCHMARK, "rigde", dataset=TINY, root=root)
    with pytest.raises(DyadbenchError, match="holds the record of other data or of another configuration"):
        dyadbench.run(BENCHMARK, ["ridge", "mime"], dataset={"size": "tiny", "seed": 1}, root=root)
    assert "mime" in set(records.frame(root).method)  # the cells after it ran


def test_a_trained_method_samples_a_clip_of_ones_own(root: Path, tmp_path: Path) -> None:
    method = dyadbench.load_method("dense-fsq", BENCHMARK, preset="smoke", dataset=TINY, root=root)
    rng = np.random.default_rng(0)
    motion = rng.standard_normal((80, method.space.dim)).astype(np.float16)
    soundfile.write(tmp_path / "voice.wav", rng.standard_normal(16000 * 4) * 0.1, 16000)
    with pytest.raises(DyadbenchError, match="hears 'mfcc-78'"):
        method.sample(motion)
    reaction = method.sample(motion, audio=tmp_path / "voice.wav", k=3)
    assert reaction.motion is not None and reaction.motion.shape == (1, 3, 80, 58)
    again = method.sample(motion, audio=tmp_path / "voice.wav", k=3)
    np.testing.assert_array_equal(reaction.motion, again.motion)
    with pytest.raises(ValueError, match=r"motion has shape \(58,\); \(frames, 58\) is expected"):
        method.sample(motion[0])


def test_the_loaded_method_is_the_one_that_was_scored(root: Path) -> None:
    """On a clip of the test split it gives what the store holds."""
    from dyadbench.cell.runtime import Runtime
    from dyadbench.cell.source import Source
    from dyadbench.cell.split import Split
    from dyadbench.matrix.cells import MethodSpec, make_cell
    from dyadbench.python.arrays import plugins

    method = dyadbench.load_method("ridge", BENCHMARK, dataset=TINY, root=root)
    cell = make_cell(plugins(), BENCHMARK, MethodSpec(name="ridge"), 0, TINY)
    split = Split(Source(plugins(), cell.dataset, Runtime(home=root / ".dyadbench")).dataset, "test")
    context = split.context(range(1), method.predictor.needs, privileged=False)
    emotion = None if context.speaker_emotion is None else context.speaker_emotion[0]
    audio = {name: values[0] for name, values in context.audio.items()}
    reaction = method.sample(context.speaker_motion[0], emotion=emotion, audio=audio, k=1, clip=context.clips[0])
    stored = (root / ".dyadbench" / "store" / "generate").glob("*/*/emotion.npy")
    [record] = dyadbench.run(BENCHMARK, "ridge", dataset=TINY, root=root)
    scored_emotion = np.load(next(path for path in stored if path.parent.name == record.key))[0, 0, :, 15:]
    assert reaction.emotion is not None
    np.testing.assert_allclose(reaction.emotion[0, 0, :, 15:], scored_emotion, atol=1e-5)


def test_the_callers_random_numbers_go_on(root: Path) -> None:
    import random

    numbers = []
    for load in (False, True):
        random.seed(3)
        np.random.seed(3)
        if load:
            dyadbench.load_method("mime", BENCHMARK, dataset=TINY, root=root)
            dyadbench.run(BENCHMARK, "ridge", dataset=TINY, root=root)
        numbers.append((random.random(), np.random.random()))
    assert numbers[0] == numbers[1]


def test_what_was_never_trained_says_what_to_run(root: Path) -> None:
    with pytest.raises(
        DyadbenchError,
        match=r"no fit of the tokenizer frame-vq .*pass train=True, or call dyadbench\.run with the same",
    ):
        dyadbench.load_method("dense-vq", BENCHMARK, preset="smoke", dataset=TINY, root=root)
    assert dyadbench.load_method("mime", BENCHMARK, dataset=TINY, root=root).predictor.needs.lookahead == 0


def test_predictions_have_intervals_and_may_be_a_row(root: Path) -> None:
    file = root / "p.safetensors"
    command = [sys.executable, "-m", "dyadbench", "score", str(file), "--benchmark", BENCHMARK, "--data-set", "size=tiny", "--root", str(root)]  # fmt: skip
    subprocess.run([*command, "--template"], check=True, capture_output=True)
    predictions = read_predictions(file)
    values = predictions.arrays["emotion"].whole() + np.random.default_rng(0).random(
        predictions.arrays["emotion"].shape
    )
    fields = {"clips": predictions.clips, "emotion": (values > 0.5).astype(np.float32)}
    scores = dyadbench.score(fields, BENCHMARK, dataset=TINY, root=root)
    mine = scores["react2024"]["FRCorr"]
    assert (
        mine.value is not None and mine.low is not None and mine.high is not None and mine.low < mine.value < mine.high
    )
    np.savez(root / "raw.npz", clips=np.array(predictions.clips), emotion=values.astype(np.float32))
    raw = subprocess.run(
        [*command[:4], str(root / "raw.npz"), *command[5:], "--as", "raw"], capture_output=True, text=True
    )
    assert raw.returncode == 2 and "not all 0 or 1" in raw.stderr
    np.savez(file := root / "p.npz", clips=np.array(predictions.clips), emotion=fields["emotion"])
    command[4] = str(file)
    process = subprocess.run([*command, "--as", "theirs"], check=True, capture_output=True, text=True)
    assert "recorded as theirs" in process.stdout and "95 %" in process.stdout
    again = subprocess.run([*command, "--as", "theirs"], capture_output=True, text=True)
    assert again.returncode == 2 and "holds a record already" in again.stderr
    floor = subprocess.run([*command, "--as", "mismatched-listener"], capture_output=True, text=True)
    assert floor.returncode == 2 and "'mismatched-listener' is a method itself" in floor.stderr
    subprocess.run(
        [sys.executable, "-m", "dyadbench", "leaderboard", "--root", str(root)], check=True, capture_output=True
    )
    board = (root / "leaderboards" / f"{BENCHMARK}.md").read_text()
    [row] = [line for line in board.splitlines() if line.startswith("| (") and "| theirs |" in line]
    assert f"({row[3]}) scored from a file" in board, "why it has no rank is said below the table"
    assert f"| {mine.value:.4f} |" in row, (
        "of a file nobody knows how its samples would differ with another seed: no interval"
    )
    subprocess.run([sys.executable, "-m", "dyadbench", "report", "--root", str(root)], check=True, capture_output=True)
    assert "theirs" in (root / "leaderboards" / "site" / f"{BENCHMARK}.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": {"simdyd": "."}}, "no dataset 'simdyd' is read here; did you mean simdyad"),
        ({"data": {"simdyad": "none"}}, "data simdyad: none is not a folder"),
        ({"seeds": (0, 0)}, "two of the seeds are 0"),
        ({"seeds": ()}, "seeds: .*at least 1"),
        ({"seeds": 3}, "seeds: a list is expected, not 3"),
        ({"benchmark": [BENCHMARK, BENCHMARK]}, "two of the benchmarks"),
        ({"method": []}, "method: .*at least 1"),
        ({"seeds": (True,)}, "seeds: a number is expected, not true or false"),
        ({"seeds": "12"}, "seeds: a list is expected, not '12'"),
        ({"limit": -1}, "limit is -1"),
        ({"limit": "2"}, "limit is '2'; it must be 0 or more, a whole number"),
        ({"batch": 0}, "batch is 0; it must be 1 or more"),
        ({"device": 3}, "'3' is none of cpu, cuda and cuda:N"),
        ({"threads": 0}, "threads is 0"),
        ({"root": 3}, "root is 3; it must be the path of a folder"),
        ({"home": 3}, "home is 3; it must be"),
        ({"data": {"simdyad": 3}}, "data simdyad is 3; it must be"),
    ],
)
def test_what_is_asked_is_what_runs_or_it_is_refused(options: dict[str, object], message: str, tmp_path: Path) -> None:
    """A misspelt folder was ignored, a cell that was asked for twice ran twice, and 0 threads were taken."""
    with pytest.raises(DyadbenchError, match=message):
        dyadbench.run(**{"benchmark": BENCHMARK, "method": "mime", "dataset": TINY, "root": tmp_path, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": "a"}, "seeds.0: a whole number is expected, not 'a'"),
        ({"seed": True}, "a number is expected, not true or false"),
        ({"settings": 3}, "settings: a table is expected, not 3"),
        ({"dataset": 3}, "a table is expected, not 3"),
        ({"fold": "a"}, "fold is 'a'; it must be 0 or more, a whole number"),
        ({"threads": "a"}, "threads is 'a'"),
    ],
)
def test_a_method_is_loaded_by_the_door_of_run(options: dict[str, object], message: str, tmp_path: Path) -> None:
    """Values of a wrong type ended in errors of pydantic and Python."""
    words = {"method": "mime", "benchmark": BENCHMARK, "dataset": TINY, "root": tmp_path, "train": True, **options}
    with pytest.raises(DyadbenchError, match=message):
        dyadbench.load_method(**words)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_predictions_in_memory_enter_at_the_same_door(kind: torch.dtype) -> None:
    values = torch.rand(2, 1, 5, 25, dtype=kind, requires_grad=True)
    fields = {"clips": np.array(["a", "b"]).astype("S"), "emotion": values, "fps": torch.tensor([25.0])}
    opened = _opened(fields)
    assert opened.clips == ("a", "b") and opened.fps == 25.0
    expected = values.detach().to(torch.float64 if kind == torch.float64 else torch.float32).numpy()
    np.testing.assert_array_equal(opened.arrays["emotion"], expected)
    with pytest.raises(DyadbenchError, match=r"predictions hold 'emotions', which is none of .*did you mean emotion"):
        _opened({**fields, "emotions": values})
    with pytest.raises(DyadbenchError, match="emotion holds <U1; numbers are expected"):
        _opened({**fields, "emotion": np.array(["x"])})


def test_a_table_of_no_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match="there are no records in"):
        dyadbench.records.frame(tmp_path)


@pytest.mark.parametrize("predictions", [None, np.zeros((2, 2, 60, 25))])
def test_predictions_that_are_neither_a_file_nor_a_table_are_a_sentence(predictions: object) -> None:
    with pytest.raises(DyadbenchError, match=r"predictions is \w+; a file, or \{'clips': names"):
        dyadbench.score(predictions, "simdyad-clear-react-online")  # type: ignore[arg-type]


def test_settings_of_the_data_are_a_table(tmp_path: Path) -> None:
    predictions = {"clips": ["a"], "emotion": np.zeros((1, 1, 5, 25))}
    with pytest.raises(DyadbenchError, match="settings of the data are 'tiny'; a table is expected, for example"):
        dyadbench.score(predictions, BENCHMARK, dataset="tiny", root=tmp_path)  # type: ignore[arg-type]
