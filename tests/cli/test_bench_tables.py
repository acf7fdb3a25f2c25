"""The load of generated records: real tables come of it, and what costs are reported is measured."""

from __future__ import annotations

from pathlib import Path

from dyadbench.bench.tables import Load, table_costs
from dyadbench.registry.host import Host


def test_costs_of_a_small_load(tmp_path: Path) -> None:
    host = Host()
    columns = {name: host.build("suite", name, {}).columns for name in ("react2024", "react2024-official")}
    load = Load(methods=3, seeds=2, benchmarks=2, clips=24)
    costs = {cost.step: cost for cost in table_costs(load, columns, tmp_path)}
    assert list(costs) == ["write the records", "leaderboard", "compare"]
    assert len(list((tmp_path / "leaderboards" / "records").rglob("*.json"))) == load.records == 12
    assert costs["leaderboard"].detail == "4 tables"
    page = (tmp_path / "leaderboards" / "made-up-1.md").read_text()
    assert all(f"method-{number}" in page for number in range(3))
    assert all(cost.seconds > 0 for cost in costs.values())
