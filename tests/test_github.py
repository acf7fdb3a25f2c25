"""What GitHub shows of the project is true."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_citation_names_this_version_and_licence() -> None:
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cff["version"], cff["license"]) == (PROJECT["version"], PROJECT["license"])
    assert {"cff-version", "message", "title", "authors"} <= cff.keys()


def test_the_badges_say_what_pyproject_says() -> None:
    versions = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: 3\.", line)]
    assert f"[![Python {versions[0]} to {versions[-1]}]" in README
    assert f"[![{PROJECT['license']}]" in README


def test_the_readme_says_what_it_is_and_shows_real_people_before_how_to_run_it() -> None:
    picture, table, run = (README.index(text) for text in ("-skill.svg)", "<!-- headline:begin -->", "make demo"))
    assert README.index("dyadic facial reaction generation") < table < picture < run


def test_links_of_the_pages_lead_to_files() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "leaderboards").glob("*.md")):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_generated_table_has_more_than_eight_columns() -> None:
    for page in (ROOT / "README.md", *(ROOT / "leaderboards").glob("*.md")):
        widths = [
            line.count("|") - line.count("\\|") - 1 for line in page.read_text().splitlines() if line.startswith("|---")
        ]
        assert max(widths, default=0) <= 8, page.name


def test_the_workflow_publishes_what_the_command_builds() -> None:
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text())
    steps = flow["jobs"]["site"]["steps"]
    ran = "\n".join(step.get("run", "") for step in steps)
    assert re.findall(r"dyadbench ([a-z]+)", ran) == ["leaderboard", "report"]
    assert "gh release upload" in ran and any("deploy-pages" in step.get("uses", "") for step in steps)
    assert any(step.get("with", {}).get("path") == "leaderboards/site" for step in steps)


def test_no_checkout_changes_the_bytes_of_what_is_compared(tmp_path: Path) -> None:
    """With core.autocrlf a table is not the one that the records give."""
    files = {"leaderboards/a.md": b"| a |\n", "leaderboards/b.json": b"{}\n", "weights.safetensors": b"\r\n\n\0"}
    for name, content in {**files, ".gitattributes": (ROOT / ".gitattributes").read_bytes()}.items():
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_bytes(content)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "core.autocrlf=true"]
    for words in (
        ["init", "-q", "."],
        ["add", "-A"],
        ["commit", "-qm", "x"],
        ["clone", "-q", ".", str(tmp_path / "there")],
    ):
        subprocess.run([*git, *words], cwd=tmp_path / "own", check=True, capture_output=True)
    for name, content in files.items():
        assert (tmp_path / "there" / name).read_bytes() == content, name


def test_the_table_of_the_readme_is_short_and_says_who_leads() -> None:
    from tests.fixtures.records import COLUMNS, floor, record

    from dyadbench.leaderboard.markdown import FIRST, headline
    from dyadbench.leaderboard.tables import make_table

    runs = [record(f"m{n:02}", 0.1 + 0.02 * n) for n in range(FIRST + 5)]
    text = headline([make_table([*runs, floor(), record("mean", 0.7, calibration=True)], "react2024", COLUMNS)])
    ranks, families = (
        [line for line in part.splitlines() if line.startswith("| ")][1:]
        for part in text.split("Skill is the mean over")
    )
    assert len(ranks) == FIRST + 1, "the first methods and the floor"
    assert len(families) == FIRST, "the first methods"
    assert f"The first {FIRST} of {FIRST + 5} methods" in text
    assert "**m00 leads alone.**" in text or "cannot be told apart at the top" in text
