"""What dyadbench itself brings: datasets, suites, benchmarks."""

from __future__ import annotations

from dyadbench.api import Entry
from dyadbench.hookspecs import hookimpl
from dyadbench.registry import benchmarks


@hookimpl
def dyadbench_datasets() -> list[Entry]:
    from dyadbench.datasets.config import L2LDatasetConfig, LMConfig, ReactConfig
    from dyadbench.datasets.simdyad.config import SimConfig

    return [
        Entry("react2024", 1, "dyadbench.datasets.react:ReactDataset", ReactConfig, "REACT 2024: NoXI and RECOLA"),
        Entry(
            "react2023", 1, "dyadbench.datasets.react:ReactDataset", ReactConfig, "REACT 2023: NoXI, UDIVA and RECOLA"
        ),
        Entry(
            "l2l", 1, "dyadbench.datasets.l2l:L2LDataset", L2LDatasetConfig, "Learning2Listen: six people, DECA, mel"
        ),
        Entry(
            "lm-listener",
            1,
            "dyadbench.datasets.lm_listener:LMListenerDataset",
            LMConfig,
            "LM-Listener: EMOCA and words",
        ),
        Entry("simdyad", 1, "dyadbench.datasets.simdyad:open_simdyad", SimConfig, "simulated dyads, made on first use"),
    ]


@hookimpl
def dyadbench_suites() -> list[Entry]:
    from dyadbench.metrics.config import L2LSuiteConfig

    react = "dyadbench.metrics.react.suites"
    return [
        Entry(
            "react2024-official",
            1,
            f"{react}:ReactOfficialSuite",
            summary="the challenge's numbers, convention for convention",
        ),
        Entry("react2024", 1, f"{react}:ReactSuite", summary="the corrected REACT metrics, which are ranked"),
        Entry(
            "l2l",
            1,
            "dyadbench.metrics.l2l.suite:L2LSuite",
            L2LSuiteConfig,
            summary="Learning2Listen's metrics, expression and rotation",
        ),
        Entry(
            "over-time-emotion",
            1,
            "dyadbench.metrics.over_time:OverTimeSuite",
            summary="error of emotion as a clip goes on, and jitter; not ranked",
        ),
        Entry(
            "over-time-motion",
            1,
            "dyadbench.metrics.over_time:MotionOverTimeSuite",
            summary="error of motion as a clip goes on, and jitter; not ranked",
        ),
    ]


@hookimpl
def dyadbench_benchmarks() -> list[Entry]:
    return benchmarks.entries()
