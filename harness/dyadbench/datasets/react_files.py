"""Where the files of a REACT folder lie, and which clips its csv files list."""

from __future__ import annotations

from pathlib import Path

from dyadbench.files.npy import BadFile, cells_of, read_text

SPLITS = ("train", "val", "test")
# Emotion folders name people P1 and P2 in the released data; everything else keeps the recording's own names.
PEOPLE = {
    "P1": ("Expert_video", "P25", "P41", "P45", "FC1"),
    "P2": ("Novice_video", "P26", "P42", "P46", "FC2"),
}
EMOTION_NAME = {own: released for released, names in PEOPLE.items() for own in names}


def read_pairs(root: Path, split: str) -> list[tuple[str, str]]:
    """(speaker path, listener path) of every row of data/<split>.csv, its columns read by name."""
    path = root / "data" / f"{split}.csv"
    lines = read_text(path, f"; it lists the clips of the {split} split").splitlines()
    header = cells_of(lines[0]) if lines else []
    if any(header.count(name) != 1 for name in ("speaker_path", "listener_path")):
        raise BadFile(f"{path} has no header ',speaker_path,listener_path'; its first pair would be lost")
    places = [header.index(name) for name in ("speaker_path", "listener_path")]
    pairs = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = cells_of(line)
        pair = [cells[place] for place in places] if len(cells) == len(header) else [""]
        if any(len(cell.split("/")) < 4 for cell in pair):
            raise BadFile(f"{path}, line {number} is not 'index,site/chat/person/clip,site/chat/person/clip'")
        for cell in pair:
            if not _inside(cell):
                raise BadFile(f"{path}, line {number} names {cell[:200]!r}, which is no path inside the folder")
        pairs.append((pair[0], pair[1]))
    return pairs


def _inside(path: str) -> bool:
    """Whether a csv's path stays below its folder and can be a file's."""
    steps = path.split("/")
    return "\0" not in path and all(step not in ("", ".", "..") and len(step.encode()) < 250 for step in steps)


def emotion_file(root: Path, split: str, path: str) -> Path:
    """The emotion csv of a clip: under P1/P2 as released, or under the recording's own person name."""
    *head, person, clip = path.split("/")
    base = root / split / "Emotion" / Path(*head)
    own = base / person / f"{clip}.csv"
    released = base / EMOTION_NAME.get(person, person) / f"{clip}.csv"
    return own if own.exists() and not released.exists() else released


def motion_file(root: Path, split: str, path: str) -> Path:
    return root / split / "3D_FV_files" / f"{path}.npy"


def audio_file(root: Path, split: str, path: str) -> Path:
    return root / split / "Audio_files" / f"{path}.wav"


def user_file(root: Path, split: str, folder: str, path: str) -> Path:
    return root / split / folder / f"{path}.npy"
