"""Every setting of a method is named in its README: a reader must be able to tell which are the paper's and which are ours."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fixtures.hosts import shared_host

ROOT = Path(__file__).parents[2]
# Sizes and schedules that every network has: their names say what they are.
SELF_EVIDENT = {"batch", "dim", "dropout", "heads", "hidden", "layers", "lr", "steps", "validate_every", "warmup", "weight_decay"}  # fmt: skip


def _folder(load: str) -> Path:
    package = load.partition(":")[0].partition(".")[0]
    return next(path for room in ("plugins", "baselines") if (path := ROOT / room / package).is_dir())


def _named(readme: Path) -> set[str]:
    """Every word between backticks."""
    spans = re.findall(r"`([^`\n]+)`", readme.read_text(encoding="utf-8"))
    return {word for span in spans for word in re.findall(r"\w+", span)}


def test_every_setting_of_a_method_is_named_in_its_readme() -> None:
    host = shared_host()
    own = [
        entry
        for kind in ("tokenizer", "predictor")
        for entry in host.entries(kind)
        if entry.load.startswith("dyadbench_")
    ]
    assert {_folder(entry.load).name for entry in own} > {"dyadbench_sfms", "dyadbench_baselines"}
    missing = {
        entry.name: names
        for entry in own
        if (names := set(entry.config.model_fields) - SELF_EVIDENT - _named(_folder(entry.load) / "README.md"))
    }
    assert not missing, "name these in backticks and say what they are"
