"""What a REACT folder must hold, checked file by file, and what that comes to for each split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dyadbench.datasets.check.finding import (
    AGAIN,
    FOLDER,
    PART,
    SPLIT,
    Finding,
    error,
    guarded,
    note,
    ok,
    unreadable,
    warn,
)
from dyadbench.datasets.check.react_clips import Facts, clip
from dyadbench.datasets.check.react_matrix import faces, matrix
from dyadbench.datasets.config import ReactConfig
from dyadbench.datasets.react import ReactDataset
from dyadbench.datasets.react_files import SPLITS, audio_file, emotion_file, motion_file, read_pairs, user_file
from dyadbench.files.npy import BadFile
from dyadbench.files.walk import files_below, other_case

KINDS = {"3D_FV_files": (motion_file, ".npy"), "Emotion": (emotion_file, ".csv"), "Audio_files": (audio_file, ".wav")}
ABSENT = {  # what is lost without a folder, and what to do
    "3D_FV_files": ("emotion can be scored (`dyadbench score`); methods cannot be trained or sampled", AGAIN),
    "Emotion": ("nothing can be scored", AGAIN),
    "Audio_files": ("methods that listen cannot run as they are", "run with --data-set audio=false, or restore it"),
}  # fmt: skip


def check(
    root: Path, fix: bool, limit: int = 0, name: str = "react2024", config: ReactConfig | None = None
) -> Iterator[Finding]:
    """Splits with their clips and matrices, what is in two of them, normalisation files, the emotion readout.

    `config` names the folders of features that the user has computed, which are looked at, too.
    """
    facts = Facts(simulated=(root / "simdyad.json").exists())
    listed: Counter[str] = Counter()
    problems = False
    for split in SPLITS:
        for finding in guarded(_split(root, split, name, fix, limit, facts, listed), f"{split} split"):
            problems |= finding.level == "error"
            yield finding
    for path, count in listed.items():
        if count > 1:
            yield error(
                "a clip is in two splits", path, "training data leaks into the test", "remove it from one csv", PART
            )
    if config is not None:
        yield from guarded(_user_features(root, config, limit), "features that were computed elsewhere")
    yield from facts.contents.findings()
    if len(facts.rates) > 1:
        rates = ", ".join(f"{rate} ({count} files)" for rate, count in facts.rates.most_common())
        yield warn(f"sound of {len(facts.rates)} sampling rates: {rates}", "Audio_files",
                   "features of the slower ones lack the upper frequencies", "resample all to one rate", PART)  # fmt: skip
    for finding in guarded(faces(root), "mean_face.npy and std_face.npy"):
        problems |= finding.level == "error"
        yield finding
    if not problems and not limit:
        yield from guarded(_readout(root, facts.shortest), "emotion readout")
    if not any((root / split / "Video_files").exists() for split in SPLITS):
        yield note(
            "no video files", "Video_files", "nothing here needs them; FRRea on rendered frames is not available"
        )


def _split(
    root: Path, split: str, name: str, fix: bool, limit: int, facts: Facts, listed: Counter[str]
) -> Iterator[Finding]:
    """One split: its csv, folders that are missing as a whole, its clips, files that no row names, its matrix."""
    csv = f"data/{split}.csv"
    try:
        pairs = read_pairs(root, split)
    except BadFile as problem:
        yield error(str(problem), csv, f"the {split} split cannot be read",
                    AGAIN, SPLIT)  # fmt: skip
        return
    if not pairs:
        yield error(f"the {split} split lists no pair", csv, "it has no clips", AGAIN, SPLIT)
        return
    own = [path for pair in pairs for path in pair]
    listed.update(set(own))
    yield from _rows(split, own, name)
    yield from _folders(root, split, own, facts)
    lost: set[str] = set()
    looked = list(dict.fromkeys(own))[: limit or None]
    for path in looked:
        for finding in guarded(clip(root, split, path, facts), f"{split}: {path}"):
            if finding.level == "error":
                lost.add(path)
            yield finding
    count, whole = (2 * sum(bool(paths & set(pair)) for pair in pairs) for paths in (lost, set(looked)))
    verb = "trained on" if split == "train" else "scored"
    yield from unreadable(count, whole, f"{split} clips", csv, verb)
    if not lost and not any(absent == split for absent, _ in facts.absent):
        yield ok(f"{split}: {len(pairs)} pairs, {2 * len(pairs)} clips with both roles")
    yield from _strangers(root, split, set(own))
    if split != "train":
        yield from guarded(
            matrix(root, split, [speaker for speaker, _ in pairs], fix), f"neighbour_emotion_{split}.npy"
        )


def _rows(split: str, own: list[str], name: str) -> Iterator[Finding]:
    """What the csv itself has too much of."""
    for path, count in Counter(own).items():
        if count > 1:
            yield error("a clip is listed twice", f"{split}: {path}", "it would count double", "remove one row", PART)
    strange = sum(path.upper().startswith("UDIVA") for path in own)
    if strange and name == "react2024":
        yield error(
            f"{strange // 2} of {len(own) // 2} {split} rows are UDIVA's, which REACT 2024 does not have", f"data/{split}.csv",
            "this is the list of REACT 2023; its numbers do not compare with those of 2024", "check and run it as react2023", SPLIT,
        )  # fmt: skip


def _folders(root: Path, split: str, own: list[str], facts: Facts) -> Iterator[Finding]:
    """Kinds of files that are missing as a whole, said once instead of once per clip."""
    for kind, (place_of, suffix) in KINDS.items():
        if any(place_of(root, split, path).exists() for path in own):
            continue
        facts.absent.add((split, kind))
        folder, (meaning, remedy) = root / split / kind, ABSENT[kind]
        there = [path for path in files_below(folder) if path.suffix.lower() == suffix] if folder.is_dir() else []
        if renamed := other_case(folder) or (other_case(place_of(root, split, own[0])) if there else None):
            what = f"{split}: {renamed.relative_to(root)} is not called as in the release, {kind}/...{suffix}"
            yield error(what, split, meaning, f"rename it; {remedy}", SPLIT)
        elif there:
            what = f"{split}/{kind} has {len(there)} {suffix} files, none under a name of data/{split}.csv"
            example = (
                f"{there[0].relative_to(root)} is there, {place_of(root, split, own[0]).relative_to(root)} is expected"
            )
            yield error(what, example, meaning, "rename them, or use the csv of the same release", SPLIT)
        else:
            yield error(f"{split}/{kind} is {'empty' if folder.is_dir() else 'missing'}", split, meaning, remedy, SPLIT)


def _strangers(root: Path, split: str, listed: set[str]) -> Iterator[Finding]:
    """Files that no csv row names: a renamed clip, or further arrays beside a clip's own, as releases have them."""
    for kind, (place_of, suffix) in KINDS.items():
        places = {place_of(root, split, path) for path in listed}
        beside = {path.with_suffix("") for path in places}
        for path in files_below(root / split / kind) if (root / split / kind).is_dir() else ():
            if path.suffix != suffix or path in places:
                continue
            where = path.relative_to(root).as_posix()
            if any(path.with_name(path.stem[:n]) in beside for n, letter in enumerate(path.stem) if letter == "_"):
                yield note(f"a further {suffix} file beside a clip's own", where, "it is not read")
            else:
                yield warn("a file no csv row speaks of", where, "it is not used", "rename it back, or ignore this")


def _user_features(root: Path, config: ReactConfig, limit: int) -> Iterator[Finding]:
    """Features that the user has computed, read as a run reads them."""
    meaning, remedy = "methods that use these features cannot use the clip", "compute it again"
    try:
        dataset = ReactDataset(config, root)
    except BadFile as problem:
        yield error(str(problem), "", "methods that use these features cannot run", remedy, FOLDER)
        return
    for name, folder in dataset.user_features.items():
        count = 0
        for split in SPLITS:
            for path in _listed(root, split)[: limit or None]:
                try:
                    dataset.read_user_features(split, path, name)
                    count += 1
                except BadFile as problem:
                    where = user_file(root, split, folder, path).relative_to(root)
                    yield error(str(problem), where.as_posix(), meaning, remedy)
        if count:
            yield ok(f"{name}: {dataset.audio[name].dim} per frame from {count} files in {folder}")


def _listed(root: Path, split: str) -> list[str]:
    """The recordings of a split, each once; none where its csv cannot be read, which is said elsewhere."""
    try:
        return list(dict.fromkeys(path for pair in read_pairs(root, split) for path in pair))
    except BadFile:
        return []


def _readout(root: Path, frames: int) -> Iterator[Finding]:
    """How well emotion can be told from motion here, for methods that emit motion only."""
    from dyadbench.datasets.readout import VERSION, fit_readout
    from dyadbench.datasets.train_data import TrainSplits

    errors = fit_readout(TrainSplits(ReactDataset(ReactConfig(frames=frames), root))).summary()
    mean = sum(errors.values()) / len(errors)
    worst = max(errors, key=lambda channel: errors[channel])
    yield note(
        f"emotion readout v{VERSION}: root mean square error {mean:.2f} on average, {errors[worst]:.2f} at worst ({worst})",
        "train and val", "methods that emit motion only are scored through it",
    )  # fmt: skip
