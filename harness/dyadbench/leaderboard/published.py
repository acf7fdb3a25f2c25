"""Published numbers: as printed, with their source, scale and doubts; shown beside measured ones, never among them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dyadbench.api import Config, DyadbenchError
from dyadbench.files.walk import files_in
from dyadbench.records.record import RecordedData

# Which printed tables speak of which dataset here. Whatever fits none is listed on the page of published numbers only.
FITS = {
    ("react2024", "val"): re.compile(r"^REACT2024.*\bval\b"),
    ("react2024", "test"): re.compile(r"^(REACT2024.*\btest\b|REACT .*\btest\b)"),
    ("l2l", "test"): re.compile(r"^L2L "),
}
LIKE = {"FRC": "FRCorr", "FRD": "FRDist", "S_MSE": "FRDiv", "TLCC": "FRSyn"} | {  # names in print -> column ids
    f"{group} {printed}": f"{name}.{group}"
    for group in ("expression", "rotation")
    for printed, name in (
        ("L2", "L2"),
        ("FD", "FD"),
        ("P-FD", "P-FD"),
        ("Var", "variation"),
        ("SI", "SI"),
        ("RPCC", "RPCC"),
    )
}


class PublishedNumber(Config):
    """One number as somebody printed it."""

    benchmark: str
    dataset: str
    split: str
    task: str
    method: str
    metric: str
    value: float | str  # text where the source prints a range or a dash
    note: str  # scale and convention
    source: str
    warning: str = ""  # of the whole source: mixed scales, swapped columns

    @property
    def column(self) -> str:
        return LIKE.get(self.metric, self.metric)

    def fits(self, dataset: RecordedData, suite: str) -> bool:
        """Whether this number was printed for the data a table is about; REACT's scales are the official suite's."""
        pattern = FITS.get((dataset.name, dataset.split))
        official = suite.endswith("-official") or suite == "l2l"
        return official and pattern is not None and bool(pattern.match(f"{self.benchmark} {self.split}"))


class PublishedFile(Config):
    """One source: what its rows share is said once."""

    source: str
    benchmark: str
    dataset: str
    warning: str = ""  # printed with the table: mixed scales, swapped columns
    notes: Mapping[str, str] = {}
    rows: tuple[Mapping[str, Any], ...]

    def numbers(self) -> list[PublishedNumber]:
        shared = {"source": self.source, "benchmark": self.benchmark, "dataset": self.dataset, "warning": self.warning}
        numbers = []
        for row in self.rows:
            values = dict(row)
            values["note"] = self.notes[values["note"]]
            numbers.append(PublishedNumber.model_validate(shared | values))
        return numbers


def by_source(published: Sequence[PublishedNumber]) -> dict[tuple[str, str], list[PublishedNumber]]:
    """(source, warning) -> its numbers, in order."""
    groups: dict[tuple[str, str], list[PublishedNumber]] = {}
    for number in published:
        groups.setdefault((number.source, number.warning), []).append(number)
    return groups


def by_method(published: Sequence[PublishedNumber]) -> dict[tuple[str, str, str], dict[str, PublishedNumber]]:
    """(method, split, source) -> column -> its number, in order: a row of a table."""
    groups: dict[tuple[str, str, str], dict[str, PublishedNumber]] = {}
    for number in published:
        groups.setdefault((number.method, number.split, number.source), {})[number.column] = number
    return groups


def columns_of(published: Sequence[PublishedNumber]) -> list[str]:
    """The columns in the order in which numbers first have them."""
    return list(dict.fromkeys(number.column for number in published))


def read_published_file(path: Path) -> PublishedFile:
    try:
        published = PublishedFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        published.numbers()
        return published
    except (ValidationError, ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise DyadbenchError(
            f"{path} is not a file of published numbers: {' '.join(str(error).split())[:200]}"
        ) from None


def load_published(folder: Path) -> list[PublishedNumber]:
    """All published numbers below `folder`, file by file and row by row in order. DyadbenchError where two files say the same number."""
    numbers: dict[PublishedNumber, Path] = {}
    for path in files_in(folder, ".toml"):
        for number in read_published_file(path).numbers():
            if numbers.setdefault(number, path) != path:
                raise DyadbenchError(
                    f"{path} repeats what {numbers[number].name} says of {number.method}, {number.metric}; delete the copy"
                )
    return list(numbers)
