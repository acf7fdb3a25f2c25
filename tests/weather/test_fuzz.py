"""Every reader on changed files, shortly; `fuzz.py` does it for longer. What that found is kept here."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def _fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("weather_fuzz", Path(__file__).parent / "fuzz.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["weather_fuzz"] = module
    spec.loader.exec_module(module)
    return module


FUZZ = _fuzz()


@pytest.mark.parametrize("name", FUZZ.READERS)
def test_good_files_are_read(tmp_path: Path, name: str) -> None:
    """The files that fuzzing starts from reach the reader's end, or there would be nothing to break."""
    reader = FUZZ.READERS[name]
    reached = 0
    for number, seed in enumerate(reader.seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / reader.name).write_bytes(seed)
        try:
            reader.read(folder / reader.name)
            reached += 1
        except FUZZ.DyadbenchError:
            continue
    assert reached


@pytest.mark.parametrize("name", FUZZ.READERS)
def test_changed_files_are_read_or_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    reader = FUZZ.READERS[name]
    seeds = reader.seeds()

    @settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(seeds), st.randoms(use_true_random=False), st.booleans())
    def one(seed: bytes, rng: object, inside: bool) -> None:
        data = FUZZ.repacked(rng, seed) if inside and seed[:2] == b"PK" else FUZZ.mutate(rng, seed)
        FUZZ.demand_a_sentence(reader, tmp_path, data)

    one()


def _long_name() -> bytes:
    """A local header that takes most of the archive for its name: zipfile quotes all of it."""
    data = bytearray(FUZZ.READERS["npz"].seeds()[0])
    data[26:28] = (1000).to_bytes(2, "little")
    return bytes(data)


def _short_type() -> bytes:
    """The state of an array's type lacks an entry: numpy's own unpickling ended the process."""
    data, number = re.subn(rb"<q.NNN", b"<qNN", FUZZ.READERS["segments"].seeds()[1], count=1, flags=re.DOTALL)
    assert number == 1
    return data


# reader, the bytes that were more than a sentence
FINDS: list[tuple[str, bytes]] = [("npz", _long_name()), ("segments", _short_type())]


@pytest.mark.parametrize(("name", "data"), FINDS)
def test_what_fuzzing_found(tmp_path: Path, name: str, data: bytes) -> None:
    FUZZ.demand_a_sentence(FUZZ.READERS[name], tmp_path, data)
