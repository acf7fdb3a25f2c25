"""docs/hooks.md says what hookspecs.py says: every hook, its arguments and what it returns."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from dyadbench import api, hookspecs

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()
ROWS = {cells[0].strip("`"): cells for line in PAGE.splitlines() if line.startswith("| `dyadbench_")
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]}  # fmt: skip


def test_every_hook_is_on_the_page_and_no_other() -> None:
    assert set(ROWS) == {name for name in vars(hookspecs) if name.startswith("dyadbench_")}


def test_the_page_gives_each_hook_its_arguments_and_its_entry_class() -> None:
    for name, (_, arguments, returns, *_rest) in ROWS.items():
        signature = inspect.signature(getattr(hookspecs, name))
        assert arguments == (", ".join(signature.parameters) or "none"), name
        assert re.findall(r"\w+Entry", str(signature.return_annotation)) == [returns.strip("`")], name


def test_what_a_load_must_give_is_in_the_api() -> None:
    for name, cells in ROWS.items():
        for kind in re.findall(r"`api\.(\w+)`", cells[4]):
            assert hasattr(api, kind), f"{name}: dyadbench.api has no {kind}"
