"""The pages as files: the same bytes, links that lead somewhere, nothing hostile let through."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from tests.fixtures.hosts import shared_host

from dyadbench.api import DECA_56, EMOTION_CHANNELS, FACEVERSE_58, Column, DyadbenchError
from dyadbench.cell.faces import FaceMap, face_map
from dyadbench.leaderboard.charts import Point, scatter
from dyadbench.leaderboard.data_files import csv_text
from dyadbench.leaderboard.drawing import ticks
from dyadbench.leaderboard.markdown import index_page, markdown_page
from dyadbench.leaderboard.paired import NOT_JUDGED, ONE_SEED, compare
from dyadbench.leaderboard.skill_chart import picture
from dyadbench.leaderboard.summary import sentences
from dyadbench.leaderboard.tables import make_table
from dyadbench.leaderboard.terminal import comparison_text, terminal_table
from dyadbench.leaderboard.text import footnotes, head_text
from dyadbench.leaderboard.validity import Corpus, Validity, validity_json
from dyadbench.leaderboard.validity_rule import AS_IT_IS, SHOULD_NOT_MATTER, Pair, Shift
from dyadbench.leaderboard.write import write_leaderboards
from dyadbench.records.excerpts import (
    PARAMETERS,
    RANGE,
    ClipExcerpt,
    Excerpts,
    MethodExcerpt,
    People,
    Person,
    pack,
    read_excerpt,
    unpack,
)
from dyadbench.records.record import Record, Score, record_path, save_record
from dyadbench.registry.load import PAGES
from dyadbench.report.about import About, differences
from dyadbench.report.behaviour import behaviour
from dyadbench.report.claims import by_paper
from dyadbench.report.pages import page_name
from dyadbench.report.pairs import pairs_view
from dyadbench.report.site import build_site
from dyadbench.report.training import training_curves

from .conftest import CLIPS, COLUMNS, FORMULA, HOSTILE, SUITES, build, made_up, usual_records, write_root


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_builds_are_the_same_bytes(tmp_path: Path, site: Path) -> None:
    root = tmp_path / "again"
    write_root(root, usual_records()[::-1])  # in another order, elsewhere
    build(root, root / "site")
    assert _contents(root / "site") == _contents(site)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name == "id" and value:
                assert value not in self.ids, f"id {value} twice"
                self.ids.add(value)


def test_every_link_is_relative_and_leads_somewhere(site: Path) -> None:
    pages = {path.name: _Links() for path in site.glob("*.html")}
    for name, parser in pages.items():
        parser.feed((site / name).read_text())
    assert len(pages) > 8
    for name, parser in pages.items():
        for link in parser.links:
            if link == "data:,":
                continue
            if re.match(r"https://arxiv\.org/abs/[\d.]+$", link):
                continue  # a paper is elsewhere
            assert not re.match(r"[a-z]+:|/", link), f"{name} links to {link}"
            path, _, anchor = link.partition("#")
            assert (site / unquote(path or name)).is_file(), f"{name} links to {link}, which is not there"
            if anchor and "=" not in anchor:  # a state of the page: sort=..., watch=...
                assert anchor in pages[path or name].ids, f"{name} links to {link}, which has no such place"


def test_no_benchmark_may_have_the_name_of_a_page_of_another_kind(site: Path) -> None:
    own = {path.stem for path in site.glob("*.html")} | {path.stem for path in site.glob("*.json")}
    benchmarks = {"toy-online", "toy-offline"}
    others = {name for name in own if name not in benchmarks and not name.startswith(("method-", "compare-"))}
    listing = (Path(__file__).parents[2] / "leaderboards" / "generated.txt").read_text().split()
    of_boards = {name.rpartition(".")[0].lower() for name in listing if name.endswith(".md") and "/" not in name}
    registered = {entry.name for entry in shared_host().entries("benchmark")}
    assert others | (of_boards - registered) | {"generated"} == PAGES


def test_hostile_names_are_text_everywhere(site: Path) -> None:
    for path in site.glob("*.html"):
        text = path.read_text()
        assert HOSTILE not in text, path.name
        parser = _Links()
        parser.feed(text)
        assert "img" not in parser.tags, path.name
    assert page_name("method", HOSTILE) != page_name("method", "_img_src_x_onerror_alert_1_")
    assert (site / page_name("method", HOSTILE)).is_file()
    assert "/" not in page_name("method", "../../etc/passwd")


def test_hostile_names_in_markdown_csv_and_terminal() -> None:
    names = [HOSTILE, FORMULA, "a|b", "\x1b[31mred"]
    table = make_table([made_up(name, 0.1 * (i + 1)) for i, name in enumerate(names)], "react2024", SUITES["react2024"])
    page = markdown_page([table])
    assert "<img" not in page
    assert "a\\|b" in page
    assert all(not cell.startswith("=") for line in csv_text([table]).splitlines() for cell in line.split(","))
    assert "\x1b" not in terminal_table(table)


def test_what_has_no_data_is_said_not_drawn(tmp_path: Path) -> None:
    write_root(tmp_path, [made_up("good", 0.1, trained=False), made_up("plain", 0.2, trained=False)])
    (tmp_path / "leaderboards" / "excerpts" / "toy-online" / "people.json").unlink()
    build(tmp_path, tmp_path / "site")
    page = (tmp_path / "site" / "toy-online.html").read_text()
    assert "No rate-distortion picture" in page
    assert "No picture of error over time" in page
    assert "No faces" in page
    assert "No training curve" not in page
    whole = tmp_path / "whole"
    write_root(whole, usual_records())
    build(whole, whole / "site")
    page = (whole / "site" / "toy-online.html").read_text()
    assert "Rate and distortion" in page
    assert "No rate-distortion picture" not in page
    assert "Ablations of good" in page


def test_rows_of_a_quarter_of_the_training_are_in_no_table_and_on_no_page(tmp_path: Path) -> None:
    short = [made_up("good-quarter", 0.2, benchmark=where, of="good") for where in ("toy-online", "alone-online")]
    write_root(tmp_path, [made_up("good", 0.1), made_up("three-quarter", 0.3), *short])
    write_leaderboards(tmp_path, SUITES)
    table = (tmp_path / "leaderboards/toy-online.csv").read_text()
    assert "three-quarter" in table and "good-quarter" not in table, "whoever calls a method so keeps it"
    assert not (tmp_path / "leaderboards/alone-online.md").exists(), "a benchmark of such rows alone"
    build(tmp_path, tmp_path / "site")
    names = [path.name for path in (tmp_path / "site").rglob("*")]
    assert any("three-quarter" in name for name in names)
    assert not any("good-quarter" in name or "alone" in name for name in names)


def test_the_first_sentence_is_computed_and_says_who_beats_the_floor(site: Path) -> None:
    page = (site / "toy-online.html").read_text()
    assert "good leads alone." in page
    assert (
        "of the way from a real listener of another conversation (the floor) to a perfect reaction (the ceiling)"
        in page
    )
    assert "All 2 ranked rows beat the floor." in page
    assert "Nothing is ranked here yet." in (site / "toy-offline.html").read_text(), "it has no floor"


def test_a_page_marks_what_fails_on_its_data_and_shows_the_families(tmp_path: Path) -> None:
    write_root(tmp_path, usual_records())
    build(tmp_path, tmp_path / "site")
    before = (tmp_path / "site" / "toy-online.html").read_text()
    assert "FRDiv → †" not in before and "Diversity is over FRDiv." in before
    assert re.search(r"good</a></th><td>◆</td><td>within</td>", before), "method, Pareto mark, diversity"
    pair = Pair(better="mismatched", worse="noise", gap=-1.0, low=-2.0, high=-0.5, p=0.001, reading="wrong")
    still = dict.fromkeys((AS_IT_IS, *SHOULD_NOT_MATTER), Shift(moved=0.0, reading="yes"))
    fails = Validity(version=1, direction="match", family="diversity", headline=False, values={}, pairs=(pair,), falls=(), shifts=still)  # fmt: skip
    why = ", ".join(fails.why)
    assert "prefers noise to mismatched" in why
    corpus = Corpus(benchmark="toy-online", simulated=True, digest="", data="d" * 64, clips=24, sessions=6, samples=3, conditions=(), suites={"react2024": {"FRDiv": fails}})  # fmt: skip
    (tmp_path / "leaderboards" / "validity").mkdir()
    (tmp_path / "leaderboards" / "validity" / "toy-online.json").write_text(validity_json(corpus))
    build(tmp_path, tmp_path / "site")
    after = (tmp_path / "site" / "toy-online.html").read_text()
    assert "FRDiv → †" in after and f"† Fails on these data: {why}." in after
    assert "Diversity is undefined here: FRDiv fails on these data." in after and "◆</td>" not in after
    assert '"fails":"' + why in (tmp_path / "site" / "compare-toy-online.html").read_text()


def test_tied_methods_are_all_named_and_those_below_the_floor_too(tmp_path: Path) -> None:
    tied = [made_up(name, 0.3, seed=seed) for name in ("b", "a") for seed in range(3)]
    worse = [made_up("worse", 0.9, seed=seed) for seed in range(3)]
    floor = made_up("mismatched-listener", 0.7, calibration=True, trained=False, deterministic=True)
    table = make_table([*tied, *worse, floor], "react2024", SUITES["react2024"])
    lead, beside = sentences(table)
    assert lead == "No single winner: a and b cannot be told apart at the top."
    assert "2 of 3 ranked rows beat the floor." in beside
    assert "Worse than the floor: worse." in beside


def test_a_method_of_which_nothing_is_known_does_not_lead_by_that(tmp_path: Path) -> None:
    """Two seeds far apart: its interval holds the floor and the leader, so that it could not be told from either."""
    good = [made_up("good", 0.3, seed=seed) for seed in range(3)]
    wild = [made_up("wild", value, seed=seed) for seed, value in enumerate((0.2, 0.6))]
    floor = made_up("mismatched-listener", 0.7, calibration=True, trained=False, deterministic=True)
    table = make_table([*good, *wild, floor], "react2024", SUITES["react2024"])
    assert {row.method: row.rank_low for row in table.rows if row.rank} == {"good": 1, "wild": 1}
    lead, beside = sentences(table)
    assert lead == "good leads."
    unplaced = "Too uncertain to place: wild (more sessions or seeds would tell)."
    assert unplaced in beside
    assert f"good leads. {unplaced} |" in index_page([table]), "the index says what the board says"


def test_more_seeds_are_asked_for_only_where_they_would_tell(tmp_path: Path) -> None:
    good = made_up("good", 0.3, deterministic=True)
    data = made_up("uneven", 0.4, deterministic=True).model_dump()
    scores = data["suites"]["react2024"]
    for column, sign in (("FRCorr", 1), ("FRDist", -1)):  # sessions on which it is perfect, and others that it spoils
        scores["per_clip"][column] = [0.35 + sign * (0.6 if n % 8 < 4 else -0.6) for n in range(len(CLIPS))]
        scores["scores"][column]["value"] = 0.35
    floor = made_up("mismatched-listener", 0.7, calibration=True, trained=False, deterministic=True)
    table = make_table([good, Record.model_validate(data), floor], "react2024", SUITES["react2024"])
    assert sentences(table)[1][0] == "Too uncertain to place: uneven (more sessions would tell)."


def test_where_nothing_is_known_of_the_first_method_either_it_does_not_lead(tmp_path: Path) -> None:
    wild = [
        made_up(name, value, seed=seed)
        for name, first in (("a", 0.1), ("b", 0.2))
        for seed, value in enumerate((first, 1.2))
    ]
    floor = made_up("mismatched-listener", 0.7, calibration=True, trained=False, deterministic=True)
    table = make_table([*wild, floor], "react2024", SUITES["react2024"])
    assert all(row.rank_low == 1 for row in table.rows if row.rank)
    whole = "No single winner: a and b cannot be told apart at the top, and none of them beats the floor."
    assert sentences(table)[0] == whole


def test_who_is_ahead_without_a_rank_is_named_with_the_reason(tmp_path: Path) -> None:
    ranked = [made_up("a", 0.3, seed=seed) for seed in range(3)]
    table = make_table([*ranked, made_up("bold", 0.1), made_up("mismatched-listener", 0.7, calibration=True, trained=False, deterministic=True)], "react2024", SUITES["react2024"])  # fmt: skip
    lead, beside = sentences(table)
    assert lead == "a is the only method with a rank."
    assert (
        beside[0].startswith("More skill, but no rank: bold (0.")
        and "one seed of a method that is random)" in beside[0]
    )
    assert not any(text.startswith("More skill") for text in sentences(make_table(usual_records()[:20], "react2024", SUITES["react2024"]))[1])  # fmt: skip


def test_the_picture_of_skills_has_methods_in_blue_and_leaves_out_what_is_far_away() -> None:
    references = [
        made_up(name, level, calibration=True, trained=False)
        for name, level in (("mismatched-listener", 0.7), ("random", 5.0), ("mime", 0.6))
    ]
    methods = [*(made_up("a", 0.3, seed=seed) for seed in range(3)), made_up("bold", 0.1)]
    (text,) = picture(make_table([*methods, *references], "react2024", SUITES["react2024"])).values()
    assert "bold (not ranked)" in text and "mime (copy)" in text and ">random" not in text
    assert text.count('class="bar strong"') == 2


def test_speed_says_how_busy_the_machine_was(tmp_path: Path) -> None:
    times = {"generate_seconds": 90.0, "generate_cpu_seconds": 30.0}
    one = {"provenance": {"threads": 1}, "measured": times}
    records = [*(made_up("good", 0.1, seed=s, **one) for s in range(2)), made_up("fair", 0.3, measured={"generate_seconds": 9.0}),
               made_up("wide", 0.4, **one | {"provenance": {"threads": 2}}),
               made_up("mismatched-listener", 0.7, calibration=True, trained=False, deterministic=True)]  # fmt: skip
    write_root(tmp_path, records)
    build(tmp_path, tmp_path / "site")
    page = (tmp_path / "site" / "speed.html").read_text()
    rows = re.findall(r"<tr><th scope=\"row\"><a [^>]*>(\w+)</a></th>(.*?)</tr>", page)
    cells = {name: re.findall(r"<td[^>]*>(.*?)</td>", rest) for name, rest in rows}
    assert cells["good"][2:4] == ["30", "3.0"]
    assert cells["fair"][2:4] == ["9*", "-"], "a record that does not know processor seconds says nothing of the load"
    assert cells["wide"][2:4] == ["30", "-"], "of two threads nobody knows how many worked"


def test_a_configuration_with_a_name_of_its_own_says_what_it_is_of(tmp_path: Path) -> None:
    guided = made_up("x", 0.1).method_config | {"predictor": {"name": "net", "version": 1, "config": {"guidance": 3.0}}}
    write_root(
        tmp_path,
        [made_up("net-guided", 0.1, method_config=guided), made_up("mismatched-listener", 0.7, calibration=True)],
    )
    about = About(
        methods={"listener": "a net that listens"},
        papers={"listener": "Somebody (arXiv 2404.13051)"},
        methods_of={"net": "listener"},
    )
    build_site(tmp_path, tmp_path / "site", SUITES, tmp_path, about=about)
    page = (tmp_path / "site" / "method-net-guided.html").read_text()
    assert "Other settings of listener: a net that listens." in page and "arXiv 2404.13051" in page


def test_every_number_of_a_benchmark_can_be_had_as_csv_and_json(site: Path) -> None:
    page = (site / "toy-online.html").read_text()
    assert 'href="data/toy-online.csv" download' in page
    lines = (site / "data" / "toy-online.csv").read_text().splitlines()
    assert any(line.startswith("toy-online,react2024,True,good,") for line in lines)
    assert json.loads((site / "data" / "toy-online.json").read_text())[0]["benchmark"] == "toy-online"


def test_behaviours_are_counted_and_those_not_measured_left_out() -> None:
    fps, still = 25.0, np.zeros((100, len(PARAMETERS)))
    face = still.copy()
    face[[10, 40, 70], PARAMETERS.index("blink")] = 1.0
    face[50:75, PARAMETERS.index("smile")] = 0.9
    face[:, PARAMETERS.index("pitch")] = 0.1 * np.sin(2 * np.pi * np.arange(100) / 50)
    clip = ClipExcerpt(
        id="c", start=0.0, frames=100, speaker=Person(label="speaker", face=pack(np.roll(face, -10, 0))),
        listeners=(Person(label="true listener", face=pack(face)),),
    )  # fmt: skip
    people = People(digest="d", fps=fps, note="", clips=(clip,))
    table = behaviour(people, {"frozen": MethodExcerpt(key="k", reactions={"c": (pack(still),)})})
    assert [title for title, _ in table["header"]] == ["blinks", "nods", "smile", "head speed", "behind the speaker"]
    true, frozen = dict(table["rows"])["true listener"], dict(table["rows"])["frozen"]
    assert true[:3] == ["45", "30", "25"], "3 blinks and 2 nods in 4 seconds, a smile in a quarter of them"
    assert true[-1] == "0.40"
    assert frozen == ["0", "0", "0", "0", "-"]


def test_what_differs_from_the_paper_is_taken_from_the_readme() -> None:
    readme = "# m\n\n## Options\n\nno\n\n## Paper and plugin, point by point\n\n| point | here |\n|---|---|\n| [loss](x.py) | <b>mine</b> |\n\n## Measured\n\nno\n"
    html = differences(readme)
    assert "<td>loss</td>" in html
    assert "&lt;b&gt;mine&lt;/b&gt;" in html
    assert "Options" not in html
    assert "Measured" not in html


def test_verdicts_of_a_comparison_go_by_the_distance_to_the_target() -> None:
    levels = {"near": 0.05, "far": 0.6}  # FRDiv is 0.1 + level, its target 0.1
    records = [made_up(name, level, deterministic=True) for name, level in levels.items()]
    view = pairs_view(records, "react2024", COLUMNS)
    assert view is not None
    assert [column["id"] for column in view["columns"]] == ["FRCorr", "FRDist", "FRDiv"]
    assert view["columns"][2]["target"] == 0.1
    i = view["methods"].index("near")
    assert view["verdicts"]["0-1"] == [1 if i == 0 else -1] * 3


def test_the_page_and_the_command_compare_with_the_same_numbers() -> None:
    """The page drew 2,000 times and on every method's own clips, the command 50,000 times and on the clips that both define."""

    def gaps(record: Record, first: int, column: str) -> Record:
        per_clip = list(record.suites["react2024"].per_clip[column])
        per_clip[first : first + 7] = [None] * 7
        of = record.suites["react2024"]
        scores = of.model_copy(update={"per_clip": {**of.per_clip, column: per_clip}})
        return record.model_copy(update={"suites": {**record.suites, "react2024": scores}})

    records = [
        *(made_up("several", 0.3, seed=seed) for seed in range(3)),
        *(gaps(made_up("close", 0.31, seed=seed), 0, "FRCorr") for seed in range(3)),
        gaps(made_up("fixed", 0.305, deterministic=True), 3, "FRCorr"),
        made_up("once", 0.3),
    ]
    view = pairs_view(records, "react2024", COLUMNS)
    assert view is not None

    def short(*values: float | None) -> list[float | None]:
        return [None if value is None else float(f"{value:.7g}") for value in values]

    for key, rows in view["pairs"].items():
        i, j = map(int, key.split("-"))
        a, b = view["methods"][i], view["methods"][j]
        outcome = compare(records, a, b, "react2024", COLUMNS)
        assert [c["id"] for c in view["columns"]] == [each.column for each in outcome.differences]
        for c, (row, each) in enumerate(zip(rows, outcome.differences, strict=True)):
            assert row[:3] == short(each.difference, each.low, each.high), (a, b, each.column)
            assert (row[3:] or [view["points"][i][c], view["points"][j][c]]) == short(each.a, each.b)
            reading = {1: "a is better", -1: "b is better", 0: "undecided", None: ONE_SEED}[view["verdicts"][key][c]]
            assert each.reading == reading and (reading == ONE_SEED) == ("once" in (a, b))
        for column, clips in zip(view["columns"], view["most"][key], strict=True):
            assert [(view["clips"][n], x) for n, x in clips] == [
                (clip, float(f"{x:.3g}")) for clip, x in outcome.extremes[column["id"]][: len(clips)]
            ]


def test_one_of_a_thing_is_no_plural(tmp_path: Path) -> None:
    """The index said "1 benchmarks"; of scripts only the sources are read here."""
    records = []
    for record in (made_up("good", 0.1), made_up("mismatched-listener", 0.7, calibration=True)):
        values = {column: v[:1] for column, v in record.suites["react2024"].per_clip.items()}
        scores = {column: Score(value=v[0]) for column, v in values.items()}
        suites = {"react2024": record.suites["react2024"].model_copy(update={"scores": scores, "per_clip": values})}
        setting = record.benchmark_config.model_copy(update={"samples": 1})
        change = {"clips": CLIPS[:1], "sessions": ["s0"], "benchmark_config": setting, "suites": suites}
        records.append(record.model_copy(update=change))
    for record in records:
        save_record(record, record_path(tmp_path / "leaderboards", record))
    build(tmp_path, tmp_path / "site")
    write_leaderboards(tmp_path, SUITES)
    pages = [*(tmp_path / "site").glob("*.html"), *(tmp_path / "leaderboards").glob("*.md")]
    for page in pages:
        assert not (of := re.findall(r"(?<![\d.])1 (?:clip|session|sample|draw|method|row|seed|benchmark)s\b", page.read_text())), (page.name, of)  # fmt: skip
    text = (tmp_path / "site" / "index.html").read_text()
    assert "1 method, " in text and "1 clip of 1 session" in text
    assert "1 sample per clip" in (tmp_path / "leaderboards" / "toy-online.md").read_text()


def test_nobody_is_told_better_by_what_nobody_can_judge() -> None:
    """How much samples differ is no merit: boards had an arrow, `compare` and the page said who is better."""
    columns = (COLUMNS[0], Column("FRDist", "min", ranked=False, summary="a thing that is only shown"))
    records = [
        made_up(name, level, deterministic=True).model_copy(deep=True) for name, level in (("a", 0.1), ("b", 0.5))
    ]
    for each in records:
        per = each.suites["react2024"]
        keep = {c.id for c in columns}
        each.suites["react2024"] = per.model_copy(  # type: ignore[index]
            update={
                "versions": {k: v for k, v in per.versions.items() if k in keep},
                "scores": {k: v for k, v in per.scores.items() if k in keep},
                "per_clip": {k: v for k, v in per.per_clip.items() if k in keep},
            }
        )
    assert [d.reading for d in compare(records, "a", "b", "react2024", columns).differences] == [
        "a is better",
        NOT_JUDGED,
    ]
    view = pairs_view(records, "react2024", columns)
    assert view is not None
    assert view["verdicts"]["0-1"] == [1, None]
    assert [column["judged"] for column in view["columns"]] == [True, False]
    heads = [head_text(column) for column in make_table(records, "react2024", columns).columns]
    assert heads == ["FRCorr ↑", "FRDist"]


def test_a_random_method_with_one_seed_is_named_where_two_are_compared() -> None:
    records = [
        made_up("once", 0.05),
        *(made_up("twice", 0.3, seed=seed) for seed in range(2)),
        made_up("fixed", 0.4, deterministic=True),
    ]
    view = pairs_view(records, "react2024", COLUMNS)
    assert view is not None
    assert view["once"] == ["once"]
    outcome = compare(records, "once", "twice", "react2024", COLUMNS)
    assert {difference.reading for difference in outcome.differences} == {ONE_SEED}
    text = comparison_text(outcome)
    assert text.startswith("a: once, b: twice, on toy-online (SIMULATED): 24 clips")
    assert max(map(len, text.splitlines())) <= 100


def test_curves_and_the_speakers_worth_are_drawn_where_a_record_has_them(tmp_path: Path) -> None:
    curve = {
        "steps": [1, 2, 3],
        "loss": [3.0, 2.0, 1.5],
        "validation_steps": [1, 3],
        "validation": [2.5, 1.8],
        "metric": "mse",
    }
    measured = {"curves": {"predictor": curve}, "validation": {"predictor": {"mse": 1.8, "speaker_gain": 0.25}}, "fit_cpu_seconds": 12.5, "generate_cpu_seconds": 2.0}  # fmt: skip
    write_root(tmp_path, [made_up("keyed", 0.3, seed=seed, measured=measured) for seed in range(2)])
    build(tmp_path, tmp_path / "site")
    text = (tmp_path / "site" / page_name("method", "keyed")).read_text()
    assert "Training of the predictor" in text
    assert "Validation of the predictor" in text
    assert "face and sound +0.25" in text
    assert "the best value fell by 28 % over 2 runs: not flat" in text
    assert "<dt>processor seconds of training (predictor)</dt><dd>12.5</dd>" in text


def test_a_method_says_what_its_last_validations_found(tmp_path: Path) -> None:
    records = [
        made_up("keyed", 0.3, seed=seed, measured={
            "validation": {"predictor": {"recall": recall}, "warm-up": {"loss": 1.0}}, "tokenizer_validation": {"tokenizer": {"used": 0.5}},
        })
        for seed, recall in enumerate((0.471, 0.488))
    ]  # fmt: skip
    write_root(tmp_path, records)
    build(tmp_path, tmp_path / "site")
    text = (tmp_path / "site" / page_name("method", "keyed")).read_text()
    for name, values in (
        ("predictor: recall", "0.471, 0.488"), ("predictor: loss (warm-up)", "1, 1"), ("tokenizer: used", "0.5, 0.5"),
    ):  # fmt: skip
        assert f"<dt>validation of the {name}</dt><dd>{values}</dd>" in text


def test_pages_that_nothing_gives_are_removed_and_others_left(tmp_path: Path) -> None:
    records = usual_records()
    write_root(tmp_path, records)
    build(tmp_path, tmp_path / "site")
    (tmp_path / "site" / "mine.html").write_text("kept")
    gone = tmp_path / "leaderboards" / "records" / "toy-online" / "mime"
    (gone / "seed0.json").unlink()
    build(tmp_path, tmp_path / "site")
    assert not (tmp_path / "site" / "method-mime.html").exists()
    assert (tmp_path / "site" / "mine.html").read_text() == "kept"
    with pytest.raises(DyadbenchError, match="no records"):
        build(tmp_path / "nowhere", tmp_path / "site")


def test_published_numbers_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    real = {"dataset": {"name": "react2024", "digest": "e" * 64, "simulated": False, "split": "test", "config": {}}}
    config = {"dataset": "react2024", "suite": "react2024-official", "also": [], "track": "online", "split": "test", "samples": 10, "dataset_config": {}}  # fmt: skip
    record = made_up("dense-fsq", 0.2, benchmark="react2024-test", benchmark_config=config, **real).model_dump()
    record["suites"] = {"react2024-official": record["suites"]["react2024"]}
    from dyadbench.records.record import Record

    write_root(tmp_path, [Record.model_validate(record)])
    claims = tmp_path / "leaderboards" / "claims"
    claims.mkdir()
    (claims / "x.toml").write_text(
        'source = "A paper"\nbenchmark = "REACT2024"\ndataset = "x"\n'
        'rows = [{method = "Dense-FSQ", metric = "FRC", value = 0.31, split = "test", task = "t", note = "n1"}]\n'
        '[notes]\nn1 = "sum over ten <b>"\n'
    )
    build(tmp_path, tmp_path / "site", {"react2024-official": SUITES["react2024"]})
    page = (tmp_path / "site" / "react2024-test.html").read_text()
    assert "as published" in page
    assert "0.31" in page
    assert "sum over ten &lt;b&gt;" in page
    assert "Simulated data. These" not in page


def test_a_page_has_room_for_the_faces_of_the_first_methods() -> None:
    excerpt = MethodExcerpt(key="k", reactions={"c": ("x" * 400, "x" * 100)})
    excerpts = Excerpts(methods=dict.fromkeys(("other", "third", "second", "first"), excerpt))
    excerpts.limit(["first", "second", "third"], 1200)
    assert set(excerpts.methods) == {"first", "second"}
    assert set(excerpts.missing) == {"third", "other"}


def test_a_reason_without_a_rank_is_said_once_under_its_letter() -> None:
    rows = make_table([made_up(name, 0.3) for name in ("a", "b")], "react2024", SUITES["react2024"]).rows
    assert [row.reason == rows[0].reason for row in rows] == [True, True]
    assert footnotes(rows) == {rows[0].reason: "a"}
    many = [rows[0].model_copy(update={"reason": f"reason {n}"}) for n in range(28)]
    assert [*footnotes(many).values()][-3:] == ["z", "aa", "ab"]


def test_claims_are_gathered_by_paper_and_say_how_many_seeds_they_lack() -> None:
    from dyadbench.leaderboard.claims import Claim, Contrast
    from dyadbench.leaderboard.verdicts import judge

    part = Contrast(benchmark="toy-online", suite="react2024", column="FRDist", less="good", more="fair")
    sources = (
        "A paper (arXiv 1234.56789), Table 2: 1.0 against 2.0",
        "A paper (arXiv 1234.56789), ablation without text",
    )
    claims = [
        Claim(id=f"c{n}", says="Less.", source=source, matrix="m.toml", part=(part,))
        for n, source in enumerate(sources)
    ]
    papers = by_paper(judge(claims, [made_up("good", 0.1), made_up("fair", 0.3)]), (), {})
    assert [paper["paper"] for paper in papers] == ["A paper (arXiv 1234.56789)"]
    (line,) = papers[0]["claims"][0]["lines"]
    assert (line["verdict"], line["why"]) == ("undecided", "1 of 5 seeds")


def test_curves_of_folds_and_seeds_share_a_picture() -> None:
    curve = {"steps": [1, 2, 3], "loss": [3.0, 2.0, 1.5]}
    measured = {"curves": {f"fold {fold}, predictor": curve for fold in range(3)}}
    (figure,) = training_curves([made_up("m", 0.3, seed=seed, measured=measured) for seed in range(2)])
    assert figure["title"] == "Training of the predictor"
    assert [row[0] for row in figure["rows"]] == [f"seed {seed}, fold {fold}" for seed in range(2) for fold in range(3)]


def test_sizes_stay_small(site: Path) -> None:
    from dyadbench.report.site import LIMIT

    assert max(path.stat().st_size for path in site.glob("*.html")) < LIMIT


# --- pieces -------------------------------------------------------------------------------------------------


def test_faces_survive_packing_to_half_a_step() -> None:
    face = np.random.default_rng(0).uniform(-0.99, 0.99, (40, len(PARAMETERS))) * RANGE
    assert np.abs(unpack(pack(face)) - face).max() <= (RANGE / 127).max() / 2 + 1e-12
    with pytest.raises(ValueError, match="whole frames"):
        unpack(pack(face)[:-4])


class _Data:
    def __init__(self, space: object, *, simulated: bool, emotion: bool):
        self.space, self.simulated, self.has_emotion = space, simulated, emotion


def test_the_simulated_face_is_the_generators_own() -> None:
    from dyadbench.datasets.simdyad.coefficients import to_deca, to_faceverse
    from dyadbench.datasets.simdyad.faces import INDEX, LATENTS, Face

    rng = np.random.default_rng(1)
    latents = rng.uniform(0, 0.5, (60, len(LATENTS)))
    person = Face(latents, np.zeros(60, bool), np.zeros(60, bool), 0)
    for space, motion, offset in (
        (FACEVERSE_58, to_faceverse(rng, person), to_faceverse(rng, Face(latents * 0, *[np.zeros(60, bool)] * 2, 0)).mean(0)),
        (DECA_56, to_deca(rng, person), np.zeros(56)),
    ):  # fmt: skip
        face = face_map(_Data(space, simulated=True, emotion=True)).draw((motion - offset).astype(np.float32), None)
        for name in ("smile", "brow", "jaw", "blink"):
            assert np.abs(face[:, PARAMETERS.index(name)] - latents[:, INDEX[name]]).max() < 0.15, name


def test_coefficients_without_a_meaning_move_nothing() -> None:
    rng = np.random.default_rng(2)
    motion = rng.standard_normal((10, 56)).astype(np.float32)
    motion[:, 50:] = 0
    faces: FaceMap = face_map(_Data(DECA_56, simulated=False, emotion=False))
    assert not faces.draw(motion, None).any()
    assert "move nothing" in faces.note
    motion[:, 53] = 0.1
    assert np.flatnonzero(faces.draw(motion, None).any(0)).tolist() == [PARAMETERS.index("jaw")]
    felt = np.zeros((10, 25), np.float32)
    felt[:, EMOTION_CHANNELS.index("AU12")] = 1
    face = face_map(_Data(FACEVERSE_58, simulated=False, emotion=True)).draw(None, felt)
    assert np.flatnonzero(face.any(0)).tolist() == [PARAMETERS.index("smile")]


def test_a_file_that_is_no_excerpt_is_named(tmp_path: Path) -> None:
    assert read_excerpt(tmp_path / "none.json", MethodExcerpt) is None
    (tmp_path / "bad.json").write_text('{"key": 3}')
    with pytest.raises(DyadbenchError, match=r"bad\.json is not an excerpt"):
        read_excerpt(tmp_path / "bad.json", MethodExcerpt)


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 1) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert all(-3.3 <= t <= 7.1 for t in ticks(-3.3, 7.1))
    assert ticks(2, 2) == [2]


def test_pictures_escape_what_they_are_given() -> None:
    picture = scatter([Point("<b>", 1, 2), Point("c", 2, 3)], "<i>", "x & y", "z")
    assert "<b>" not in picture
    assert "<i>" not in picture
    assert "x &amp; y" in picture


def test_the_report_overwrites_no_page_of_the_users(tmp_path: Path) -> None:
    write_root(tmp_path, usual_records()[:2])
    out = tmp_path / "homepage"
    out.mkdir()
    (out / "index.html").write_text("mine")
    with pytest.raises(
        DyadbenchError, match=r"index\.html is not on the list of what this command wrote \(pages\.json\)"
    ):
        build(tmp_path, out)
    assert [path.name for path in out.iterdir()] == ["index.html"] and (out / "index.html").read_text() == "mine"


@pytest.mark.parametrize("case", ["other data", "a clip less", "another column", "all old"])
def test_pages_say_nothing_of_a_record_that_the_table_leaves_out(tmp_path: Path, case: str) -> None:
    """A seed on other data was in the clips, the costs and the errors of a page whose table had left it out."""
    records = usual_records()
    odd = [
        n
        for n, r in enumerate(records)
        if r.benchmark == "toy-offline" and (case == "all old" or (r.method, r.seed) == ("good", 1))
    ]
    for n in odd:
        data = records[n].model_dump()
        data["measured"]["generate_cpu_seconds"] = 987654321.0
        main = data["suites"][data["benchmark_config"]["suite"]]
        if case == "other data":
            data["dataset"]["digest"] = "e" * 64
        elif case == "a clip less":
            for name in ("clips", "sessions"):
                data[name] = data[name][:-1]
            for suite in data["suites"].values():
                for name, values in suite["per_clip"].items():
                    suite["per_clip"][name] = values[:-1]
                    suite["scores"][name]["value"] = float(np.mean(values[:-1]))
        else:
            main["versions"] = {name: version + 7 for name, version in main["versions"].items()}
            if case == "another column":
                gone = next(iter(main["scores"]))
                for part in ("scores", "per_clip", "versions"):
                    main[part].pop(gone, None)
        records[n] = Record.model_validate(data)
    write_root(tmp_path, records)
    build(tmp_path, tmp_path / "site")
    pages = {path.name: path.read_text() for path in (tmp_path / "site").glob("*.html")}
    assert not any("987654321" in text or "987,654,321" in text or "9.9e+08" in text for text in pages.values())
    assert "left out" in pages["toy-offline.html"]
