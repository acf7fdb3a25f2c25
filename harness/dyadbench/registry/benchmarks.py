"""The benchmarks that come with dyadbench: dataset x split x track x samples x suite, one constant each."""

from __future__ import annotations

from typing import Any

from dyadbench.api import BenchmarkConfig, BenchmarkEntry, TrackName
from dyadbench.datasets.simdyad.config import MEANING

REACT: dict[str, Any] = {
    "suite": "react2024",
    "also": ("react2024-official", "over-time-emotion", "realism-emotion"),
    "samples": 10,
}
L2L: dict[str, Any] = {"suite": "l2l", "also": ("over-time-motion", "realism-motion"), "samples": 10}
DYAD: dict[str, Any] = {"also": ("over-time-motion", "realism-motion"), "samples": 5}
TRACKS: tuple[tuple[TrackName, str], ...] = (("online", ""), ("offline", "-offline"))
LOOKAHEAD = {"online": "no look-ahead", "offline": "the whole speaker clip is known"}
L2L_PEOPLE = ("conan", "devi2", "fallon", "kimmel", "stephen", "trevor")
LM_PEOPLE = ("trevor", "stephen", "conan")


def _react(dataset: str, split: str, track: TrackName, **config: Any) -> BenchmarkConfig:
    return BenchmarkConfig(dataset=dataset, dataset_config=config, split=split, track=track, **REACT)


def _l2l(dataset: str, **config: Any) -> BenchmarkConfig:
    return BenchmarkConfig(dataset=dataset, dataset_config=config, track="offline", **L2L)


ALL: dict[str, tuple[BenchmarkConfig, str]] = {
    **{
        f"simdyad-{preset}-react-{track}": (
            _react("simdyad", "test", track, preset=preset, layout="react2024"),
            f"{meaning}; {LOOKAHEAD[track]}",
        )
        for preset, meaning in MEANING.items()
        for track, _ in TRACKS
    },
    "simdyad-clear-l2l": (
        _l2l("simdyad", preset="clear", layout="l2l"),
        f"{MEANING['clear']}; one side only listens, with the layout and metrics of Learning2Listen",
    ),
    **{
        f"react2024-{split}{tail}": (_react("react2024", split, track), f"REACT 2024 {split} split, {track} track")
        for split in ("val", "test")
        for track, tail in TRACKS
    },
    "react2023-val": (_react("react2023", "val", "online"), "REACT 2023 validation split, online track"),
    **{
        f"react{year}-{split}{tail}{aligned}": (
            BenchmarkConfig(
                dataset="mars",
                split=split,
                track=track,
                samples=10,
                suite="react2024",
                also=(f"react{year}{aligned}", "over-time-emotion"),
            ),
            f"REACT {year} (MARS) {split} split, {track} track; {numbers} beside the corrected ones",
        )
        for aligned, numbers in (
            ("", "its own numbers"),
            ("-official-aligner", "its numbers on the official scale (aligner=FILE)"),
        )
        for year in (2025, 2026)
        for split in ("val", "test")
        for track, tail in TRACKS
    },
    **{
        f"l2l-{person}": (_l2l("l2l", person=person), f"Learning2Listen, {person}, test windows")
        for person in L2L_PEOPLE
    },
    **{
        f"lm-listener-{person}": (_l2l("lm-listener", person=person), f"LM-Listener, {person}, test segments")
        for person in LM_PEOPLE
    },
    "vc-dyads": (
        BenchmarkConfig(dataset="vc-dyads", suite="dyad-vc-dyads", folds=5, **DYAD),
        "real videoconferences, cross-validated: five folds of four dyads",
    ),
    "vc-dyads-last-six": (
        BenchmarkConfig(dataset="vc-dyads", dataset_config={"validation": 0}, suite="dyad-vc-dyads", **DYAD),
        "real videoconferences, the last six dyads after the other fourteen; for what needs no validation",
    ),
    "openface": (
        BenchmarkConfig(dataset="openface", suite="dyad-openface", folds=5, **DYAD),
        "your own OpenFace dyads, cross-validated: five folds of sessions",
    ),
    "openface-test": (
        BenchmarkConfig(dataset="openface", suite="dyad-openface", **DYAD),
        "your own OpenFace dyads, train, val and test as dyads.csv has them",
    ),
    "seamless-dev": (
        BenchmarkConfig(
            dataset="seamless", split="val", track="offline", suite="dyad-seamless", two_sided=True, **DYAD
        ),
        "Seamless Interaction, the dev split, both people",
    ),
    "seamless-test": (
        BenchmarkConfig(dataset="seamless", track="offline", suite="dyad-seamless", two_sided=True, **DYAD),
        "Seamless Interaction, the test split, both people",
    ),
    **{
        f"dualtalk-{split}": (
            BenchmarkConfig(
                dataset="dualtalk",
                split=split,
                track="offline",
                suite="dualtalk",
                also=("dyad-flame", "over-time-motion"),
                samples=5,
                two_sided=True,
            ),
            f"DualTalk, {'the test' if split == 'test' else 'the out-of-distribution'} split, both people",
        )
        for split in ("test", "ood")
    },
}


def entries() -> list[BenchmarkEntry]:
    return [BenchmarkEntry(name, 1, config, summary) for name, (config, summary) in ALL.items()]
