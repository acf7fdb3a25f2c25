"""Fixtures: the slow plugin with a finished corpus, an empty store beside it, and a real Slurm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from engine_bench import PLUGIN, Bench
from slurm_cluster import Cluster, missing


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin as an installed package, and the corpus generated once."""
    folder = tmp_path_factory.mktemp("engines")
    info = folder / "plugin" / "slow_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "plugin" / "slow_plugin.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dyadbench]\nslow = slow_plugin\n")
    return folder


@pytest.fixture(scope="session")
def inline(shelf: Path) -> Bench:
    """Three seeds, inline and uninterrupted: what every other way must give."""
    bench = Bench(shelf / "inline")
    bench.folder.mkdir()
    bench.run(bench.matrix(3))
    return bench


@pytest.fixture
def bench(shelf: Path, inline: Bench, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """An empty store beside a finished corpus."""
    bench = Bench(shelf / request.node.name)
    (bench.folder / "home").mkdir(parents=True)
    (bench.folder / "home" / "data").symlink_to(inline.folder / "home" / "data")
    yield bench
    for process in bench.started:
        if process.poll() is None:
            process.kill()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Slurm of one node."""
    pytest.importorskip("submitit", reason="submitit is not installed")
    if why := missing():
        pytest.skip(why)
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
    except RuntimeError as error:
        cluster.stop()
        pytest.skip(f"Slurm is installed but does not run here: {error}")
    yield cluster
    cluster.stop()
