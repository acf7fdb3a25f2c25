"""Whether a folder is the release that was asked about at all, or one level beside it, or another release."""

from __future__ import annotations

from pathlib import Path

from dyadbench.datasets.check.finding import FOLDER, Finding, error
from dyadbench.files.walk import folders_in, other_case

LISTS = ("data/train.csv", "data/val.csv", "data/test.csv")


def react(root: Path, name: str) -> Finding | None:
    """What stands in the way of reading `root` as REACT before any file is looked at; None where nothing does."""
    if any((root / each).exists() for each in LISTS):
        return None
    below = [root / each for each in folders_in(root) if any((root / each / csv).exists() for csv in LISTS)]
    above = next((each for each in root.resolve().parents[:3] if any((each / csv).exists() for csv in LISTS)), None)
    if place := below[0] if below else above:
        level = "one level too high" if below else "too deep"
        return error(f"this folder is {level}: the release is {place}", root, "nothing can be read from here",
                     f"dyadbench data check {name} {place}", FOLDER)  # fmt: skip
    if renamed := next((path for csv in LISTS if (path := other_case(root / csv))), None):
        return error(f"{renamed.relative_to(root)} differs from the release's name in capitals", root,
                     "it is not found", "rename it to data/train.csv, data/val.csv or data/test.csv", FOLDER)  # fmt: skip
    if other := _other(root):
        return error(f"this looks like {other[0]}", root, "REACT has data/*.csv and train, val and test",
                     f"dyadbench data check {other[1]} {root}" if other[1] else "", FOLDER)  # fmt: skip
    if any((root / split / kind).is_dir() for split in ("train", "val", "test") for kind in ("Emotion", "3D_FV_files")):
        return error("data/train.csv, data/val.csv and data/test.csv are missing", root, "it cannot be known which clips belong together",
                     "restore them from the release (they come with the baseline's code)", FOLDER)  # fmt: skip
    return error("nothing of REACT is here: no data/*.csv, no train, val or test", root, "there is nothing to read",
                 "unpack the release here", FOLDER)  # fmt: skip


def _other(root: Path) -> tuple[str, str] | None:
    """(name, name for the check) of the release that `root` seems to be."""
    if any((root / "data").glob("*/*/p?_list_faces_clean_deca.npy")):
        return "Learning2Listen", "l2l"
    if any((root / "dataset").glob("*/segments_*.pth")):
        return "LM-Listener", "lm-listener"
    if any((root / split / "facial-attributes").is_dir() for split in ("train", "val", "test")):
        return "MARS (REACT 2025 and 2026)", "mars"
    if (root / "dyads.csv").exists():
        return "recordings listed in dyads.csv", "openface"
    return None
