"""Writes the corpus in the on-disk layouts of REACT 2024 and of Learning2Listen, for the real adapters to read.

Differences from a release, all visible to `dyadbench data check`: no video files, and `simdyad.json`, which marks the
folder as simulated. All dyads of a context share each side's voice (one file, linked where the file system can).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dyadbench.api import ACTION_UNITS, EMOTION_CHANNELS, Progress
from dyadbench.datasets.digest import MARK, write_sums
from dyadbench.datasets.neighbours import GLOBAL_NAME, INDEX_HEADER, INDEX_NAME
from dyadbench.datasets.simdyad.coefficients import to_deca, to_emotion, to_faceverse
from dyadbench.datasets.simdyad.config import GENERATOR, SimConfig
from dyadbench.datasets.simdyad.dyads import SPLITS, Person, SimDyad, contexts, draw_person, dyads, scripts_of, stream
from dyadbench.datasets.simdyad.voice import RATE, synthesise
from dyadbench.files.atomic import atomic_write, replacing
from dyadbench.files.npy import npy_bytes

PERSON = "simulated"  # the name of Learning2Listen's one person
SITE = "simulated"  # where REACT has NoXI and RECOLA: no clip of a generated corpus bears a real one's name
WINDOW = 64
PER_SPLIT = 1000  # video numbers of a split
TAKE = 100_000  # frames from one dyad of a script to the next within its video


def digest(config: SimConfig) -> str:
    """sha256 of all that decides the bytes."""
    text = json.dumps({"generator": GENERATOR, **config.model_dump(mode="json")}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write(folder: Path, config: SimConfig, progress: Progress | None = None) -> None:
    """Writes the layout that `config` names into `folder`."""
    atomic_write(folder / MARK, _mark(config, unfinished=True))  # first: half a corpus must not pass for real data
    for scratch in folder.rglob(".*.tmp"):  # of a run that was killed
        scratch.unlink(missing_ok=True)
    writer: Callable[[Path, SimConfig, Progress], None] = write_react2024 if config.layout == "react2024" else write_l2l
    writer(folder, config, progress or (lambda done, total: None))
    write_sums(folder, _mark(config).encode())
    atomic_write(folder / MARK, _mark(config))


def _mark(config: SimConfig, **more: bool) -> str:
    mark = {
        "simulated": True,
        "generator": GENERATOR,
        "config": config.model_dump(mode="json"),
        "sha256": digest(config),
    }
    return json.dumps(mark | more, indent=1, sort_keys=True) + "\n"


def may_write(folder: Path, config: SimConfig) -> bool:
    """Whether `folder` holds nothing, or what a killed run began of this very corpus."""
    if not folder.exists() or all(path.name.endswith(".tmp") for path in folder.iterdir()):
        return True
    try:
        return (folder / MARK).read_text() == _mark(config, unfinished=True)
    except OSError:
        return False


def _save(path: Path, array: np.ndarray) -> None:
    atomic_write(path, npy_bytes(array), sync=False)


def _write(path: Path, text: str) -> None:
    atomic_write(path, text, sync=False)  # the mark vouches for what a kill leaves, not for what a power failure does


def _save_voice(path: Path, samples: np.ndarray) -> None:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV", subtype="PCM_16")
    atomic_write(path, buffer.getvalue(), sync=False)


def _link(source: Path, path: Path) -> None:
    if path.exists() and path.samefile(source):
        return  # a rename onto itself would leave the other name behind
    with replacing(path, sync=False) as scratch:
        try:
            os.link(source, scratch)
        except OSError:
            shutil.copyfile(source, scratch)


def _voice(config: SimConfig, split: str, context: int, who: int, person: Person) -> np.ndarray:
    """One side's speech; `person` is of the context's first dyad, whose voice the others borrow."""
    verbal = [event for event in person.reactions if event.kind == "verbal"]
    rng = stream(config, split, context, who, "voice")
    return synthesise(rng, person.script, verbal, person.style.pitch, config.seconds)


def context_voice(config: SimConfig, split: str, context: int, who: int) -> np.ndarray:
    """The speech of one side of a context, (samples,) int16 at RATE; all its dyads share it."""
    frames = round(config.seconds * 25)
    person = draw_person(config, split, context, 0, who, scripts_of(config, split, context), 25.0, frames)
    return _voice(config, split, context, who, person)


def l2l_place(config: SimConfig, video: int, frame: int) -> tuple[str, int, int, int]:
    """(split, context, dyad, frame of the dyad) of a window that `write_l2l` placed at a video's frame."""
    return SPLITS[video // PER_SPLIT], video % PER_SPLIT, frame // TAKE, frame % TAKE


def _events(dyad: SimDyad) -> dict[str, object]:
    return {
        "speaker_events": [
            [(e.kind, round(e.time, 4), round(e.strength, 4)) for e in p.script.events] for p in dyad.people
        ],
        "words": [[(w.text, round(w.start, 3), round(w.end, 3)) for w in p.script.words] for p in dyad.people],
        "reactions": [[(e.kind, round(e.time, 4), round(e.strength, 4)) for e in p.reactions] for p in dyad.people],
    }


# --- REACT 2024 -----------------------------------------------------------------------------------------

ROLES = (("Expert_video", "P1"), ("Novice_video", "P2"))


def _emotion_csv(values: np.ndarray) -> str:
    rows = [
        "".join("1," if v else "0," for v in row[ACTION_UNITS]) + ",".join(f"{v:.5f}" for v in row[ACTION_UNITS.stop :])
        for row in values
    ]
    return ",".join(EMOTION_CHANNELS) + "\n" + "\n".join(rows) + "\n"


def write_react2024(folder: Path, config: SimConfig, progress: Progress) -> None:
    """data/*.csv, <split>/{Emotion,3D_FV_files,Audio_files}, mean and std face, neighbour matrices, data_indices.csv."""
    frames = round(config.seconds * 25)
    total = sum(contexts(config, split) for split in SPLITS) * config.listeners
    done, paths, groups, events = 0, [], [], {}
    sums = np.zeros((2, 58))
    count = 0
    for split in SPLITS:
        lines = [",speaker_path,listener_path"]
        for dyad in dyads(config, split, 25.0, frames + 1):
            chat = f"{split}{dyad.context:04d}"
            clip = str(dyad.number + 1)
            own = [f"{SITE}/{chat}/{role}/{clip}" for role, _ in ROLES]
            lines.append(f"{len(lines) - 1},{own[0]},{own[1]}")
            paths.append(f"{SITE}/{chat}/{clip}")
            groups.append(chat)
            events[f"{SITE}/{chat}/{clip}"] = _events(dyad)
            for who in range(len(ROLES)):
                motion = _write_react_person(folder / split, config, split, dyad, who)  # (T, 58)
                if split == "train":
                    sums += motion.sum(0, dtype=np.float64), (motion.astype(np.float64) ** 2).sum(0)
                    count += len(motion)
            done += 1
            progress(done, total)
        _write(folder / "data" / f"{split}.csv", "\n".join(lines) + "\n")
    mean = sums[0] / count
    _save(folder / "mean_face.npy", mean.astype(np.float32).reshape(1, 1, -1))
    _save(
        folder / "std_face.npy",
        np.sqrt(np.maximum(sums[1] / count - mean**2, 1e-12)).astype(np.float32).reshape(1, 1, -1),
    )
    _write_appropriate(folder, config, paths, groups)
    _write(folder / "events.json", json.dumps(events, sort_keys=True))


def _write_react_person(folder: Path, config: SimConfig, split: str, dyad: SimDyad, who: int) -> np.ndarray:
    """The face, emotion and voice of one side of a dyad in a split's `folder`; gives the face, (T, 58).

    All dyads of a context share each side's voice: the first has the file, the others link to it.
    """
    role, released = ROLES[who]
    chat, clip, person = f"{split}{dyad.context:04d}", str(dyad.number + 1), dyad.people[who]
    motion = to_faceverse(stream(config, split, dyad.context, dyad.number, who, "faceverse"), person.face)
    _save(folder / "3D_FV_files" / SITE / chat / role / f"{clip}.npy", motion[:, None])
    emotion = to_emotion(person.face, 25.0)[: round(config.seconds * 25)]  # (T, 25)
    _write(folder / "Emotion" / SITE / chat / released / f"{clip}.csv", _emotion_csv(emotion))
    voices = folder / "Audio_files" / SITE / chat / role
    if dyad.number == 0:
        _save_voice(voices / f"{clip}.wav", _voice(config, split, dyad.context, who, person))
    else:
        _link(voices / "1.wav", voices / f"{clip}.wav")
    return motion


def _write_appropriate(folder: Path, config: SimConfig, paths: list[str], groups: list[str]) -> None:
    """The global (2M, 2M) matrix with its index, and the matrices of val and test."""
    names = np.array(groups)
    same = names[:, None] == names  # both directions: A_i -> {B_j} and B_i -> {A_j}, of the same context
    none = np.zeros_like(same)
    _save(folder / GLOBAL_NAME, np.block([[same, none], [none, same]]).astype(np.uint8))
    rows = [INDEX_HEADER, *(path.replace("/", ",") for path in paths)]
    _write(folder / "tool" / INDEX_NAME, "\n".join(rows) + "\n")
    for split in ("val", "test"):
        chosen = np.char.startswith(names, split)
        block = same[np.ix_(chosen, chosen)]
        matrix = np.block([[block, np.zeros_like(block)], [np.zeros_like(block), block]]).astype(np.float64)
        _save(folder / f"neighbour_emotion_{split}.npy", matrix)


# --- Learning2Listen ------------------------------------------------------------------------------------


L2L_FILES = ("p0_list_faces", "p1_speak_faces", "p1_speak_audio", "p1_speak_files")


def _l2l_windows(config: SimConfig, split: str, dyad: SimDyad, who: int, windows: int) -> np.ndarray:
    """One side's face as DECA coefficients in windows, (W, 64, 56 + 128); the 128 of detail are 0."""
    rng = stream(config, split, dyad.context, dyad.number, who, "deca")
    detail = np.zeros((windows * WINDOW, 128), np.float32)
    return np.concatenate([to_deca(rng, dyad.people[who].face), detail], 1).reshape(windows, WINDOW, -1)


def write_l2l(folder: Path, config: SimConfig, progress: Progress) -> None:
    """data/simulated/{train,test}/...: consecutive 64-frame windows; the listener is p0 and the second person of a dyad.

    A video is a script: its dyads are takes that lie apart in its frames, so a split or a resampling by video keeps
    together what shares a speaker's words and voice. Learning2Listen has no validation folder, so the contexts of train
    and val share one. The listener only listens.
    """
    from dyadbench.datasets.features import mel_128

    windows = int(config.seconds * 30) // WINDOW
    frames = windows * WINDOW
    total = sum(contexts(config, split) for split in SPLITS) * config.listeners
    done = 0
    for half, splits in (("train", ("train", "val")), ("test", ("test",))):
        parts: dict[str, list[np.ndarray]] = {name: [] for name in L2L_FILES}
        events = {}
        for split in splits:
            for dyad in dyads(config, split, 30.0, frames):
                video, start = PER_SPLIT * SPLITS.index(split) + dyad.context, TAKE * dyad.number
                events[f"{video}/{start}"] = _events(dyad)
                for who, name in ((1, "p0_list_faces"), (0, "p1_speak_faces")):
                    parts[name].append(_l2l_windows(config, split, dyad, who, windows))
                if dyad.number == 0:
                    voice = _voice(config, split, dyad.context, 0, dyad.people[0])
                    mel = mel_128(voice.astype(np.float32) / 32768, RATE, frames, 30.0)
                parts["p1_speak_audio"].append(mel.reshape(windows, WINDOW * 4, 128))
                place = np.stack([np.full(frames, video), np.zeros(frames), start + np.arange(frames)], 1)
                parts["p1_speak_files"].append(place.reshape(windows, WINDOW, 3).astype(np.int64).astype(str))
                done += 1
                progress(done, total)
        base = folder / "data" / PERSON / half
        for name, arrays in parts.items():
            _save(base / f"{name}_clean_deca.npy", np.concatenate(arrays))
        _write(base / "events.json", json.dumps(events, sort_keys=True))
