"""Excerpts of a real cell: the simulated corpus, its voice, and a method that has to be fitted."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np

from dyadbench.cell.excerpts import make_excerpts
from dyadbench.cell.runtime import Runtime
from dyadbench.engines.inline import run_cells
from dyadbench.matrix.cells import Matrix, MethodSpec, cells_of
from dyadbench.records.comparable import records_below
from dyadbench.records.excerpts import gather, unpack
from dyadbench.records.record import record_path, save_record
from dyadbench.registry.host import Host


def test_excerpts_are_what_was_scored_and_need_the_store_only_once(tmp_path: Path) -> None:
    host = Host()
    small = {"simdyad-clear-l2l": {"size": "tiny", "seconds": 8.0}}
    matrix = Matrix(benchmarks=tuple(small), method=tuple(MethodSpec(name=n) for n in ("ridge", "mime")), datasets=small)  # fmt: skip
    runtime = Runtime(home=tmp_path / "home")
    for _, record in run_cells(cells_of(host, matrix), host, runtime):
        assert not isinstance(record, Exception), record
        save_record(record, record_path(tmp_path, record))
    records = records_below(tmp_path)
    assert make_excerpts(records, tmp_path, runtime, host) == {}
    first = gather(records, tmp_path, runtime.home)
    assert first.people is not None
    assert list(first.methods) == ["ridge"], "calibration rows show nothing new"
    assert not first.missing
    clip = first.people.clips[0]
    assert len(unpack(clip.speaker.face)) == clip.frames == len(unpack(first.methods["ridge"].reactions[clip.id][0]))
    # The drawn head is the head of the predictions that were scored.
    stored = np.load(next((tmp_path / "home" / "store" / "generate").rglob(f"{_key(records)}/motion.npy")))
    start = round(clip.start * first.people.fps)
    row = records[0].clips.index(clip.id)
    head = stored[row, 0, start : start + clip.frames, 50:53]
    assert np.abs(unpack(first.methods["ridge"].reactions[clip.id][0])[:, :3] - head).max() < 0.005
    _check_voice(clip.voice, clip.frames / first.people.fps)
    elsewhere = Runtime(home=tmp_path / "elsewhere")
    assert make_excerpts(records, tmp_path, elsewhere, host) == {}
    assert gather(records, tmp_path, elsewhere.home).methods == first.methods
    assert not (tmp_path / "elsewhere").exists(), "kept excerpts need neither store nor data"
    (tmp_path / "excerpts" / "simdyad-clear-l2l" / "ridge.json").unlink()
    assert "dyadbench run -b simdyad-clear-l2l -m ridge" in make_excerpts(records, tmp_path, elsewhere, host)["ridge"]
    assert list(gather(records, tmp_path, elsewhere.home).missing) == ["ridge"]
    sent = records[0].model_copy(update={"method": "mine", "scored_from": "mine.npz", "calibration": False})
    for beside in ([], records):
        why = make_excerpts([sent, *beside], tmp_path, runtime, host)
        assert why == {"mine": "it was scored from a file, which is not kept"}, "not that the data are missing"


def _key(records: list) -> str:
    return next(r.key for r in records if r.method == "ridge")


def _check_voice(text: str | None, seconds: float) -> None:
    import soundfile

    assert text is not None
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(text)))
    assert abs(len(samples) / rate - seconds) < 0.01
    assert samples.std() > 0.005
