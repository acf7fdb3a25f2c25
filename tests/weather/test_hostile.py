"""Files made to harm: nothing is run, memory stays bounded, and one sentence names the file."""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
import resource
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.fixtures.hostile import Trap

from dyadbench.api import Column, DyadbenchError
from dyadbench.datasets.lm_listener import read_segments
from dyadbench.files.predictions import faults, read_predictions
from dyadbench.leaderboard.data_files import csv_text
from dyadbench.leaderboard.markdown import markdown_page
from dyadbench.leaderboard.published import read_published_file
from dyadbench.leaderboard.tables import make_table
from dyadbench.leaderboard.terminal import terminal_table
from dyadbench.leaderboard.write import write_leaderboards
from dyadbench.matrix.cells import read_matrix
from dyadbench.matrix.settings import nest, parse_settings
from dyadbench.records.comparable import records_below
from dyadbench.records.record import MAX_DEPTH, Record, SuiteScores, load_record, record_path, save_record

GIB = 1 << 30


# --- predictions and data -------------------------------------------------------------------------------


def _safetensors(header: dict[str, Any] | bytes, body: bytes = b"", size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + body


def _tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def _npy(shape: tuple[int, ...], body: bytes = b"", descr: str = "<f4") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_2_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + body


def _raw_npy(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("DOTS", ".."), data)
    return buffer.getvalue()


def _object_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def _bomb() -> bytes:
    """A member of 12 GiB of zeros by its directory; its stream is short, as nobody may get to it."""
    data = bytearray(_zip(**{"emotion.npy": _npy((3 * GIB,))}))
    where = data.rindex(b"PK\x01\x02")
    data[where + 24 : where + 28] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(data)


def _encrypted() -> bytes:
    data = bytearray(_zip(**{"emotion.npy": _npy((1,), b"abcd")}))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


PREDICTIONS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "huge header": ("safetensors", lambda: _safetensors(b"{}", size=1 << 60), "not a readable safetensors"),
    "header of 100 GB": ("safetensors", lambda: _safetensors(b"{}", size=100 * 10**9), "not a readable safetensors"),
    "header of 99 MB of nothing": ("safetensors", lambda: _safetensors(b" " * 99_000_000), "not a readable safetensors"),
    "overlapping offsets": (
        "safetensors",
        lambda: _safetensors({"emotion": _tensor([4], 0, 16), "motion": _tensor([4], 8, 24)}, bytes(24)),
        "not a readable safetensors",
    ),
    "offsets beyond the file": ("safetensors", lambda: _safetensors({"emotion": _tensor([4], 0, 16)}, bytes(8)), "not a readable"),
    "offsets that go back": ("safetensors", lambda: _safetensors({"emotion": _tensor([4], 16, 0)}, bytes(16)), "not a readable"),
    "a shape of 2^62": ("safetensors", lambda: _safetensors({"emotion": _tensor([1 << 62, 4], 0, 16)}, bytes(16)), "not a readable"),
    "clips nested deep": (
        "safetensors",
        lambda: _safetensors({"__metadata__": {"clips": "[" * 100_000}, "emotion": _tensor([4], 0, 16)}, bytes(16)),
        "not a readable",
    ),
    "clips that are text": ("safetensors", lambda: _safetensors({"__metadata__": {"clips": '"abc"'}}), "not a JSON list of ids"),
    "clips that are numbers": ("safetensors", lambda: _safetensors({"__metadata__": {"clips": "[1]"}}), "not a JSON list of ids"),
    "fps that is text": ("safetensors", lambda: _safetensors({"__metadata__": {"fps": "fast"}}), "not a readable"),
    "a type nobody reads": ("safetensors", lambda: _safetensors({"emotion": _tensor([4], 0, 4, "F8_E4M3")}, bytes(4)), "tensor 'emotion' is F8_E4M3"),
    "path traversal": ("npz", lambda: _zip(**{"DOTS__DOTS__evil.npy": _npy((1,), b"abcd")}), "'../../evil.npy' is not the name of an array"),
    "absolute path": ("npz", lambda: _zip(**{"__tmp__evil.npy": _npy((1,), b"abcd")}), "'/tmp/evil.npy' is not the name of an array"),
    "100 GB declared": ("npz", lambda: _zip(**{"emotion.npy": _npy((10**6, 10, 100, 25))}), "declares 100000000000 bytes and holds"),
    "negative shape": ("npz", lambda: _zip(**{"emotion.npy": _npy((-1, -4), b"abcd" * 4)}), "its shape is"),
    "items of no size": ("npz", lambda: _zip(**{"clips.npy": _npy((10**12,), descr="<U0")}), "declares 0 bytes"),
    "zip bomb": ("npz", _bomb, "unpacks to 4294967280 bytes|declares|not a readable npz"),
    "encrypted": ("npz", _encrypted, "not a readable npz"),
    "pickle inside": ("npz", lambda: _zip(**{"emotion.npy": _object_array()}), "Python objects, which are never loaded"),
    "pickle renamed": ("npz", lambda: pickle.dumps(Trap()), "not a readable npz"),
    "pickle renamed, in safetensors": ("safetensors", lambda: pickle.dumps(Trap()), "not a readable safetensors"),
    "header that is code": ("npz", lambda: _zip(**{"emotion.npy": _raw_npy(b"__import__('os').abort()\n")}), "not a readable npz"),
    "header nested deep": ("npz", lambda: _zip(**{"emotion.npy": _raw_npy(b"-" * 9000 + b"1\n")}), "not a readable npz"),
    "header in brackets": ("npz", lambda: _zip(**{"emotion.npy": _raw_npy(b"(" * 9000 + b"\n")}), "not a readable npz"),
    "not a zip": ("npz", lambda: b"PK\x05\x06", "not a readable npz"),
    "fps of two numbers": ("npz", lambda: _zip(**{"fps.npy": _npy((2,), bytes(8))}), "one number is expected"),
}  # fmt: skip


@pytest.mark.parametrize("attack", PREDICTIONS)
def test_hostile_predictions(tmp_path: Path, attack: str) -> None:
    suffix, make, message = PREDICTIONS[attack]
    path = tmp_path / f"hostile.{suffix}"
    path.write_bytes(make())
    with pytest.raises(DyadbenchError, match=message) as caught:
        read_predictions(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)
    assert [item.name for item in tmp_path.iterdir()] == [path.name], "nothing was unpacked"


def _pth_bomb(path: Path) -> None:
    """A real segment file, packed again with compression: 50 MB of zeros in 50 kB."""
    torch.save([{"p0_exp": torch.zeros(250_000, 50)}], path)
    with zipfile.ZipFile(path) as plain:
        members = {item.filename: plain.read(item) for item in plain.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)


@pytest.mark.parametrize("attack", ["pickle", "compressed", "global", "nested"])
def test_hostile_segments(tmp_path: Path, attack: str) -> None:
    path = tmp_path / "segments_test.pth"
    if attack == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    elif attack == "compressed":
        _pth_bomb(path)
    elif attack == "global":
        torch.save([{"fname": Trap()}], path)
    else:
        path.write_bytes(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")
    with pytest.raises(DyadbenchError, match=r"segments_test\.pth was refused"):
        read_segments(path)


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """Every attack above in a process that may take 1.5 GiB more than it holds: none meets the limit."""
    for name, (suffix, make, _) in PREDICTIONS.items():
        (tmp_path / f"{name.replace(' ', '_')}.{suffix}").write_bytes(make())
    _pth_bomb(tmp_path / "bomb.pth")
    deep = tmp_path / "deep.json"
    deep.write_text('{"format": ' + "[" * 100_000 + "]" * 100_000 + "}")
    (tmp_path / "quotes.json").write_text('"' + '\\"' * 4_000_000)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from dyadbench.api import DyadbenchError\n"
        "from dyadbench.files.predictions import read_predictions\n"
        "from dyadbench.records.record import load_record\n"
        "from dyadbench.datasets.lm_listener import read_segments\n"
        "import torch, safetensors\n"
        "held = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (held + {3 * GIB // 2},) * 2)\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    reader = {'.pth': read_segments, '.json': load_record}.get(path.suffix, read_predictions)\n"
        "    try: reader(path)\n"
        "    except DyadbenchError as error: assert path.name in str(error) and 'MemoryError' not in str(error), error\n"
        "    else: raise SystemExit(f'{path.name} was read')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - 0)\n"
    )
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) < GIB + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_an_archive_larger_than_the_memory_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "p.npz", emotion=np.zeros((10, 10, 10, 25), np.float32))
    monkeypatch.setattr("dyadbench.files.predictions.available_bytes", lambda: 100_000)
    with pytest.raises(DyadbenchError, match="50000 are allowed here; save it as safetensors"):
        read_predictions(tmp_path / "p.npz")


def test_fps_that_is_not_a_number_is_a_fault(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", emotion=np.zeros((1, 1, 1, 25), np.float32), clips=["a"], fps=np.nan)
    [fault] = faults(read_predictions(tmp_path / "p.npz"), ["a"], np.array([1]), 1, "emotion", 25, 25.0)
    assert "fps is nan, the benchmark has 25" in fault


# --- records --------------------------------------------------------------------------------------------


@cache
def _columns() -> Sequence[Column]:
    from dyadbench.registry.host import Host

    return tuple(Host().build("suite", "react2024", {}).columns)


def _record(**change: Any) -> Record:
    columns = _columns()
    clips = [f"c{i}" for i in range(4)]
    suite = SuiteScores.model_validate({
        "versions": {c.id: c.version for c in columns}, "scores": {c.id: {"value": 0.5} for c in columns},
        "per_clip": {c.id: [0.5] * 4 for c in columns},
    })  # fmt: skip
    facts: dict[str, Any] = {
        "key": "k", "benchmark": "b", "method": "m", "preset": None, "method_config": {"predictor": {"name": "p", "version": 1, "config": {}}}, "plugin": ("p", "1"), "entry_version": 1,
        "benchmark_config": {"dataset": "d", "samples": 3, "suite": "react2024"}, "calibration": False, "trained": False, "seed": 0,
        "dataset": {"name": "d", "digest": "x", "simulated": True, "split": "test", "config": {}}, "clips": clips,
        "sessions": ["s", "s", "t", "t"], "suites": {"react2024": suite}, "measured": {"lookahead": 0}, "provenance": {},
    }  # fmt: skip
    facts["benchmark_config"] |= {"track": "online", "also": [], "split": "test"}
    return Record.model_validate(facts | change)


def _text(tmp_path: Path) -> str:
    save_record(_record(), tmp_path / "good.json")
    return (tmp_path / "good.json").read_text()


RECORDS: dict[str, tuple[Callable[[str], str], str]] = {
    "nested 100 000 deep": (lambda t: t.replace('"provenance": {}', '"provenance": ' + "[" * 100_000 + "]" * 100_000), "nested deeper than 64"),
    "nested in objects": (lambda t: '{"a":' * 100_000, "nested deeper than 64"),
    "NaN": (lambda t: t.replace("0.5", "NaN", 1), "NaN is not a number"),
    "infinity": (lambda t: t.replace("0.5", "-Infinity", 1), "-Infinity is not a number"),
    "an infinite number in digits": (lambda t: t.replace("0.5", "1e999", 1), "1e999 is not a number that can be kept"),
    "a number of 400 digits with a fraction": (
        lambda t: t.replace("0.5", "9" * 400 + ".0", 1),
        "is not a number that can be kept",
    ),
    "a number of 5000 digits": (lambda t: t.replace("0.5", "9" * 5000, 1), "digits"),
    "half a character": (lambda t: t.replace('"method": "m"', '"method": "\\ud800"'), "surrogates not allowed"),
    "a string without end": (lambda t: '"' + '\\"' * 1_000_000, "Unterminated string"),
    "no dataset": (lambda t: t.replace('"name": "d",', ""), "name is missing"),
    "text for a look-ahead": (lambda t: t.replace('"lookahead": 0', '"lookahead": "none"'), "lookahead"),
    "columns without values": (lambda t: t.replace('"FRCorr": [0.5, 0.5, 0.5, 0.5],', ""), "same columns"),
    "a newer format": (lambda t: t.replace("dyadbench-record/1", "dyadbench-record/2"), "a newer dyadbench may read it"),
    "a list": (lambda t: "[]", "not a JSON object"),
    "nothing": (lambda t: "", "Expecting value"),
    "a clip twice": (lambda t: t.replace('"c1"', '"c0"'), "a clip appears twice"),
    "values cut short": (lambda t: t.replace("[0.5, 0.5, 0.5, 0.5]", "[0.5]", 1), "1 per-clip values for 4 clips"),
}  # fmt: skip


@pytest.mark.parametrize("attack", RECORDS)
def test_hostile_records(tmp_path: Path, attack: str) -> None:
    change, message = RECORDS[attack]
    good = _text(tmp_path)
    changed = change(good)
    assert changed != good
    path = tmp_path / "bad.json"
    path.write_text(changed)
    with pytest.raises(DyadbenchError, match=message) as caught:
        load_record(path)
    assert "bad.json is not a record" in str(caught.value)


def test_depth_is_counted_outside_strings_only(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    save_record(_record(provenance={"a": "[" * 1000, "b": '"\\' * 50 + "{" * 1000}), path)
    assert load_record(path).provenance["a"] == "[" * 1000
    nested: Any = 0
    for _ in range(MAX_DEPTH - 1):
        nested = [nested]
    save_record(_record(provenance=nested and {"a": nested[0]}), path)
    load_record(path)


NAMES = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "=HYPERLINK(\"http://evil\",\"x\")",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    " \t=1+1",
    "\uff1d1+1",
    "a|b\nc",
    "**bold** [link](javascript:alert(1)) `code`",
    "\x1b[31mred\x1b[0m\x07",
    "\u202egnp.exe",
    "$a_1$ & &lt;",
    "../../../evil",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_come_out_escaped(tmp_path: Path, name: str) -> None:
    columns = _columns()
    record = _record(
        method=name,
        benchmark=name,
        dataset={"name": name, "digest": "x", "simulated": True, "split": name, "config": {}},
        deterministic=True,
    )
    reference = {"predictor": {"name": "mismatched-listener", "version": 1, "config": {}}}
    floor = record.model_copy(update={"method": "mismatched-listener", "calibration": True, "method_config": reference})
    table = make_table([record, floor], "react2024", columns)
    page = markdown_page([table])
    assert "<script" not in page and "<img" not in page and "\x1b" not in page and "\u202e" not in page
    [row] = [line for line in page.splitlines() if line.startswith("| 1")]
    header = next(line for line in page.splitlines() if line.startswith("| rank"))
    assert row.replace("\\|", "").count("|") == header.count("|"), "a name opens no new cell"
    assert not re.search(r"(?<!\\)(\]\(javascript|\*\*bold|`code)", page)
    rows = list(csv.DictReader(io.StringIO(csv_text([table]))))
    assert {line["metric"] for line in rows} >= {column.id for column in columns}
    for line in rows:
        for field in ("benchmark", "method", "reason"):
            assert not line[field].startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d")), line[field]
    text = terminal_table(table)
    assert all(character.isprintable() for character in text.replace("\n", "")), "no terminal is steered"


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_out_of_no_folder(tmp_path: Path, name: str) -> None:
    boards = tmp_path / "a" / "b" / "leaderboards"
    record = _record(method=name, benchmark=name)
    path = record_path(boards, record)
    assert path.resolve().is_relative_to(boards.resolve())
    save_record(record, path)
    write_leaderboards(boards.parent, {"react2024": _columns()})
    files = {p for p in tmp_path.rglob("*") if p.is_file()}
    assert all(p.is_relative_to(boards) for p in files), files


def test_labels_of_other_alphabets_do_not_overwrite_each_other(tmp_path: Path) -> None:
    names = ["\u540d\u524d", "\u65b9\u6cd5", "_", "__", "a b", "a_b", "a" * 300, "a" * 299 + "b", ".", ".."]
    paths = {record_path(tmp_path, _record(method=name)) for name in names}
    assert len(paths) == len(names)
    for name in names:
        save_record(_record(method=name), record_path(tmp_path, _record(method=name)))
    assert {load_record(path).method for path in paths} == set(names)


def test_names_are_kept_to_the_letter(tmp_path: Path) -> None:
    """Lists are written on one line each; what looks like one inside a name stays as it is."""
    names = ["a [ 1 ]", "b,  c", "[\n 1,\n 2 ]", "\u65e5\u672c"]
    path = tmp_path / "r.json"
    save_record(_record(clips=names, method="m [  x,   y ]"), path)
    assert load_record(path).clips == names and load_record(path).method == "m [  x,   y ]"


def test_one_bad_record_among_good_ones_is_named(tmp_path: Path) -> None:
    save_record(_record(), record_path(tmp_path, _record()))
    (tmp_path / "records" / "b" / "zzz").mkdir()
    (tmp_path / "records" / "b" / "zzz" / "seed0.json").write_text("{}")
    with pytest.raises(DyadbenchError, match=r"seed0\.json is not a record"):
        records_below(tmp_path)


# --- what people write by hand --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 20_000, "x = " + "{a=" * 5_000, "\x00", "benchmarks = 3", "=", "\ufeff"]
)
def test_hostile_toml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    for reader in (read_matrix, read_published_file):
        with pytest.raises(DyadbenchError, match=r"m\.toml"):
            reader(path)


def test_a_folder_for_a_matrix_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match="Is a directory"):
        read_matrix(tmp_path)


def test_settings_that_fight() -> None:
    assert isinstance(parse_settings(["a=" + "[" * 20_000])["a"], str)
    with pytest.raises(DyadbenchError, match="another setting made a plain value"):
        nest({"taps": 1, "taps.x": 2})
