"""What the terminal shows: rich where there is one, the same words in plain text where output is piped."""

from __future__ import annotations

import io
import sys

import pytest
from tests.fixtures.records import COLUMNS, floor, record

from dyadbench.api import Column
from dyadbench.cli.screen import show_cell, show_table
from dyadbench.leaderboard.rows import Row, Value
from dyadbench.leaderboard.tables import Table, make_table, table_column
from dyadbench.leaderboard.terminal import rich_tables

NAMES = ("first [bold]", "second\x1b[31m", "oracle")


def table(columns: int = 2) -> Table:
    ids = [f"metric{i}" for i in range(columns)]

    def row(n: int, name: str) -> Row:
        cells = {c: Value(value=n + 0.5, low=n + 0.25, high=n + 0.75, best=n == 0) for c in ids}
        return Row(method=name, calibration=n == 2, rank=None if n == 2 else n + 1, rank_low=1, rank_high=2, cells=cells, seeds=(0,))  # fmt: skip

    return Table(
        benchmark="toy", suite="s", main=True, simulated=True, dataset="d", setting={}, clips=4, sessions=2,
        columns=tuple(table_column(Column(c, "min", digits=2), {}) for c in ids),
        rows=tuple(row(n, name) for n, name in enumerate(NAMES)),
    )  # fmt: skip


def _text_at(width: int, columns: int = 2) -> str:
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system="standard", highlight=False)
    for part in rich_tables(table(columns), width):
        console.print(part)
    return out.getvalue()


def test_bold_is_best_and_dim_is_interval() -> None:
    text = _text_at(120)
    assert "\x1b[1m0.50\x1b[0m" in text
    assert "\x1b[1m1.50" not in text
    assert "\x1b[2m [0.25, 0.75]\x1b[0m" in text
    assert "first [bold]" in text, "a name is never markup"
    assert "second [31m" in text, "nor does it reach the terminal's controls"


@pytest.mark.parametrize("width", [70, 100, 300])
def test_every_number_is_whole_at_any_width(width: int) -> None:
    text = _text_at(width, columns=9)
    assert "…" not in text
    assert text.count("0.50") == 9
    assert text.count("SIMULATED") == (1 if width == 300 else text.count("toy"))


def test_piped_output_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(table())
    show_cell("[1/2]", "toy / first / seed 0", {"a": 0.12345, "b": None, "c": 2.0}, 7.2)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "0.50 [0.25, 0.75]" in text
    assert "[1/2] toy / first / seed 0: a 0.1235  c 2.0000 (7 s)" in text


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show_table(table())
    show_cell("[1/2]", "toy", {"a": 1.0}, 3)
    assert "\x1b[2m" in out.getvalue()
    assert "a 1.0000" in out.getvalue()


def test_what_is_left_out_is_said_below_and_eight_columns_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    wide = table(9)
    unranked = wide.rows[1].model_copy(update={"rank": None, "reason": "it looks ahead"})
    changed = wide.model_copy(
        update={"rows": (wide.rows[0], unranked), "left_out": ("third, seed 0 is of other data",)}
    )
    show_table(changed, values=False)
    text = capsys.readouterr().out
    assert "left out: third, seed 0 is of other data" in text
    assert "not ranked: second [31m: it looks ahead" in text
    assert "metric5" in text and "metric6" not in text, "rank, method and six more"
    show_table(changed)
    assert "metric8" in capsys.readouterr().out
    assert "left_out" not in changed.model_dump(), "the committed tables stay as they were"


def test_a_table_without_a_floor_says_why_nothing_is_ranked(capsys: pytest.CaptureFixture[str]) -> None:
    plain = table()
    show_table(plain)
    assert "nothing is ranked" not in capsys.readouterr().out
    show_table(
        plain.model_copy(update={"columns": tuple(c.model_copy(update={"headline": True}) for c in plain.columns)})
    )
    assert "nothing is ranked: a rank needs a record of mismatched-listener" in capsys.readouterr().out


def test_the_first_methods_and_the_references_are_shown_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    references = [row.model_copy(update={"kind": "reference"}) if row.rank is None else row for row in table().rows]
    show_table(table().model_copy(update={"rows": tuple(references)}), 1)
    text = capsys.readouterr().out
    assert "first" in text and "oracle" in text and "second" not in text


def test_top_keeps_methods_without_a_rank_that_have_as_much_skill_and_joins_equal_reasons(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [record(name, level, seed=seed) for name, level in (("a", 0.1), ("b", 0.4)) for seed in range(3)]
    once = [
        record("bold", 0.05, deterministic=False),
        record("shy", 0.3, deterministic=False),
        record("mild", 0.2, deterministic=False),
    ]
    board = make_table([*runs, *once, floor()], "react2024", COLUMNS)
    show_table(board, top=1, values=False)
    text = capsys.readouterr().out
    rows = [line.split()[0] for line in text.splitlines() if line.startswith(" ") and line.strip()]
    assert "bold" in rows and "mild" not in rows, "more skill than the first, and less"
    assert "not ranked: bold, mild, shy: one seed of a method that is random; run more seeds" in text
