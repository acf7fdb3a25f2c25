"""What a REACT folder must hold, checked file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dyadbench.datasets import neighbours
from dyadbench.datasets.check.finding import Finding, error, note
from dyadbench.datasets.config import ReactConfig
from dyadbench.datasets.features import read_wav
from dyadbench.datasets.react import SPLITS, ReactDataset, audio_file, emotion_file, motion_file, read_pairs
from dyadbench.files.npy import BadFile, read_npy, read_rows
from dyadbench.files.walk import files_below

FPS, FRAMES, ROWS = 25, 751, 750
KINDS = {"3D_FV_files": ".npy", "Emotion": ".csv", "Audio_files": ".wav"}


def check(root: Path, fix: bool, limit: int = 0) -> Iterator[Finding]:
    """Splits, clips, normalisation files, then the neighbour matrices."""
    seen: Counter[str] = Counter()
    whole = True
    for split in SPLITS:
        try:
            pairs = read_pairs(root, split)
        except BadFile as problem:
            yield error(
                str(problem),
                f"data/{split}.csv",
                f"the {split} split cannot be read",
                "restore the file from the release",
            )
            whole = False
            continue
        own = [path for pair in pairs for path in pair]
        seen.update(own)
        for path, count in Counter(own).items():
            if count > 1:
                yield error("a clip is listed twice", f"{split}: {path}", "it would count double", "remove one row")
        clean = True
        for path in list(dict.fromkeys(own))[: limit or None]:
            for finding in _clip(root, split, path):
                clean &= finding.level != "error"
                yield finding
        yield from _strangers(root, split, set(own))
        whole &= clean
        if clean:
            yield Finding(level="ok", what=f"{split}: {len(pairs)} pairs, {2 * len(pairs)} clips with both roles")
        yield from _matrix(root, split, [speaker for speaker, _ in pairs], fix)
    for path, count in seen.items():
        if count > 1:
            yield error("a clip is in two splits", path, "training data leaks into the test", "remove it from one csv")
    faces = list(_faces(root))
    yield from faces
    if whole and not any(finding.level == "error" for finding in faces):
        yield _readout(root)
    if not any((root / split / "Video_files").exists() for split in SPLITS):
        yield note(
            "no video files", "Video_files", "nothing here needs them; FRRea on rendered frames is not available"
        )


def _readout(root: Path) -> Finding:
    """How well emotion can be told from motion here, for methods that emit motion only."""
    from dyadbench.datasets.readout import VERSION, fit_readout
    from dyadbench.datasets.train_data import TrainSplits

    frames = min(ROWS, len(read_rows(emotion_file(root, "train", read_pairs(root, "train")[0][0]), 25)))
    errors = fit_readout(TrainSplits(ReactDataset(ReactConfig(frames=frames), root))).summary()
    return note(
        f"emotion readout v{VERSION}, root mean square error: {', '.join(f'{k} {v:.2f}' for k, v in errors.items())}",
        "train and val",
        "methods that emit motion only are scored through it",
    )


def _clip(root: Path, split: str, path: str) -> Iterator[Finding]:
    """The three files of one clip."""
    lost, again = "the clip cannot be scored or trained on", "restore the file from the release"
    motion = motion_file(root, split, path)
    try:
        raw = read_npy(motion)
        shape = raw.squeeze(1).shape if raw.ndim == 3 and raw.shape[1] == 1 else raw.shape
        if len(shape) != 2 or shape[1] != 58:
            yield error(f"shape {raw.shape}; (frames, 1, 58) is wanted", _name(root, motion), lost, again)
        elif shape[0] == 0:
            yield error("no frames", _name(root, motion), lost, again)
        elif shape[0] not in (FRAMES, ROWS) and not _simulated(root):
            yield Finding(
                level="warn",
                what=f"{shape[0]} frames; {FRAMES} is usual",
                where=_name(root, motion),
                meaning="another frame rate or a cut clip",
            )
        elif np.abs(raw).max(initial=0) > 100:
            yield error(
                f"values up to {np.abs(raw).max():.3g}",
                _name(root, motion),
                "coefficients are of order 1: the file is damaged",
                again,
            )
    except BadFile as problem:
        yield error(_short(problem), _name(root, motion), lost, again)
    felt = emotion_file(root, split, path)
    try:
        yield from _emotion(root, felt, read_rows(felt, 25))
    except BadFile as problem:
        meaning = (
            "RECOLA's tenth clips have no emotion in the release; drop their csv rows" if "RECOLA" in path else lost
        )
        yield error(_short(problem), _name(root, felt), meaning, again)
    yield from _audio(root, audio_file(root, split, path), lost, again)


def _emotion(root: Path, path: Path, rows: np.ndarray) -> Iterator[Finding]:
    if len(rows) != ROWS and not _simulated(root):
        meaning = "clips are scored over 750 frames" if len(rows) > ROWS else "the clip is too short to be scored"
        yield Finding(
            level="warn" if len(rows) > ROWS else "error",
            what=f"{len(rows)} rows; {ROWS} are wanted",
            where=_name(root, path),
            meaning=meaning,
        )
    if len(rows) and not np.isin(rows[:, :15], (0, 1)).all():
        yield error(
            "action units that are neither 0 nor 1",
            _name(root, path),
            "ground truth is occurrence",
            "restore the file from the release",
        )
    if len(rows) and np.abs(rows[:, 15:17]).max() > 1:
        yield error(
            "valence or arousal outside [-1, 1]",
            _name(root, path),
            "another scale",
            "restore the file from the release",
        )
    if len(rows) and np.abs(rows[:, 17:].sum(1) - 1).max() > 0.02:
        yield error(
            "expression probabilities that do not sum to 1",
            _name(root, path),
            "columns are shifted or damaged",
            "restore the file from the release",
        )


def _audio(root: Path, path: Path, lost: str, again: str) -> Iterator[Finding]:
    try:
        wave, rate = read_wav(path)
    except BadFile as problem:
        meaning = lost if path.exists() else "methods that listen cannot use the clip"
        yield error(_short(problem), _name(root, path), meaning, again)
        return
    seconds = len(wave) / rate
    if not _simulated(root) and abs(seconds - FRAMES / FPS) > 1:
        yield error(
            f"{seconds:.1f} s of sound for {FRAMES / FPS:.0f} s of video",
            _name(root, path),
            "sound and face run apart",
            again,
        )


def _strangers(root: Path, split: str, known: set[str]) -> Iterator[Finding]:
    """Files that no csv row speaks of: usually a renamed clip."""
    for kind, suffix in KINDS.items():
        wanted = {
            (emotion_file if kind == "Emotion" else audio_file if kind == "Audio_files" else motion_file)(
                root, split, path
            )
            for path in known
        }
        folder = root / split / kind
        for path in files_below(folder) if folder.is_dir() else ():
            if path.suffix == suffix and path not in wanted and not path.stem.endswith("_full"):
                yield Finding(
                    level="warn",
                    what="a file no csv row speaks of",
                    where=_name(root, path),
                    meaning="it is not used",
                    remedy="rename it back, or ignore this",
                )


def _matrix(root: Path, split: str, speakers: list[str], fix: bool) -> Iterator[Finding]:
    """The split's neighbour matrix: there, square, binary, no empty row, and what the global matrix says."""
    if split == "train":
        return
    size, path = 2 * len(speakers), neighbours.find_matrix(root, split)
    whole, index = (neighbours.locate(root, name) for name in (neighbours.GLOBAL_NAME, neighbours.INDEX_NAME))
    built = None
    if whole.exists() or index.exists():
        try:
            built = neighbours.build(read_npy(whole, (None, None)), neighbours.read_indices(index), speakers)
        except BadFile as problem:
            yield error(
                _short(problem),
                neighbours.GLOBAL_NAME,
                f"the {split} matrix cannot be rebuilt or verified",
                "restore it from the release",
            )
    name = f"neighbour_emotion_{split}.npy"
    if path is None:
        if built is None:
            yield error(
                f"{name} is missing",
                name,
                "FRCorr and FRDist are not defined without it",
                f"restore it, or {neighbours.GLOBAL_NAME} and tool/{neighbours.INDEX_NAME}",
            )
        elif fix:
            np.save(root / name, built)
            yield Finding(level="ok", what=f"built {name} from {neighbours.GLOBAL_NAME}")
        else:
            yield Finding(
                level="warn",
                what=f"{name} is missing",
                where=name,
                meaning="it is built anew at every run",
                remedy="--fix writes it",
            )
        return
    try:
        matrix = read_npy(path, (size, size))
    except BadFile as problem:
        yield error(
            _short(problem),
            name,
            f"{size} clips are scored, so rows and clips would not match",
            "delete it and use --fix",
        )
        return
    if odd := int((~np.isin(matrix, (0, 1))).sum()):
        yield error(
            f"{odd} entries are neither 0 nor 1",
            name,
            "only exactly 1 counts as appropriate",
            "delete it and use --fix",
        )
    if empty := np.flatnonzero(~(matrix == 1).any(1)).tolist():
        yield error(
            f"row {empty[0]} has no appropriate reaction ({len(empty)} such rows)",
            name,
            "the official code stops there",
            "delete it and use --fix",
        )
    if built is not None and not np.array_equal(matrix, built):
        yield error(
            f"it differs from {neighbours.GLOBAL_NAME}",
            name,
            "another rule made it, or rows are shifted",
            "delete it and use --fix",
        )


def _faces(root: Path) -> Iterator[Finding]:
    for name, meaning in (
        ("mean_face.npy", "3DMM cannot be centred"),
        ("std_face.npy", "3DMM cannot be standardised (rarely needed)"),
    ):
        try:
            values = read_npy(root / name).reshape(-1)
            if values.size != 58 or (name.startswith("std") and (values <= 0).any()):
                yield error(
                    f"{values.size} values; 58 are wanted, all positive for std",
                    name,
                    meaning,
                    "restore it from the release",
                )
        except BadFile as problem:
            yield error(_short(problem), name, meaning, "restore it from the release")


def _simulated(root: Path) -> bool:
    return (root / "simdyad.json").exists()


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _short(problem: BadFile) -> str:
    return str(problem)
