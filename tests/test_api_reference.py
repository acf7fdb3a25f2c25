"""The API reference builds, is about what a plugin author imports, and its examples run."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
MODULES = re.findall(r"dyadbench[.\w]+", re.search(r"^API := (.*?)\n\n", MAKEFILE, re.DOTALL | re.MULTILINE)[1])  # type: ignore[index]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_reference_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_some_module_of_the_reference_has_an_example() -> None:
    finder = doctest.DocTestFinder()
    assert any(test.examples for name in MODULES for test in finder.find(importlib.import_module(name)))


@pytest.mark.slow
def test_the_reference_builds_and_is_small_enough_to_read(tmp_path: Path) -> None:
    pytest.importorskip("pdoc")
    command = [
        sys.executable,
        "docs/pdoc/build.py",
        "-t",
        "docs/pdoc",
        "-o",
        str(tmp_path),
        *MODULES,
        "!dyadbench.records.",
    ]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "does not resolve" not in process.stderr
    pages = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*.html")}
    assert len(pages) == len(MODULES) + 1  # and the index
    contract = pages["dyadbench/api.html"]
    for name in ("PredictorEntry", "Needs", "Context", "Stage", "Column", "Array", "State"):
        assert f'id="{name}"' in contract, name
    for inherited in ("model_dump", "model_validate", "model_config"):  # pydantic's, which has pages of its own
        assert inherited not in re.sub(
            r"<details.*?</details>|<div class=\"pdoc-code.*?</div>", "", contract, flags=re.DOTALL
        )
