"""What a number was made with: this project's commit, the packages, the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dyadbench.records.record import Provenance

PACKAGES = (
    "dyadbench",
    "torch",
    "numpy",
    "scipy",
    "numba",
    "safetensors",
    "lightning-fabric",
    "vector-quantize-pytorch",
)

INSTRUCTIONS = ("avx512f", "avx2", "sse4_2", "asimd")  # the widest first; what linear algebra is compiled for
# Settings of linear algebra that choose other kernels than the processor would.
KERNEL_SETTINGS = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)


@cache
def project_commit() -> str | None:
    """The commit this package runs from, with `+` where tracked files differ; None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        if not _git(here, "ls-files", "--", Path(__file__).name):
            return None  # installed below some other project's checkout
        dirty = _git(here, "status", "--porcelain", "--untracked-files=no", "--", str(here.parents[2]))
        return _git(here, "rev-parse", "HEAD") + ("+" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def packages(extra: tuple[str, ...] = ()) -> dict[str, str]:
    versions = {}
    for name in (*PACKAGES, *extra):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


@cache
def hardware(device: str = "cpu") -> dict[str, Any]:
    facts: dict[str, Any] = {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count()}
    try:
        cpuinfo = dict(re.findall(r"^([^\t:]+?)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
        facts["cpu"] = cpuinfo.get("model name", "")
        # Kernels are chosen by these, and sum in another order: trained methods then differ in the last digits.
        flags = str(cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()
        facts["instructions"] = next((name for name in INSTRUCTIONS if name in flags), "")
    except OSError:
        pass  # not Linux: the machine and system above must do
    chosen = {name: os.environ[name] for name in KERNEL_SETTINGS if name in os.environ}
    if libraries := os.environ.get("LD_PRELOAD", "").replace(":", " ").split():
        # A library loaded first can choose kernels, too (docs/matrices.md). Its folder is this machine's own affair.
        chosen["LD_PRELOAD"] = " ".join(Path(library).name for library in libraries)
    if chosen:
        facts["kernel_settings"] = chosen
    if device.startswith("cuda"):
        import torch

        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def snapshot(device: str, threads: int, distribution: str | None = None) -> Provenance:
    """The provenance of one record."""
    return {
        "git": project_commit(),
        "python": platform.python_version(),
        "packages": packages((distribution,) if distribution else ()),
        "hardware": hardware(device),
        "threads": threads,
    }


def newest_commit(folder: Path) -> tuple[str, str]:
    """Commit and day, as 2026-01-31, in which a file below `folder` was added or changed last.

    A record holds the commit that it was made with and no time, so that only the history tells which one is the newest.
    ("", "") where it does not: outside a checkout, in one without its whole history, and where a file is not committed.
    """
    try:
        shallow = _git(folder, "rev-parse", "--is-shallow-repository") != "false"
        if shallow or _git(folder, "status", "--porcelain", "--", "."):
            return "", ""
        commit, _, day = _git(folder, "log", "-1", "--diff-filter=AM", "--format=%H %cs", "--", ".").partition(" ")
        return commit, day
    except (OSError, subprocess.CalledProcessError):
        return "", ""


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()
