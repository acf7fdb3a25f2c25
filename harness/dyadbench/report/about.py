"""What pages say beside numbers: what the installed entries say of themselves, where records come from, how to cite them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from dyadbench.errors import number_of
from dyadbench.leaderboard.tables import Table
from dyadbench.records.provenance import newest_commit
from dyadbench.records.record import Record, record_path, slug

LINK = re.compile(r"arXiv[: ]?(\d{4}\.\d{4,5})", re.IGNORECASE)


@dataclass(frozen=True)
class About:
    """By name. Records do not hold any of this, so a site can be built without it."""

    benchmarks: Mapping[str, str] = field(default_factory=dict)  # what is measured, in one line
    methods: Mapping[str, str] = field(default_factory=dict)
    papers: Mapping[str, str] = field(default_factory=dict)  # of a method
    methods_of: Mapping[str, str] = field(default_factory=dict)  # predictor -> the first method that has it
    readmes: Mapping[str, str] = field(default_factory=dict)  # of a method: the Markdown that its plugin brings


def paper_link(paper: str) -> str:
    """The address of a paper on arXiv; "" where the reference names none."""
    match = LINK.search(paper)
    return f"https://arxiv.org/abs/{match[1]}" if match else ""


def differences(readme: str) -> Markup:
    """The sections of a plugin's README that hold it against its paper, as HTML; nothing where there is none.

    Links to files beside the README are left out: they lead nowhere from a page.
    """
    from markdown_it import MarkdownIt

    parts = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    sections = [part for part in parts if part.startswith("## ") and "paper" in part.splitlines()[0].lower()]
    text = re.sub(r"\[([^\]]*)\]\((?!https://)[^)]*\)", r"\1", "\n".join(sections))
    text = re.sub(r"^## ", "#### ", text, flags=re.MULTILINE)
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)  # HTML in it is escaped
    return Markup(html.replace("<a href", '<a rel="external noreferrer" href'))


def provenance(records: Sequence[Record], leaderboards: Path) -> dict[str, str]:
    """Commit and day of the newest record of a benchmark, the newest version, and the machines of all its records."""
    commit, day = newest_commit(record_path(leaderboards, records[0]).parents[1])
    versions = {record.provenance.get("packages", {}).get("dyadbench", "") for record in records} - {""}
    return {"commit": commit[:8], "day": day, "version": max(versions, default="", key=lambda text: [int(part) for part in re.findall(r"\d+", text)]), "machines": "; ".join(machines(records))}  # fmt: skip


def machines(records: Sequence[Record]) -> list[str]:
    """The processors that records were made on, with their threads, each once."""
    names: dict[str, None] = {}
    for record in records:
        hardware, threads = record.provenance.get("hardware", {}), record.provenance.get("threads")
        name = hardware.get("gpu") or hardware.get("cpu") or hardware.get("machine")
        if name:
            names[f"{name}, {threads} thread{'' if threads == 1 else 's'}" if threads else str(name)] = None
    return sorted(names)


def citation(table: Table, where: Mapping[str, str]) -> str:
    """BibTeX of the numbers of one benchmark, as they are here."""
    year = where["day"][:4]
    lines = [
        "  title = {dyadbench: the evaluation harness for dyadic facial reaction generation}",
        *([f"  version = {{{where['version']}}}"] if where["version"] else []),
        *([f"  year = {{{year}}}"] if year else []),
        f"  note = {{Benchmark {table.benchmark}, {number_of(table.clips, 'clip')} of {number_of(table.sessions, 'session')}"
        + (f", records of commit {where['commit']}" if where["commit"] else "")
        + "}",
    ]
    return f"@software{{dyadbench-{slug(table.benchmark)},\n" + ",\n".join(lines) + "\n}\n"
