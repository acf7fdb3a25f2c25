"""CONTRIBUTING's Map is the tree and the order that import-linter checks; the files that it names exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "harness" / "dyadbench"
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
PLUGINS = {path.name for path in (ROOT / "plugins").glob("dyadbench_*")} | {"dyadbench_baselines"}


def _rooms() -> list[str]:
    """The first column of the Map, from top to bottom."""
    section = PAGE.split("## Map")[1].split("\n## ")[0]
    return [
        name for row in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]


def _contract(name: str) -> dict[str, object]:
    return next(contract for contract in CONTRACTS if contract["name"] == name)


def test_the_map_has_every_room_and_no_other() -> None:
    places = [path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert sorted([*_rooms(), "testing", "__init__", "__main__"]) == sorted(places)


def test_the_map_is_in_the_order_of_the_contract() -> None:
    layers = _contract("A room imports downward only")["layers"]
    assert isinstance(layers, list)
    rank = {room: place for place, layer in enumerate(layers) for room in layer.split(" | ")}
    ranks = [rank[room] for room in _rooms()]
    assert ranks == sorted(ranks)


def test_the_contracts_know_every_plugin() -> None:
    assert set(_contract("No plugin imports another")["modules"]) == PLUGINS  # type: ignore[call-overload]
    assert set(_contract("No circle of files")["ancestors"]) == PLUGINS | {"dyadbench"}  # type: ignore[call-overload]
    assert set(_contract("The harness knows no plugin")["forbidden_modules"]) == PLUGINS  # type: ignore[call-overload]


def test_files_that_contributing_names_exist() -> None:
    named = set(re.findall(r"`((?!leaderboards/)(?:[a-z_]+/)+[a-z_]+)(?:\.py)?`", PAGE))  # a run makes leaderboards
    missing = [
        name
        for name in sorted(named)
        if not any((base / f"{name}.py").exists() or (base / name).exists() for base in (ROOT, PACKAGE))
    ]
    assert len(named) > 10
    assert not missing
