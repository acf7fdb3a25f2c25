"""What a file or a folder holds, as one hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dyadbench.files.atomic import cannot_read
from dyadbench.files.walk import files_below


def digest_of(path: Path, suffix: str = "") -> str:
    """SHA-256 of a file's bytes, or of the names and digests of the files below a folder, in hexadecimal.

    suffix: of the files of a folder that count, for example ".npy"; empty for all that can belong to a dataset.
    Raises DyadbenchError for a file that cannot be read.
    """
    if path.is_dir():
        files = [file for file in files_below(path) if file.name.endswith(suffix)]
        listed = "".join(f"{file.relative_to(path).as_posix()} {digest_of(file)}\n" for file in files)
        return hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise cannot_read(path, error) from error
