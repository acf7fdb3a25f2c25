"""Faces of real people are drawn from the reader's own copy of a dataset, and lie nowhere but in the home folder."""

from __future__ import annotations

from pathlib import Path

from tests.fixtures.vc_dyads import write_vc_dyads
from typer.testing import CliRunner

from dyadbench.cell.runtime import Runtime
from dyadbench.cli import app
from dyadbench.engines.inline import run_cells
from dyadbench.matrix.cells import Matrix, MethodSpec, cells_of
from dyadbench.records.record import record_path, save_record
from dyadbench.registry.host import Host


def test_report_draws_real_people_where_their_data_are_and_fits_what_takes_seconds(tmp_path: Path) -> None:
    data = write_vc_dyads(tmp_path / "clone", ("s1", "s3", "s5", "s7", "s9", "s11"), frames=130)
    host, root = Host(), tmp_path / "root"
    methods = tuple(MethodSpec(name=name) for name in ("ridge", "mismatched-listener"))
    matrix = Matrix(benchmarks=("vc-dyads",), method=methods, datasets={"vc-dyads": {"frames": 60, "test": 1, "validation": 1}})  # fmt: skip
    runtime = Runtime(home=tmp_path / "made", data={"vc-dyads": data})
    for _, record in run_cells(cells_of(host, matrix), host, runtime):
        assert not isinstance(record, Exception), record
        save_record(record, record_path(root / "leaderboards", record))

    def page(*arguments: str) -> str:
        place = ["--root", str(root), "--home", str(tmp_path / "home"), "--out", str(tmp_path / "site")]
        outcome = CliRunner().invoke(app, ["report", *place, *arguments])
        assert outcome.exit_code == 0, outcome.output
        return next((tmp_path / "site").glob("vc-dyads*.html")).read_text()

    without = page()
    assert "<code>dyadbench report --data vc-dyads=PATH</code> draws them for you" in without
    assert "player-data" not in without
    text = page("--data", f"vc-dyads={data}")
    assert '"movement"' in text and "how much the body moves" in text
    assert "<option selected>ridge</option>" in text, "fitted for its face, from an empty store"
    assert "body movement" in text and "head speed" not in text, "only what was measured is counted"
    assert {path.name for path in (tmp_path / "home" / "excerpts").rglob("*.json")} == {
        "people.json",
        "ridge.json",
    }
    assert not (root / "leaderboards" / "excerpts").exists(), "faces of real people are not put beside the records"
