"""A small leaderboard of made-up records, with names that bite, and the site built from it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dyadbench.api import Column
from dyadbench.metrics.tokens import VERSIONS
from dyadbench.records.excerpts import PARAMETERS, ClipExcerpt, MethodExcerpt, People, Person, pack, write_excerpt
from dyadbench.records.record import Record, Score, SuiteScores, record_path, save_record
from dyadbench.report.site import Site, build_site

CHROMIUM = "/usr/bin/chromium"
HOSTILE = "<img src=x onerror=alert(1)>"
FORMULA = '=HYPERLINK("http://x","y")'
COLUMNS = (
    Column("FRCorr", "max", summary="correlation", family="appropriateness", headline=True, perfect=1.0),
    Column("FRDist", "min", summary="distance", family="appropriateness", headline=True, perfect=0.0),
    Column("FRDiv", "match", target="FRDiv_target", summary="diversity", family="diversity"),
    Column("FRDiv_target", "match", ranked=False, target="FRDiv_target", summary="of the real"),
)  # fmt: skip
SUITES = {"react2024": COLUMNS}
CLIPS = [f"clip{i}>them" for i in range(24)]
SESSIONS = [f"s{i // 4}" for i in range(24)]


def made_up(method: str, level: float, *, benchmark: str = "toy-online", seed: int = 0, **change: Any) -> Record:
    """A record whose quality falls with `level`, tokens included where it is trained."""
    rng = np.random.default_rng([int(level * 1000), seed])
    values = {
        "FRCorr": 1 - level + 0.05 * rng.standard_normal(24), "FRDist": level + 0.05 * rng.standard_normal(24),
        "FRDiv": 0.1 + level + 0.01 * rng.standard_normal(24), "FRDiv_target": np.full(24, 0.1),
    }  # fmt: skip
    suites = {"react2024": _scores(values)}
    measured: dict[str, Any] = {
        "lookahead": 0,
        "realtime_factor": 12.0,
        "parameters": 1234,
        "sees_truth": method == "oracle",
    }
    if change.get("trained", True) and not change.get("calibration"):
        tokens = dict.fromkeys(VERSIONS, 0.5) | {
            "motion-rmse": level,
            "bits-per-second": 100 / level,
            "position-bits-per-second": 0.0,
            "utilisation": 1 - level / 2,
            "perplexity": 20.0,
        }
        token_scores = _scores({name: np.full(24, value) + 0.001 * rng.random(24) for name, value in tokens.items()})
        use = token_scores.scores["utilisation"].model_copy(update={"detail": {"g0r0": 1 - level / 2}})
        suites["tokens"] = token_scores.model_copy(update={"scores": {**token_scores.scores, "utilisation": use}})
        grid = {"codes": 64, "groups": 1, "residual": 1, "frames_per_token": 1}
        measured |= {"validation": {"predictor": {"loss": 1.0}}, "tokens": grid}
    measured |= change.pop("measured", {})
    parts: dict[str, Any] = {
        "predictor": {"name": method, "version": 1, "config": {"layers": 2, "nested": {"a": [1, 2]}}}
    }
    if not change.get("calibration"):  # a reference has no tokenizer; one with a tokenizer is a reconstruction
        parts["tokenizer"] = {"name": method, "version": 1, "config": {}}
    fields: dict[str, Any] = {
        "key": f"{method}/{seed}".encode().hex().ljust(64, "0")[:64],
        "benchmark": benchmark, "benchmark_config": {"dataset": "simdyad", "suite": "react2024", "also": [], "track": "online", "split": "test", "samples": 3, "dataset_config": {}},
        "method": method, "preset": "small", "method_config": parts,
        "plugin": ("p", "1"), "entry_version": 1, "calibration": False, "trained": True, "seed": seed, "clips": CLIPS, "sessions": SESSIONS,
        "dataset": {"name": "simdyad", "digest": "d" * 64, "simulated": True, "split": "test", "config": {}}, "suites": suites,
        "measured": measured, "provenance": {},
    }  # fmt: skip
    return Record.model_validate(fields | change)


def _scores(values: dict[str, np.ndarray]) -> SuiteScores:
    return SuiteScores(
        versions=dict.fromkeys(values, 1), scores={name: Score(value=float(v.mean())) for name, v in values.items()},
        per_clip={name: v.tolist() for name, v in values.items()},
    )  # fmt: skip


def _face(seed: int, frames: int = 50) -> str:
    return pack(np.cumsum(0.1 * np.random.default_rng(seed).standard_normal((frames, len(PARAMETERS))), 0))


def write_root(root: Path, records: list[Record]) -> None:
    """Records, and excerpts of the first two methods."""
    for record in records:
        save_record(record, record_path(root / "leaderboards", record))
    folder = root / "leaderboards" / "excerpts" / "toy-online"
    clips = tuple(
        ClipExcerpt(
            id=CLIPS[n], start=0.0, frames=50, speaker=Person(label="speaker", face=_face(n)), voice=None,
            listeners=(Person(label="true listener (simulated)", face=_face(n + 10)),),
        )
        for n in (0, 12)
    )  # fmt: skip
    write_excerpt(folder / "people.json", People(digest="d" * 64, fps=25.0, note="Only a test.", clips=clips))
    for record in records:
        if record.method in ("good", "fair") and record.seed == 0 and record.benchmark == "toy-online":
            excerpt = MethodExcerpt(
                key=record.key, reactions={clip.id: (_face(20), _face(21)) for clip in clips},
            )  # fmt: skip
            write_excerpt(folder / f"{record.method}.json", excerpt)


def usual_records() -> list[Record]:
    return [
        *(made_up("good", 0.1, seed=s) for s in range(5)), *(made_up("fair", 0.3, seed=s) for s in range(5)), made_up("good-without", 0.2, of="good"),
        made_up("good-less", 0.25, of="good"), made_up("mismatched-listener", 0.7, calibration=True, trained=False, deterministic=True), made_up(HOSTILE, 0.4, trained=False), made_up(FORMULA, 0.45, trained=False),
        made_up("oracle", 0.01, calibration=True, trained=False), made_up("mime", 0.6, calibration=True, trained=False),
        *(made_up("good", 0.1, benchmark="toy-offline", seed=s) for s in range(2)),
        *(made_up("fair", 0.3, benchmark="toy-offline", seed=s) for s in range(2)),
    ]  # fmt: skip


def build(root: Path, out: Path, suites: dict[str, Any] | None = None) -> Site:
    return build_site(root, out, suites or SUITES, root / "home")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a site built from the usual records."""
    root = tmp_path_factory.mktemp("report")
    write_root(root, usual_records())
    build(root, root / "site")
    return root / "site"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, or a reason why not."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"there is no Chromium at {CHROMIUM} (apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e '.[test]')")
    with api.sync_playwright() as driver:
        instance = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield instance
        instance.close()
