"""Every command that a page, a record's sentence or a document names is one that the program takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from dyadbench.cli import app

ROOT = Path(__file__).parents[2]
PLACES = [
    *ROOT.glob("harness/dyadbench/report/templates/*.html"),
    ROOT / "README.md",
    ROOT / "SUBMITTING.md",
    *ROOT.glob("docs/*.md"),
]
CODE = re.compile(r"```.*?```|`[^`\n]+`|<code>.*?</code>", re.DOTALL)
COMMAND = re.compile(r"(?:^|[`$>] ?)dyadbench ([a-z]+(?: [^`<\n#|]*)?)", re.MULTILINE)


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.name)
def test_the_verbs_and_options_of_named_commands_exist(path: Path) -> None:
    root = typer.main.get_command(app)
    text = re.sub(r"\{\{.*?\}\}", "X", path.read_text(encoding="utf-8"))
    for line in COMMAND.findall("\n".join(CODE.findall(text))):
        words, command = line.split(), root
        while hasattr(command, "commands") and words:
            name = words.pop(0)
            assert name in command.commands, f"{path.name}: dyadbench {line}"
            command = command.commands[name]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        named = {word.split("=")[0].rstrip(".,;:") for word in words if re.match(r"--?[a-z]", word)}
        assert named <= options | {"--help"}, f"{path.name}: dyadbench {line}"
