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
from dyadbench.board import MEANING, Judged, judge, load_statements
from dyadbench.board_text import command, counted, evidence
from dyadbench.claims import load_claims
from dyadbench.host import Host
from dyadbench.leaderboard import Table, make_tables
from dyadbench.record import Record, record_path
from dyadbench.render import SIMULATED
from dyadbench.report import figures, pages
from dyadbench.report.excerpts import Excerpts, gather
from dyadbench.report.faces import DRAWN, RANGE
from dyadbench.report.pairs import pairs_view
from dyadbench.runtime import Runtime
from dyadbench.selection import records_below
from dyadbench.store import atomic_write

LIMIT = 3_000_000  # bytes of a page
Suites = Mapping[str, Sequence[Column]]


@dataclass
class Site:
    """Everything the pages are made of."""

    leaderboards: Path
    suites: Suites
    runtime: Runtime
    host: Host
    make_excerpts: bool = True
    missing: list[str] = field(default_factory=list)  # sentences for the terminal

    @cached_property
    def records(self) -> list[Record]:
        return records_below(self.leaderboards)

    @cached_property
    def tables(self) -> list[Table]:
        return make_tables(self.leaderboards, self.suites, self.records)[0]

    @cached_property
    def benchmarks(self) -> dict[str, dict[str, list[Record]]]:
        """Benchmark -> method -> its seeds."""
        found: dict[str, dict[str, list[Record]]] = {}
        for record in self.records:
            found.setdefault(record.benchmark, {}).setdefault(record.method, []).append(record)
        return found

    @cached_property
    def excerpts(self) -> dict[str, Excerpts]:
        return {
            name: gather(
                [r for group in methods.values() for r in group], self.leaderboards, self.runtime, self.host,
                make=self.make_excerpts,
            )
            for name, methods in self.benchmarks.items()
        }  # fmt: skip

    def tables_of(self, benchmark: str) -> list[Table]:
        return [table for table in self.tables if table.benchmark == benchmark]

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
        made = {"index.html": self._index()}
        for benchmark in self.benchmarks:
            made[pages.page_name("", benchmark)] = self._benchmark(benchmark)
        for method in sorted({record.method for record in self.records}):
            made[pages.page_name("method", method)] = self._method(method)
        made["compare.html"] = self._compare()
        made["claims.html"] = self._board()
        made["published.html"] = self.render("published.html", sources=pages.sources_view(self._claims))
        return made

    @cached_property
    def _claims(self) -> list[Any]:
        return load_claims(self.leaderboards / "claims")

    def _index(self) -> str:
        cards = []
        for table in self.tables:
            if not table.main:
                continue
            view = pages.table_view(table, self.benchmarks[table.benchmark])
            cards.append({
                "benchmark": table.benchmark, "page": pages.page_name("", table.benchmark), "suite": table.suite,
                "track": table.setting["track"], "data": "simulated" if table.simulated else "real",
                "clips": table.clips, "sessions": table.sessions, "rows": view["rows"], "samples": table.setting["samples"],
            })  # fmt: skip
        return self.render("index.html", cards=cards)

    def _benchmark(self, benchmark: str) -> str:
        tables, records = self.tables_of(benchmark), self.benchmarks[benchmark]
        main = next(table for table in tables if table.main)
        return self.render(
            "benchmark.html", table=main, page=pages.page_name("", benchmark),
            views=[pages.table_view(table, records) for table in tables],
            figures=figures.benchmark_figures(main, records), player=self._player(benchmark),
        )  # fmt: skip

    def _player(self, benchmark: str) -> dict[str, Any]:
        """What the face player plays, and sentences for what it cannot."""
        found = self.excerpts[benchmark]
        view: dict[str, Any] = {"missing": found.missing, "data": None}
        if found.people is not None:
            view["data"] = {
                "drawn": DRAWN, "range": RANGE.tolist(), **found.people.model_dump(mode="json", exclude={"digest"}),
                "methods": {name: dict(kept.reactions) for name, kept in found.methods.items()},
                "static": [name for name, kept in found.methods.items() if kept.static],
                "ranked": [
                    row.method for row in self.tables_of(benchmark)[0].rows if row.method in found.methods
                ],
            }  # fmt: skip
        return view

    def _method(self, method: str) -> str:
        sections = []
        for benchmark, methods in self.benchmarks.items():
            if method not in methods:
                continue
            records, tables = methods[method], self.tables_of(benchmark)
            main = next(table for table in tables if table.main)
            row = next((row for row in main.rows if row.method == method), None)
            if row is None:
                continue
            view = pages.table_view(main, {method: records})
            excerpt = self.excerpts[benchmark].methods.get(method)
            shown = [c for c in main.columns if c["ranked"]]
            sections.append({
                "benchmark": benchmark, "page": pages.page_name("", benchmark), "simulated": main.simulated,
                "row": next(r for r in view["rows"] if r["method"] == method), "columns": view["columns"],
                "config": pages.config_view(records[0]), "record": records[0],
                "facts": _measured(records), "curves": figures.curves(excerpt),
                "codebooks": figures.codebooks({method: records}), "groups": figures.group_errors(records),
                "spread": [f for c in shown if (f := figures.distribution(records, main.suite, c)) is not None],
            })  # fmt: skip
        return self.render("method.html", method=method, sections=sections, claims=self._claims_of(method))

    @cached_property
    def board(self) -> list[Judged]:
        return judge(load_statements(self.leaderboards / "claims" / "checked"), self.records)

    def _claims_of(self, method: str) -> list[dict[str, str]]:
        return [
            {"id": one.statement.id, "says": one.statement.says, "verdict": one.verdict}
            for one in self.board
            if any(method in finding.methods for finding in one.findings)
        ]

    def _board(self) -> str:
        known = {record.method for record in self.records}
        rows = [
            {
                "said": one.statement, "verdict": one.verdict, "command": command(one),
                "findings": [
                    {
                        "text": f.text, "verdict": f.verdict, "evidence": evidence(f),
                        "methods": [(name, pages.page_name("method", name)) for name in f.methods if name in known],
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

    def _compare(self) -> str:
        views = []
        for table in self.tables:
            if table.main:
                records = [r for group in self.benchmarks[table.benchmark].values() for r in group]
                view = pairs_view(records, table.suite, self.suites[table.suite])
                if view is not None:
                    view["pages"] = [pages.page_name("method", name) for name in view["methods"]]
                    view["order"] = [row.method for row in table.rows]
                    views.append(view)
        return self.render("compare.html", views=views)


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
        values = [record.measured.get(name, "") for record in records]
        if any(name in record.measured for record in records):
            text = ["whole clip" if v is None and "lookahead" in name else str(v) for v in values]
            rows.append((title, text[0] if len(set(text)) == 1 else ", ".join(text)))
    for part in ("predictor", "tokenizer"):
        last = [
            record.measured.get("validation" if part == "predictor" else "tokenizer_validation", {})
            for record in records
        ]
        found = {(stage, name) for one in last for stage, values in one.items() for name in values}
        for stage, name in sorted(found):
            text = [f"{one[stage][name]:.3g}" for one in last if name in one.get(stage, {})]
            rows.append((f"last validation of the {part}: {name}" + f" ({stage})" * (stage != part), ", ".join(text)))
    return rows


def asset(name: str) -> str:
    return files("dyadbench.report").joinpath("templates", name).read_text(encoding="utf-8")


def build_site(
    root: Path, out: Path, suites: Suites, runtime: Runtime, host: Host, *, make_excerpts: bool = True
) -> Site:
    """Writes the site below `out` and removes pages that nothing gives any more; other files there are left alone."""
    leaderboards = root / "leaderboards"
    if not (leaderboards / "records").is_dir():
        raise DyadbenchError(
            f"there are no records in {leaderboards}; `dyadbench run` makes them, --root says where to look"
        )
    site = Site(leaderboards, suites, runtime, host, make_excerpts)
    made: dict[str, bytes] = {name: text.encode() for name, text in site.pages().items()}
    for record in site.records:
        made[pages.record_link(record)] = record_path(leaderboards, record).read_bytes()
    for name, data in made.items():
        path = out / name
        if not path.exists() or path.read_bytes() != data:
            atomic_write(path, data)
    listing = out / "pages.json"  # what this program wrote here, so that it never deletes what it did not
    old = json.loads(listing.read_text()) if listing.exists() else []
    for name in sorted(set(old) - set(made)):
        if (out / name).resolve().is_relative_to(out.resolve()):
            (out / name).unlink(missing_ok=True)
    atomic_write(listing, json.dumps(sorted(made), indent=1) + "\n")
    return site
