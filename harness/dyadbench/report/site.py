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
from markupsafe import Markup, escape

from dyadbench.api import Column, DyadbenchError
from dyadbench.errors import number_of
from dyadbench.files.atomic import atomic_write, demand_own, read_whole
from dyadbench.leaderboard import summary
from dyadbench.leaderboard.build import make_tables
from dyadbench.leaderboard.claims import MEANING, Claim, Judged, load_claims, rows_of
from dyadbench.leaderboard.data_files import csv_text, json_text
from dyadbench.leaderboard.published import PublishedNumber, load_published
from dyadbench.leaderboard.rows import Row
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import SIMULATED, rank_text, sentence_case, skill_text, split_text
from dyadbench.leaderboard.validity import Corpus, load_validity
from dyadbench.leaderboard.validity_rule import demands, exemptions, indifferences
from dyadbench.leaderboard.verdicts import judge
from dyadbench.leaderboard.verdicts_page import counted
from dyadbench.records.comparable import by_benchmark, need_records, of_whole_training, usable_records
from dyadbench.records.excerpts import PARAMETERS, Excerpts, gather, ranges
from dyadbench.records.record import Record, record_path, slug
from dyadbench.report import claims, figures, glossary, method, overview, pages, speed
from dyadbench.report.about import About, citation, differences, machines, paper_link, provenance
from dyadbench.report.behaviour import behaviour, loudness
from dyadbench.report.pairs import pairs_view

LIMIT = 1_500_000  # bytes of a page
FACES = 500_000  # bytes of a page that its faces may take
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
    about: About = field(default_factory=About)
    excerpts: dict[str, Excerpts] = field(default_factory=dict)  # by benchmark
    links: dict[str, Path] = field(default_factory=dict)  # the name of every record on the site -> where it lies
    judged: list[Record] = field(default_factory=list)  # records that a checked claim is about
    cards: list[dict[str, Any]] = field(default_factory=list)  # of the index
    pairs: list[dict[str, Any]] = field(default_factory=list)  # of the comparison
    sections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by method
    files: dict[str, str] = field(default_factory=dict)  # name -> what else is written: CSV and JSON of every benchmark
    _of: dict[str, str] = field(default_factory=dict)  # ablation -> its method
    _predictors: dict[str, str] = field(default_factory=dict)  # of every row
    costs: list[dict[str, Any]] = field(default_factory=list)  # of the page on speed

    # --- templates --------------------------------------------------------------------------------------

    @cached_property
    def _environment(self) -> Environment:
        environment = Environment(
            loader=PackageLoader("dyadbench.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=StrictUndefined, keep_trailing_newline=True,
        )  # fmt: skip
        environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": True}
        environment.globals["inline"] = lambda name: Markup(asset(name))
        environment.globals["simulated_note"] = SIMULATED.replace("**", "")
        environment.filters["breaks"] = lambda name: escape(name).replace(
            ".", Markup(".<wbr>")
        )  # where a name may break
        environment.filters["of"] = number_of
        environment.globals |= {"term": glossary.term, "words": glossary.WORDS, "page_name": pages.page_name}
        return environment

    def render(self, template: str, **values: Any) -> str:
        return self._environment.get_template(template).render(**values)

    # --- pages ------------------------------------------------------------------------------------------

    def pages(self) -> dict[str, str]:
        """File name -> HTML."""
        texts = {}
        for benchmark, records in by_benchmark(self.leaderboards):
            in_claims = rows_of(self._statements)
            self.judged += [record for record in records if (benchmark, record.method) in in_claims]
            if whole := of_whole_training(records):
                texts[pages.page_name("", benchmark)] = self._benchmark(benchmark, whole)
        for views in (self.cards, self.pairs, self.costs, *self.sections.values()):
            views.sort(key=lambda view: (bool(view["simulated"]), str(view["benchmark"])))
        texts["index.html"] = self.render("index.html", cards=self.cards, words=glossary.WORDS)
        for name, sections in self.sections.items():
            texts[pages.page_name("method", name)] = self._method(name, sections)
        for view in self.pairs:
            texts[view["own"]] = self.render("compare.html", view=view, views=self.pairs)
        texts["compare.html"] = self.render("compared.html", views=self.pairs)
        texts["claims.html"] = self._board()
        texts["published.html"] = self.render("published.html", sources=pages.sources_view(self._published))
        texts["speed.html"] = self.render("speed.html", views=self.costs)
        texts["validity.html"] = self.render(
            "validity.html",
            corpora=self._corpora,
            demands=demands(),
            exemptions=exemptions(),
            indifferences=indifferences(),
        )
        return texts

    @cached_property
    def _published(self) -> list[PublishedNumber]:
        return load_published(self.leaderboards / "claims")

    @cached_property
    def _corpora(self) -> list[Corpus]:
        return load_validity(self.leaderboards)

    @cached_property
    def _statements(self) -> list[Claim]:
        return load_claims(self.leaderboards / "claims" / "checked")

    def _benchmark(self, benchmark: str, records: Sequence[Record]) -> str:
        """Its page; what other pages need of its records is kept."""
        for record in records:
            self._of |= {record.method: record.of} if record.of else {}
            self._predictors[record.method] = record.method_config.get("predictor", {}).get("name", "")
            self.links[pages.record_link(record)] = record_path(self.leaderboards, record)
        excerpts = self.excerpts[benchmark] = gather(records, self.leaderboards, self.home)
        excerpts.missing |= {m: why for m, why in self.reasons.get(benchmark, {}).items() if m in excerpts.missing}
        tables = make_tables([(benchmark, records)], self.suites, self._published, self._corpora)[0]
        # Pages say nothing of a record that its table leaves out: it was measured on other data, or by another metric.
        usable = [usable_records(records, table.suite, self.suites[table.suite]) for table in tables]
        views = [pages.table_view(table, methods) for table, methods in zip(tables, usable, strict=True)]
        pages_of_tables = zip(tables, views, usable, strict=True)
        main, view, methods = next((each for each in pages_of_tables if each[0].main), (None, {}, {}))
        if main is None:
            raise DyadbenchError(
                f"{benchmark} ranks by suite {records[0].benchmark_config.suite}, which is not installed, so its pages cannot "
                "be made; install its plugin, or move its records away"
            )
        excerpts.limit([row.method for row in main.rows], FACES)
        lead, beside = summary.sentences(main)
        where = provenance(records, self.leaderboards)
        self._card(main, lead)
        for method_name, mine in sorted(methods.items()):
            self._section(main, view, method_name, mine)
        self._pair(main, records)
        charts = figures.benchmark_figures(main, methods)
        if cost := speed.costs(main, methods):
            self.costs.append(cost | {"machines": machines(records)})
        return self.render(
            "benchmark.html", table=main, page=pages.page_name("", benchmark), views=views, lead=lead, beside=beside,
            says=sentence_case(self.about.benchmarks.get(benchmark, "")), split=split_text(main.setting), where=where,
            presets=sorted({r.preset for r in records if r.preset and not r.calibration}), ladder=overview.ladder(main, {row.method: self._says(row.method) for row in main.rows}),
            scale_note=overview.scale_note(main), plane=figures.plane(main), figures=charts, families=pages.families_view(main), player=self._player(benchmark, tables[0]),
            files=self._files(benchmark, tables), cite=citation(main, where), compare=self._first_pair(main), dataset=records[0].dataset.name,
        )  # fmt: skip

    def _files(self, benchmark: str, tables: Sequence[Table]) -> dict[str, str]:
        """Every number of a benchmark as files beside the pages; kind -> where."""
        names = {kind: f"data/{slug(benchmark)}.{kind}" for kind in ("csv", "json")}
        self.files |= {names["csv"]: csv_text(tables), names["json"]: json_text(tables)}
        return names

    def _first_pair(self, table: Table) -> str:
        """The comparison of the first two methods, those with a rank first; "" where there are none."""
        names = [row.method for row in ranked_first(table) if row.kind == "method"][:2]
        compared = self.pairs and self.pairs[-1]["benchmark"] == table.benchmark
        return pages.compare_link(table.benchmark, *names) if compared and len(names) == 2 else ""

    def _card(self, table: Table, lead: str) -> None:
        ranked = [row for row in table.rows if row.rank is not None]
        self.cards.append({
            "benchmark": table.benchmark, "page": pages.page_name("", table.benchmark), "simulated": table.simulated,
            "says": sentence_case(self.about.benchmarks.get(table.benchmark, "")), "track": table.setting["track"], "lead": lead, "unplaced": summary.leaders(ranked)[1] if ranked else "", "ahead": summary.ahead(table), "ranked": len(ranked),
            "clips": table.clips, "sessions": table.sessions, "methods": sum(row.kind == "method" for row in table.rows),
            "rows": [
                {"method": row.method, "page": pages.page_name("method", row.method), "rank": rank_text(row), "skill": skill_text(row.skill)}
                for row in ranked[:5]
            ],
        })  # fmt: skip

    def _player(self, benchmark: str, table: Table) -> dict[str, Any]:
        """What the face player plays, and sentences for what it cannot."""
        excerpts = self.excerpts[benchmark]
        view: dict[str, Any] = {"missing": excerpts.missing, "data": None}
        if excerpts.people is not None:
            view["data"] = {
                "drawn": [*PARAMETERS, *excerpts.people.beside], "range": ranges(excerpts.people.beside).tolist(), **excerpts.people.model_dump(mode="json", exclude={"digest", "clips"}),
                "clips": [clip.model_dump(mode="json") | {"loudness": loudness(clip)} for clip in excerpts.people.clips],
                "methods": {name: dict(excerpt.reactions) for name, excerpt in excerpts.methods.items()},
                "static": [name for name, excerpt in excerpts.methods.items() if excerpt.static],
                "ranked": [
                    row.method for row in table.rows if row.method in excerpts.methods
                ],
            }  # fmt: skip
            view["behaviour"] = behaviour(excerpts.people, excerpts.methods)
        return view

    def _section(self, main: Table, view: dict[str, Any], name: str, records: Sequence[Record]) -> None:
        """A method's part in one benchmark, for its page."""
        sections = self.sections.setdefault(name, [])
        row = next((row for row in view["rows"] if row["method"] == name), None)
        if row is not None:
            sections.append(method.section(main, view, row, records, self.excerpts[main.benchmark].methods.get(name)))

    def _base(self, name: str) -> str:
        """The installed method, or predictor, of which a row is a configuration; itself where it has its name."""
        if name in self.about.methods:
            return name
        predictor = self._predictors.get(name, "")
        return self.about.methods_of.get(predictor, predictor)

    def _says(self, name: str) -> str:
        """What a row is, in one line; "" of what is not installed."""
        base = self._base(name)
        text = self.about.methods.get(base, "")
        return f"other settings of {base}: {text}" if text and base != name else text

    def _method(self, name: str, sections: list[dict[str, Any]]) -> str:
        base = self._base(name)
        paper = self.about.papers.get(base, "")
        return self.render(
            "method.html", method=name, sections=sections, claims=self._claims_of(name), says=self._says(name),
            paper=paper, paper_link=paper_link(paper), differs=differences(self.about.readmes.get(base, "")),
            ablations=sorted(other for other, of in self._of.items() if of == name and other in self.sections), of=self._of.get(name, ""),
        )  # fmt: skip

    @cached_property
    def board(self) -> list[Judged]:
        return judge(self._statements, self.judged, self._corpora)

    def _claims_of(self, method: str) -> list[dict[str, str]]:
        return [
            {"id": one.claim.id, "says": one.claim.says, "verdict": one.verdict}
            for one in self.board
            if any(method in finding.methods for finding in one.evidence)
        ]

    def _board(self) -> str:
        compared = {view["benchmark"]: set(view["methods"]) for view in self.pairs}
        return self.render(
            "claims.html", papers=claims.by_paper(self.board, set(self.sections), compared), corrections=claims.corrections(self.board),
            counted=counted(self.board), meaning=MEANING,
        )  # fmt: skip

    def _pair(self, table: Table, records: Sequence[Record]) -> None:
        view = pairs_view(records, table.suite, self.suites[table.suite], [row.method for row in ranked_first(table)])
        if view is not None:
            why = {column.id: ", ".join(column.why) for column in table.columns}
            view["columns"] = [column | {"fails": why[column["id"]]} for column in view["columns"]]
            view["pages"] = [pages.page_name("method", name) for name in view["methods"]]
            view["simulated"], view["page"] = table.simulated, pages.page_name("", table.benchmark)
            view["own"] = pages.page_name("compare", table.benchmark)
            excerpts = self.excerpts[table.benchmark]
            view["watch"] = sorted(excerpts.methods)
            view["seen"] = [clip.id for clip in excerpts.people.clips] if excerpts.people else []
            self.pairs.append(view)


def ranked_first(table: Table) -> list[Row]:
    """The rows, methods before references, and of the methods those with a rank first."""
    return sorted(table.rows, key=lambda row: (row.kind in ("reference", "reconstruction"), row.rank is None))


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
    root: Path, out: Path, suites: Suites, home: Path, reasons: Mapping[str, Mapping[str, str]] | None = None,
    about: About | None = None,
) -> Site:  # fmt: skip
    """Writes the site below `out` and removes pages that nothing gives any more; other files there are left alone."""
    leaderboards = root / "leaderboards"
    need_records(leaderboards)
    site = Site(leaderboards, suites, home, reasons or {}, about or About())
    texts = {**site.pages(), **site.files}
    listing = out / "pages.json"  # what this program wrote here, so that it never touches what it did not
    old = _listed(listing)
    demand_own({out / name: text for name, text in texts.items()}, listing, {out / name for name in old})
    here = sorted({*texts, *site.links})
    if not set(here) <= set(old):  # before they are written: this run may be killed
        atomic_write(listing, json.dumps(sorted({*here, *old}), indent=1) + "\n")
    for name, text in texts.items():
        _write(out / name, text.encode())
    for name, record in site.links.items():
        _write(out / name, read_whole(record) or b"")
    for name in sorted(set(old) - set(here)):
        if (out / name).resolve().is_relative_to(out.resolve()):
            (out / name).unlink(missing_ok=True)
    atomic_write(listing, json.dumps(here, indent=1) + "\n")
    return site
