"""What dyadbench itself brings: datasets, suites, benchmarks."""

from __future__ import annotations

from dyadbench.api import BenchmarkEntry, DatasetEntry, SuiteEntry
from dyadbench.hookspecs import hookimpl
from dyadbench.registry import benchmarks


@hookimpl
def dyadbench_datasets() -> list[DatasetEntry]:
    from dyadbench.datasets.config import (
        DualTalkConfig,
        L2LDatasetConfig,
        LMConfig,
        MarsConfig,
        OpenFaceConfig,
        ReactConfig,
        SeamlessConfig,
        VCDyadsConfig,
    )
    from dyadbench.datasets.simdyad.config import SimConfig

    return [
        DatasetEntry(
            "react2024", 3, "dyadbench.datasets.react:ReactDataset", ReactConfig, "REACT 2024: NoXI and RECOLA"
        ),
        DatasetEntry(
            "react2023", 3, "dyadbench.datasets.react:ReactDataset", ReactConfig, "REACT 2023: NoXI, UDIVA and RECOLA"
        ),
        DatasetEntry(
            "mars",
            1,
            "dyadbench.datasets.mars:MarsDataset",
            MarsConfig,
            "MARS: REACT 2025 and 2026, clips of any length",
        ),
        DatasetEntry(
            "seamless",
            1,
            "dyadbench.datasets.seamless:SeamlessDataset",
            SeamlessConfig,
            "Seamless Interaction, both people",
            cite="Agrawal et al., Seamless Interaction, 2025",
        ),
        DatasetEntry(
            "l2l", 1, "dyadbench.datasets.l2l:L2LDataset", L2LDatasetConfig, "Learning2Listen: six people, DECA, mel"
        ),
        DatasetEntry(
            "lm-listener",
            1,
            "dyadbench.datasets.lm_listener:LMListenerDataset",
            LMConfig,
            "LM-Listener: EMOCA and words",
        ),
        DatasetEntry(
            "vc-dyads",
            1,
            "dyadbench.datasets.vc_dyads:VCDyadsDataset",
            VCDyadsConfig,
            "twenty dyads in videoconferences, MIT licensed",
            cite="Diao, Arboleda and Raake, ICMI 2024",
        ),
        DatasetEntry(
            "openface",
            2,
            "dyadbench.datasets.openface:OpenFaceDataset",
            OpenFaceConfig,
            "any lab's dyads as OpenFace csv",
        ),
        DatasetEntry(
            "dualtalk",
            2,
            "dyadbench.datasets.dualtalk:DualTalkDataset",
            DualTalkConfig,
            "DualTalk: FLAME and voices of both sides",
            cite="Peng et al., CVPR 2025",
        ),
        DatasetEntry(
            "simdyad", 3, "dyadbench.datasets.simdyad:open_simdyad", SimConfig, "simulated dyads, made on first use"
        ),
    ]


@hookimpl
def dyadbench_suites() -> list[SuiteEntry]:
    from dyadbench.metrics.config import DualTalkSuiteConfig, DyadSuiteConfig, L2LSuiteConfig

    react = "dyadbench.metrics.react.suites"
    return [
        SuiteEntry(
            "react2024-official",
            1,
            f"{react}:ReactOfficialSuite",
            summary="the challenge's numbers, convention for convention",
        ),
        *(
            SuiteEntry(
                f"react{year}{tail}",
                1,
                f"dyadbench.metrics.react.mars_suites:react{year}{where}",
                summary=f"the numbers of REACT {year}, {how}",
            )
            for year in (2025, 2026)
            for tail, where, how in (
                ("", "", "references aligned by interpolation: not the official scale"),
                ("-official-aligner", "_official", "references aligned by the challenge's own network"),
            )
        ),
        SuiteEntry("react2024", 1, f"{react}:ReactSuite", summary="the corrected REACT metrics, which are ranked"),
        SuiteEntry(
            "l2l",
            1,
            "dyadbench.metrics.l2l.suite:L2LSuite",
            L2LSuiteConfig,
            summary="Learning2Listen's metrics, expression and rotation",
        ),
        SuiteEntry(
            "dyad",
            1,
            "dyadbench.metrics.dyad:of_groups",
            DyadSuiteConfig,
            summary="the same for any motion space: dyad[GROUP,...] or dyad[GROUP,...;METRIC,...]",
        ),
        *(
            SuiteEntry(
                f"dyad-{space}",
                1,
                f"dyadbench.metrics.dyad:{factory}",
                summary=f"concordance and synchrony by group, {what}",
            )
            for space, factory, what in (
                ("vc-dyads", "vc_dyads", "smile, movement, gaze"),
                ("openface", "openface", "action units, blink, head, gaze"),
                ("flame", "flame", "expression, rotation, jaw"),
                ("faceverse", "faceverse", "expression, rotation, translation"),
                ("seamless", "seamless", "expression and rotation of Seamless Interaction"),
            )
        ),
        SuiteEntry(
            "dualtalk",
            2,
            "dyadbench.metrics.dualtalk:DualTalkSuite",
            DualTalkSuiteConfig,
            summary="DualTalk's metrics, as its script has them and corrected",
        ),
        *(
            SuiteEntry(
                f"realism-{space}",
                1,
                f"dyadbench.metrics.realism:{space}",
                summary=f"whether {space} moves as people's does: windows, velocities, jerk; not ranked",
            )
            for space in ("motion", "emotion")
        ),
        SuiteEntry(
            "over-time-emotion",
            1,
            "dyadbench.metrics.over_time:OverTimeSuite",
            summary="error of emotion as a clip goes on, and jitter; not ranked",
        ),
        SuiteEntry(
            "over-time-motion",
            1,
            "dyadbench.metrics.over_time:MotionOverTimeSuite",
            summary="error of motion as a clip goes on, and jitter; not ranked",
        ),
    ]


@hookimpl
def dyadbench_benchmarks() -> list[BenchmarkEntry]:
    return benchmarks.entries()
