"""Writes, or with --check compares, every file that records and claims give."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dyadbench.files.atomic import atomic_write, demand_own, read_whole
from dyadbench.leaderboard import skill_chart
from dyadbench.leaderboard.build import make_tables
from dyadbench.leaderboard.claims import Judged, load_claims, rows_of
from dyadbench.leaderboard.data_files import csv_text, json_text
from dyadbench.leaderboard.markdown import headline, index_page, markdown_page
from dyadbench.leaderboard.over_time import pictures
from dyadbench.leaderboard.published import PublishedNumber, load_published
from dyadbench.leaderboard.published_page import published_page
from dyadbench.leaderboard.tables import Suites, Table
from dyadbench.leaderboard.tokenizers import tokenizer_files
from dyadbench.leaderboard.validity import FOLDER, Corpus, load_validity
from dyadbench.leaderboard.validity_numbers import numbers_page
from dyadbench.leaderboard.validity_page import validity_page
from dyadbench.leaderboard.verdicts import judge
from dyadbench.leaderboard.verdicts_page import claims_page
from dyadbench.records.comparable import by_benchmark, need_records
from dyadbench.records.record import Record, slug


@dataclass(frozen=True)
class Outcome:
    tables: tuple[Table, ...]
    violations: tuple[str, ...]
    drift: tuple[str, ...]
    board: tuple[Judged, ...] = ()


def write_leaderboards(root: Path, suites: Suites, *, check: bool = False) -> Outcome:
    """Writes (or with `check` compares) every generated file below `root`/leaderboards, and the README's table."""
    leaderboards = root / "leaderboards"
    need_records(leaderboards)
    statements = load_claims(leaderboards / "claims" / "checked")
    in_claims = rows_of(statements)
    judged: list[Record] = []
    tokenized: list[Record] = []  # less all else, so that one benchmark's records are held at a time

    def groups() -> Iterator[tuple[str, list[Record]]]:
        for benchmark, records in by_benchmark(leaderboards):
            judged.extend(record for record in records if (benchmark, record.method) in in_claims)
            tokenized.extend(
                record.model_copy(update={"suites": {"tokens": record.suites["tokens"]}})
                for record in records
                if "tokens" in record.suites
            )
            yield benchmark, records

    published, corpora = load_published(leaderboards / "claims"), load_validity(leaderboards)
    tables, violations = make_tables(groups(), suites, published, corpora)
    drift = []
    board = judge(statements, judged, corpora)
    files = generated_files(root, tables, published, corpora, board, tokenized)
    listed = _listed(leaderboards)
    stale = listed - set(files)
    listing = leaderboards / LIST
    if not check:
        own = {path: text for path, text in files.items() if path not in (listing, root / "README.md")}
        demand_own(own, listing, listed)
        if not listed >= own.keys():  # before they are written: this run may be killed
            atomic_write(listing, _list_text(leaderboards, listed | own.keys()))
    for path, text in files.items():
        if read_whole(path) != text.encode():
            drift.append(str(path.relative_to(root)))
            if not check:
                atomic_write(path, text)
    for path in sorted(path for path in stale if path.exists()):
        drift.append(f"{path.relative_to(root)} (no record gives it)")
        if not check:
            path.unlink()
    return Outcome(tuple(tables), tuple(violations), tuple(drift), tuple(board))


LIST = "generated.txt"  # of the files that a run wrote: whatever else lies beside them is the user's
GENERATED = re.compile(rf"[^/]+\.(md|csv|json|svg)|{FOLDER}/[^/]+\.md")


def _listed(leaderboards: Path) -> set[Path]:
    """The files that the last run wrote; never a record or a measurement, whatever the list says."""
    path = leaderboards / LIST
    names = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return {leaderboards / name for name in names if GENERATED.fullmatch(name)}


def _list_text(leaderboards: Path, paths: Collection[Path]) -> str:
    names = sorted(path.relative_to(leaderboards).as_posix() for path in paths)
    return "".join(f"{name}\n" for name in names)


HEADLINE = re.compile(r"(<!-- headline:begin -->\n).*?(<!-- headline:end -->)", re.DOTALL)


def generated_files(
    root: Path,
    tables: Sequence[Table],
    published: Sequence[PublishedNumber],
    corpora: Sequence[Corpus],
    board: Sequence[Judged],
    records: Sequence[Record],
) -> dict[Path, str]:
    """Path -> text of every file that is made from records, claims, published numbers and what validity tests measured."""
    folder = root / "leaderboards"
    files: dict[Path, str] = {}
    for benchmark in sorted({table.benchmark for table in tables}):
        mine = [table for table in tables if table.benchmark == benchmark]
        files[folder / f"{slug(benchmark)}.md"] = markdown_page(mine)
        files[folder / f"{slug(benchmark)}.csv"] = csv_text(mine)
        files[folder / f"{slug(benchmark)}.json"] = json_text(mine)
        pictures_of_tables = [
            pictures_of_kind for table in mine for pictures_of_kind in (pictures(table), skill_chart.picture(table))
        ]
        files |= {
            folder / name: text for pictures_of_kind in pictures_of_tables for name, text in pictures_of_kind.items()
        }
    tokenizers = tokenizer_files(records)
    files |= {folder / name: text for name, text in tokenizers.items()}
    if corpora:
        files[folder / "validity.md"] = validity_page(corpora, (root / "docs" / "validity.md").is_file())
    files |= {folder / FOLDER / f"{slug(corpus.benchmark)}.md": numbers_page(corpus) for corpus in corpora}
    files[folder / "README.md"] = index_page(tables, board, tokenizers=bool(tokenizers), validity=bool(corpora))
    files[folder / "published.md"] = published_page(published)
    if board:
        files[folder / "claims.md"] = claims_page(board)
    files[folder / LIST] = _list_text(folder, files)
    readme = root / "README.md"
    if readme.exists() and HEADLINE.search(text := readme.read_text(encoding="utf-8")):
        files[readme] = HEADLINE.sub(lambda match: match[1] + headline(tables) + match[2], text)
    return files
