"""Every reader of files, with files to begin from: what is fuzzed, shortly in the tests and for as long as one likes.

    python tests/weather/fuzz.py READER SECONDS [FOLDER]     # guided by coverage where atheris is installed

A reader may return, or raise DyadbenchError with the file's name in one line. Anything else is a finding: its bytes
are kept in FOLDER and belong into `FOUND` of test_fuzz.py. SECONDS are processor time. What coverage found worth
keeping stays in FOLDER too, and the next call goes on from it.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dyadbench.api import DyadbenchError

NASTY = [
    b"\x00", b"\xff" * 8, b"\x7f\xff\xff\xff", b"-1", b"1e999", b"NaN", b"9" * 400, b"\xf0\x9f\x98\x82", b"\xed\xa0\x80", b"\\ud800",
    b"[" * 200, b'{"a":' * 100, b",,", b"\r\n", b"\xef\xbb\xbf", b"null", b"true", b'""', b"[]", b"{}", b"../", b"/dev/stdin",
    struct.pack("<Q", 1 << 60), struct.pack("<I", 0xFFFFFFF0), b"(" * 100, b"<U0", b"|O", b">f8", b"(0,)", b"(-1, -1)",
]  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """How a file of `name` is read, and good files to start from."""

    name: str
    read: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]


def mutate(rng: random.Random, data: bytes) -> bytes:
    """A few changes at random places."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(changed) + 1)
        to = min(len(changed), at + rng.choice((1, 1, 2, 4, 8, 64)))
        match rng.randrange(7):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << rng.randrange(8)
            case 1 if changed:
                changed[at % len(changed)] = rng.randrange(256)
            case 2:
                changed[at:to] = rng.choice(NASTY)
            case 3:
                changed[at:at] = rng.choice(NASTY)
            case 4:
                del changed[at:to]
            case 5:
                changed[at:at] = changed[at:to]
            case 6 if rng.random() < 0.2:
                del changed[at:]
    return bytes(changed)


# --- readers --------------------------------------------------------------------------------------------


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _seeds_npy() -> list[bytes]:
    arrays = [np.arange(12.0).reshape(3, 4), np.asfortranarray(np.ones((2, 3), np.float32)), np.zeros((0, 5)), np.array(["a"]),
              np.array([None], dtype=object), np.zeros(2, [("a", "f4"), ("b", "U3")])]  # fmt: skip
    return [_npy(array) for array in arrays]


def _seeds_wav() -> list[bytes]:
    import soundfile

    files = []
    for subtype, channels in (("PCM_16", 1), ("FLOAT", 2), ("PCM_24", 1), ("ULAW", 1)):
        buffer = io.BytesIO()
        wave = np.random.default_rng(0).uniform(-0.1, 0.1, (400, channels))
        soundfile.write(buffer, wave, 8000, subtype=subtype, format="WAV")
        files.append(buffer.getvalue())
    return files


def _seeds_npz() -> list[bytes]:
    files = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, emotion=np.zeros((2, 1, 3, 25), np.float32), clips=np.array(["a", "b"]), fps=np.array(25.0))
        files.append(buffer.getvalue())
    return files


def _seeds_safetensors() -> list[bytes]:
    from safetensors.numpy import save

    meta = {"clips": '["a", "b"]', "fps": "25.0"}
    return [
        save({"emotion": np.zeros((2, 1, 3, 2), np.float32), "motion": np.zeros((2, 1, 3, 2))}, meta),
        save({}, meta),
    ]


def _seeds_pth() -> list[bytes]:
    import torch

    segment = {"fname": "v", "split_start_frame": 30, "during_words": [{"text": "so", "end": 1.5}]}
    files = []
    for kind in (np.asarray, torch.from_numpy):
        parts = {
            f"{p}_{n}": kind(np.ones((2, s), np.float32)) for p in ("p0", "p1") for n, s in (("exp", 50), ("pose", 6))
        }
        for zipped in (True, False):
            buffer = io.BytesIO()
            torch.save([{**segment, **parts}], buffer, _use_new_zipfile_serialization=zipped)
            files.append(buffer.getvalue())
    return files


def _seeds_record() -> list[bytes]:
    columns = {"FRCorr": 1, "FRDist": 1}
    record = {
        "format": "dyadbench-record/1", "key": "k", "benchmark": "b", "method": "m", "preset": None, "method_config": {"predictor": {"name": "p", "version": 1, "config": {"a": [1, {"b": "\\"}]}}},
        "benchmark_config": {"dataset": "d", "samples": 3, "suite": "s", "also": [], "split": "test", "track": "online"},
        "plugin": ["p", "1"], "entry_version": 1, "calibration": False, "trained": True, "seed": 0, "clips": ["a", "b"], "sessions": ["s", "t"],
        "dataset": {"name": "d", "digest": "x", "simulated": True, "split": "test", "config": {}, "normalisation": {"kind": "none"}},
        "suites": {"s": {"versions": columns, "scores": {c: {"value": 0.5, "undefined": 1, "detail": {"x": 1.0}} for c in columns},
                         "per_clip": {c: [0.5, None] for c in columns}}},
        "measured": {"lookahead": None, "realtime_factor": 3.5, "parameters": 7, "readout": {"version": 1, "rmse": {"AU1": 0.2}}}, "provenance": {},
    }  # fmt: skip
    return [json.dumps(record).encode(), json.dumps(record, indent=1).encode()]


def _read_record(path: Path) -> object:
    """Reads it, and makes every kind of table from it."""
    from dyadbench.api import Column
    from dyadbench.leaderboard.data_files import csv_text, json_text
    from dyadbench.leaderboard.markdown import markdown_page
    from dyadbench.leaderboard.tables import make_table
    from dyadbench.leaderboard.terminal import terminal_table
    from dyadbench.records.record import load_record, record_path, save_record

    record = load_record(path)
    columns = [Column("FRCorr", "max"), Column("FRDist", "min")]
    table = make_table([record], "s", columns)
    markdown_page([table]).encode()
    csv_text([table]).encode()
    json_text([table]).encode()
    terminal_table(table).encode()
    save_record(record, path.with_name("again.json"))
    again = load_record(path.with_name("again.json"))
    assert again.method == record.method and record_path(path.parent, record).is_relative_to(path.parent)
    return again


def _read_segments(path: Path) -> object:
    from dyadbench.cell.split import Split
    from dyadbench.datasets.config import LMConfig
    from dyadbench.datasets.lm_listener import LMListenerDataset, segment_file

    target = segment_file(path.parent, "trevor", "test")
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    return Split(LMListenerDataset(LMConfig(), path.parent), "test")._tracks


def _read_predictions(path: Path) -> object:
    from dyadbench.files.predictions import faults, read_predictions

    return faults(read_predictions(path), ["a", "b"], np.array([3, 3]), 1, "emotion", 25, 25.0)


def _react_list(path: Path) -> object:
    from dyadbench.datasets.react_files import emotion_file, motion_file, read_pairs

    target = path.parent / "data" / "val.csv"
    target.parent.mkdir(exist_ok=True)
    path.replace(target)
    pairs = read_pairs(path.parent, "val")
    for pair in pairs:
        for each in pair:
            assert motion_file(path.parent, "val", each).resolve().is_relative_to(path.parent.resolve())
            emotion_file(path.parent, "val", each).exists()
    return pairs


def _mark(path: Path) -> object:
    from dyadbench.datasets.check.run import _sums
    from dyadbench.datasets.digest import folder_digest, simulated_digest

    data = path.read_bytes()
    (path.parent / ".dyadbench-digest.json").write_bytes(data)
    folder_digest(path.parent)
    (path.parent / "SHA256SUMS").write_bytes(data)
    list(_sums(path.parent))
    return simulated_digest(path.parent)


def _state(path: Path) -> object:
    """The store's own JSON, and a checkpoint's header."""
    from dyadbench.store.folders import Folder

    return Folder("k", path.parent).read_json(path.name)


def _checkpoint(path: Path) -> object:
    import torch
    from lightning_fabric import Fabric

    from dyadbench.api import Optimiser, Stage, Windows
    from dyadbench.training.loop import FitOptions, StageRun

    module = torch.nn.Linear(2, 1)
    stage = Stage("s", module, Windows(1, 1), lambda batch: None, (Optimiser("o", list(module.parameters()), 0.1),), 5)  # type: ignore[arg-type, return-value]
    run = StageRun(stage, None, None, FitOptions(path.parent, 0), Fabric(accelerator="cpu", devices=1))  # type: ignore[arg-type]
    (path.parent / "s").mkdir(exist_ok=True)
    path.replace(path.parent / "s" / "checkpoint.safetensors")
    run.files.resume(run.state)
    return run.state.step


def _seeds_checkpoint() -> list[bytes]:
    import torch
    from safetensors.torch import save

    tensors = {"module.weight": torch.zeros(1, 2), "module.bias": torch.zeros(1)}
    tensors |= {
        f"optim.o.{i}.{n}": v.clone() for i, v in enumerate(list(tensors.values())) for n in ("exp_avg", "exp_avg_sq")
    }
    tensors |= {f"optim.o.{i}.step": torch.tensor(3.0) for i in range(2)}
    return [save(tensors, {"facts": json.dumps({"step": 3, "best": 0.5, "best_step": 2, "stale": 0})})]


def _lazy(module: str, name: str, *more: object) -> Callable[[Path], object]:
    return lambda path: getattr(__import__(module, fromlist=[name]), name)(path, *more)


MATRIX = b'benchmarks = ["b"]\nseeds = [0, 1]\n[[method]]\nname = "m"\npreset = "smoke"\n[method.settings]\n"a.b" = 1\n'
PUBLISHED = b'source = "s"\nbenchmark = "b"\ndataset = "d"\nwarning = "w"\n[notes]\nn = "scale"\n[[rows]]\nmethod = "m"\nmetric = "FRC"\nvalue = 0.5\nnote = "n"\nsplit = "t"\ntask = "on"\n'  # fmt: skip
READERS: dict[str, Reader] = {
    "npy": Reader("a.npy", _lazy("dyadbench.files.npy", "read_npy"), _seeds_npy),
    "csv": Reader("a.csv", _lazy("dyadbench.files.npy", "read_rows", ("a", "b")), lambda: [b"a,b\n1,2\n3,4\n", b"\xef\xbb\xbfa,b\r\n1e3,-.5\r\n"]),
    "wav": Reader("a.wav", _lazy("dyadbench.datasets.features", "read_wav"), _seeds_wav),
    "places": Reader("a.npy", _lazy("dyadbench.datasets.l2l", "read_places"), lambda: [_npy(np.array([[["v", "1", str(t)] for t in range(64)]])), _npy(np.zeros((2, 64, 3), np.int64))]),
    "pairs": Reader("a.csv", _react_list, lambda: [b",speaker_path,listener_path\n0,NoXI/1/Expert_video/1,NoXI/1/Novice_video/1\n"]),
    "indices": Reader("a.csv", _lazy("dyadbench.datasets.neighbours", "read_indices"), lambda: [b"site,chat_index,clip_index\nNoXI,065,1\n"]),
    "segments": Reader("a.pth", _read_segments, _seeds_pth),
    "npz": Reader("a.npz", _read_predictions, _seeds_npz),
    "safetensors": Reader("a.safetensors", _read_predictions, _seeds_safetensors),
    "record": Reader("a.json", _read_record, _seeds_record),
    "matrix": Reader("a.toml", _lazy("dyadbench.matrix.cells", "read_matrix"), lambda: [MATRIX]),
    "published": Reader("a.toml", _lazy("dyadbench.leaderboard.published", "read_published_file"), lambda: [PUBLISHED]),
    "mark": Reader("simdyad.json", _mark, lambda: [b'{"sha256": "abc", "config": {}}', b"0" * 64 + b"  simdyad.json\n"]),
    "state": Reader("a.json", _state, lambda: [b'{"spaces": ["emotion"], "done": 3}']),
    "checkpoint": Reader("a.safetensors", _checkpoint, _seeds_checkpoint),
}  # fmt: skip


def demand_a_sentence(reader: Reader, folder: Path, data: bytes) -> None:
    """AssertionError where reading `data` is neither a value nor one sentence that names the file."""
    path = folder / reader.name
    path.write_bytes(data)
    try:
        reader.read(path)
    except DyadbenchError as error:
        text = str(error)
        assert str(folder) in text or "clip" in text, f"no file is named: {text}"
        assert len(text) < 1000, f"a sentence of {len(text)} characters"


# --- for as long as one likes ---------------------------------------------------------------------------


def changed(reader: Reader, rng: random.Random) -> Iterator[bytes]:
    """Good files, changed; now and then the parts of a zip are changed and packed again."""
    seeds = reader.seeds()
    while True:
        seed = rng.choice(seeds)
        if seed[:2] == b"PK" and rng.random() < 0.7:
            yield repacked(rng, seed)
        else:
            yield mutate(rng, seed)


def repacked(rng: random.Random, data: bytes) -> bytes:
    """The zip with the content of one member changed and its checksum right."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", old.infolist()[0].compress_type) as new:
        chosen = rng.choice(old.namelist())
        for name in old.namelist():
            new.writestr(name, mutate(rng, old.read(name)) if name == chosen else old.read(name))
    return buffer.getvalue()


def main(name: str, seconds: float, finds: Path) -> None:
    """Fuzzes one reader, guided by coverage where atheris is installed; exits 1 if it found anything, 0 otherwise."""
    reader, start, runs, findings = READERS[name], time.process_time(), 0, set[str]()
    finds.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))

    def once(data: bytes) -> None:
        nonlocal runs, start
        if (spent := time.process_time() - start) > seconds:
            print(f"{name}: {runs} files in {spent:.0f} s, {len(findings)} findings", flush=True)
            shutil.rmtree(folder)
            os._exit(1 if findings else 0)  # libFuzzer has no other end
        runs += 1
        try:
            demand_a_sentence(reader, folder, bytes(data))
        except Exception:
            trace = traceback.format_exc()
            places = [line for line in trace.splitlines() if "dyadbench" in line or "fuzz.py" in line]
            if places[-1] not in findings:
                findings.add(places[-1])
                (finds / f"{name}-{zlib.crc32(places[-1].encode()):08x}.bin").write_bytes(data)
                print(f"FOUND {name}: {trace}", flush=True)

    try:
        import atheris
    except ImportError:
        for data in changed(reader, random.Random(0)):
            once(data)
        return
    corpus = finds / f"corpus-{name}"
    corpus.mkdir(exist_ok=True)
    with atheris.instrument_imports(include=["dyadbench"]):  # what the readers import when they first read
        for number, seed in enumerate(reader.seeds()):
            start = time.process_time()
            once(seed)
            (corpus / str(number)).write_bytes(seed)

    start = time.process_time()  # imports do not count

    def mutator(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        if rng.random() < 0.1:
            return next(changed(reader, rng))[:most]
        try:
            return (repacked(rng, data) if data[:2] == b"PK" and rng.random() < 0.7 else mutate(rng, data))[:most]
        except Exception:  # no whole zip any more
            return mutate(rng, data)[:most]

    limits = ["-max_len=20000", "-rss_limit_mb=4096", "-timeout=600", f"-artifact_prefix={finds}/{name}-"]
    atheris.Setup([sys.argv[0], str(corpus), *limits], once, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3] if len(sys.argv) > 3 else "fuzz-findings"))
