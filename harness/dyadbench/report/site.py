"""Records, claims and excerpts to a folder of pages that open from disk: the same input gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dyadbench.api import Column, DyadbenchError
from dyadbench.files.atomic import atomic_write, read_whole
from dyadbench.leaderboard.build import make_tables
from dyadbench.leaderboard.published import load_published
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import SIMULATED
from dyadbench.leaderboard.verdicts import MEANING, Claim, Judged, judge, load_claims, rows_of
from dyadbench.leaderboard.verdicts_page import command, counted, evidence
from dyadbench.records.comparable import by_benchmark
from dyadbench.records.excerpts import DRAWN, RANGE, Excerpts, gather
from dyadbench.records.record import Record, record_path
from dyadbench.report import figures, pages
from dyadbench.report.pairs import pairs_view

LIMIT = 3_000_000  # bytes of a page
Suites = Mapping[str, Sequence[Column]]


@dataclass
class Site:
    """Everything the pages are made of, gathered with one benchmark's records in memory at a time."""

    leaderboards: Path
    suites: Suites
    home: Path  # where excerpts of real people lie
    reasons: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict
    )  # benchmark -> method -> why it has no excerpt
    excerpts: dict[str, Excerpts] = field(default_factory=dict)  # by benchmark
    links: dict[str, Path] = field(default_factory=dict)  # the name of every record on the site -> where it lies
    judged: list[Record] = field(default_factory=list)  # records that a checked claim is about
    cards: list[dict[str, Any]] = field(default_factory=list)  # of the index
    pairs: list[dict[str, Any]] = field(default_factory=list)  # of the comparison
    sections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by method

    # --- templates --------------------------------------------------------------------------------------

    @cached_property
    def _environment(self) -> Environment:
        made = Environment(
            loader=PackageLoader("dyadbench.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=StrictUndefined, keep_trailing_newline=True,
        )  # fmt: skip
        made.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": True}
        made.globals["inline"] = lambda name: Markup(asset(name))
        made.globals["simulated_note"] = SIMULATED.replace("**", "")
        return made

    def render(self, template: str, **values: Any) -> str:
        return self._environment.get_template(template).render(**values)

    # --- pages ------------------------------------------------------------------------------------------

    def pages(self) -> dict[str, str]:
        """File name -> HTML."""
        made = {}
        for benchmark, records in by_benchmark(self.leaderboards):
            made[pages.page_name("", benchmark)] = self._benchmark(benchmark, records)
        for found in (self.cards, self.pairs, *self.sections.values()):
            found.sort(key=lambda view: str(view["benchmark"]))
        made["index.html"] = self.render("index.html", cards=self.cards)
        for method, sections in self.sections.items():
            made[pages.page_name("method", method)] = self.render(
                "method.html", method=method, sections=sections, claims=self._claims_of(method)
            )
        made["compare.html"] = self.render("compare.html", views=self.pairs)
        made["claims.html"] = self._board()
        made["published.html"] = self.render("published.html", sources=pages.sources_view(self._claims))
        return made

    @cached_property
    def _claims(self) -> list[Any]:
        return load_published(self.leaderboards / "claims")

    @cached_property
    def _statements(self) -> list[Claim]:
        return load_claims(self.leaderboards / "claims" / "checked")

    def _benchmark(self, benchmark: str, records: Sequence[Record]) -> str:
        """Its page; what other pages need of its records is kept."""
        methods: dict[str, list[Record]] = {}
        for record in records:
            methods.setdefault(record.method, []).append(record)
            self.links[pages.record_link(record)] = record_path(self.leaderboards, record)
        wanted = rows_of(self._statements)
        self.judged += [record for record in records if (benchmark, record.method) in wanted]
        excerpts = self.excerpts[benchmark] = gather(records, self.leaderboards, self.home)
        excerpts.missing |= {m: why for m, why in self.reasons.get(benchmark, {}).items() if m in excerpts.missing}
        tables = make_tables(self.leaderboards, self.suites, records)[0]
        views = [pages.table_view(table, methods) for table in tables]
        main, view = next((table, view) for table, view in zip(tables, views, strict=True) if table.main)
        self._card(main, view)
        for method, mine in sorted(methods.items()):
            self._section(main, view, method, mine)
        self._pair(main, records)
        return self.render(
            "benchmark.html", table=main, page=pages.page_name("", benchmark), views=views,
            figures=figures.benchmark_figures(main, methods), player=self._player(benchmark, tables[0]),
        )  # fmt: skip

    def _card(self, table: Table, view: dict[str, Any]) -> None:
        self.cards.append({
            "benchmark": table.benchmark, "page": pages.page_name("", table.benchmark), "suite": table.suite,
            "track": table.setting["track"], "data": "simulated" if table.simulated else "real",
            "clips": table.clips, "sessions": table.sessions, "rows": view["rows"], "samples": table.setting["samples"],
        })  # fmt: skip

    def _player(self, benchmark: str, table: Table) -> dict[str, Any]:
        """What the face player plays, and sentences for what it cannot."""
        excerpts = self.excerpts[benchmark]
        view: dict[str, Any] = {"missing": excerpts.missing, "data": None}
        if excerpts.people is not None:
            view["data"] = {
                "drawn": DRAWN, "range": RANGE.tolist(), **excerpts.people.model_dump(mode="json", exclude={"digest"}),
                "methods": {name: dict(kept.reactions) for name, kept in excerpts.methods.items()},
                "static": [name for name, kept in excerpts.methods.items() if kept.static],
                "ranked": [
                    row.method for row in table.rows if row.method in excerpts.methods
                ],
            }  # fmt: skip
        return view

    def _section(self, main: Table, view: dict[str, Any], method: str, records: Sequence[Record]) -> None:
        """A method's part in one benchmark, for its page."""
        sections = self.sections.setdefault(method, [])
        row = next((row for row in view["rows"] if row["method"] == method), None)
        if row is None:
            return
        shown = [c for c in main.columns if c["ranked"]]
        sections.append({
            "benchmark": main.benchmark, "page": pages.page_name("", main.benchmark), "simulated": main.simulated,
            "row": row, "columns": view["columns"], "config": pages.config_view(records[0]),
            "plugin": records[0].plugin, "entry_version": records[0].entry_version,
            "facts": _measured(records), "curves": figures.curves(self.excerpts[main.benchmark].methods.get(method)),
            "codebooks": figures.codebooks({method: records}), "groups": figures.group_errors(records),
            "spread": [f for c in shown if (f := figures.distribution(records, main.suite, c)) is not None],
        })  # fmt: skip

    @cached_property
    def board(self) -> list[Judged]:
        return judge(self._statements, self.judged)

    def _claims_of(self, method: str) -> list[dict[str, str]]:
        return [
            {"id": one.statement.id, "says": one.statement.says, "verdict": one.verdict}
            for one in self.board
            if any(method in finding.methods for finding in one.findings)
        ]

    def _board(self) -> str:
        rows = [
            {
                "said": one.statement, "verdict": one.verdict, "command": command(one),
                "findings": [
                    {
                        "text": f.text, "verdict": f.verdict, "evidence": evidence(f),
                        "methods": [(name, pages.page_name("method", name)) for name in f.methods if name in self.sections],
                    }
                    for f in one.findings
                ],
            }
            for one in self.board
        ]  # fmt: skip
        claims = [row for row, one in zip(rows, self.board, strict=True) if not one.statement.demonstration]
        corrections = [row for row, one in zip(rows, self.board, strict=True) if one.statement.demonstration]
        return self.render(
            "claims.html", claims=claims, corrections=corrections, counted=counted(self.board), meaning=MEANING
        )

    def _pair(self, table: Table, records: Sequence[Record]) -> None:
        view = pairs_view(records, table.suite, self.suites[table.suite])
        if view is not None:
            view["pages"] = [pages.page_name("method", name) for name in view["methods"]]
            view["order"] = [row.method for row in table.rows]
            self.pairs.append(view)


def _measured(records: Sequence[Record]) -> list[tuple[str, str]]:
    """What was measured of every seed, as text."""
    names = {
        "parameters": "parameters of the predictor", "tokenizer_parameters": "parameters of the tokenizer",
        "fit_seconds": "seconds of training (predictor)", "tokenizer_fit_seconds": "seconds of training (tokenizer)",
        "generate_seconds": "seconds of sampling", "realtime_factor": "times real time", "lookahead": "look-ahead measured (frames)",
        "declared_lookahead": "look-ahead declared (frames)",
    }  # fmt: skip
    rows = []
    for name, title in names.items():
        given = [record.measured.model_dump(mode="json") for record in records]
        values = [each.get(name, "") for each in given]
        if any(name in each for each in given):
            text = ["whole clip" if v is None and "lookahead" in name else str(v) for v in values]
            rows.append((title, text[0] if len(set(text)) == 1 else ", ".join(text)))
    for part in ("predictor", "tokenizer"):
        last = [
            record.measured.validation if part == "predictor" else record.measured.tokenizer_validation
            for record in records
        ]
        found = {(stage, name) for one in last for stage, values in one.items() for name in values}
        for stage, name in sorted(found):
            text = [f"{one[stage][name]:.3g}" for one in last if name in one.get(stage, {})]
            rows.append((f"last validation of the {part}: {name}" + f" ({stage})" * (stage != part), ", ".join(text)))
    return rows


def asset(name: str) -> str:
    return files("dyadbench.report").joinpath("templates", name).read_text(encoding="utf-8")


def _write(path: Path, data: bytes) -> None:
    if read_whole(path) != data:
        atomic_write(path, data, sync=False)  # made again from the records


def _listed(path: Path) -> list[str]:
    """The names in pages.json; none where it is damaged, and old pages then stay."""
    try:
        listed = json.loads(read_whole(path) or b"[]")
    except ValueError:
        return []
    return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def build_site(
    root: Path, out: Path, suites: Suites, home: Path, reasons: Mapping[str, Mapping[str, str]] | None = None
) -> Site:
    """Writes the site below `out` and removes pages that nothing gives any more; other files there are left alone."""
    leaderboards = root / "leaderboards"
    if not (leaderboards / "records").is_dir():
        raise DyadbenchError(
            f"there are no records in {leaderboards}; `dyadbench run` makes them, --root says where to look"
        )
    site = Site(leaderboards, suites, home, reasons or {})
    made = site.pages()
    for name, text in made.items():
        _write(out / name, text.encode())
    for name, record in site.links.items():
        _write(out / name, read_whole(record) or b"")
    listing = out / "pages.json"  # what this program wrote here, so that it never deletes what it did not
    old = _listed(listing)
    here = sorted({*made, *site.links})
    for name in sorted(set(old) - set(here)):
        if (out / name).resolve().is_relative_to(out.resolve()):
            (out / name).unlink(missing_ok=True)
    atomic_write(listing, json.dumps(here, indent=1) + "\n")
    return site
