"""What `dyadbench show BENCHMARK` says of the reactions that it scores: the array, its shape, its channels, their units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from dyadbench.api import (
    EMOTION_CHANNELS,
    EMOTION_GROUPS,
    EMOTION_VALUES,
    BenchmarkConfig,
    DyadbenchError,
    KnowsShape,
    MotionSpace,
)
from dyadbench.matrix.cells import PartSpec, resolve_part
from dyadbench.registry.host import Host

UNKNOWN = "as the dataset has them"
SHORTENED = 5  # so many channels that are numbered on are written as the first and the last


def about_reaction(host: Host, benchmark: str, config: BenchmarkConfig) -> dict[str, Any]:
    """The array that a benchmark scores. `channels`, `fps` and `groups` are missing where only the data know them.

    `frames` is None where clips are of different length. A group has its name, its channels from `start` up to `stop`
    and their names, and `unit`. `thresholds` says whether score turns action units to 0 and 1 where it is given --train.
    """
    array = host.build("suite", config.suite, {}).space
    facts: dict[str, Any] = {"benchmark": benchmark, "array": array, "samples": config.samples, "frames": None}
    shape = _shape(host, config)
    if shape is None:
        return facts
    space, frames = shape
    if array == "emotion":
        names, groups, units = EMOTION_CHANNELS, EMOTION_GROUPS, EMOTION_VALUES
    else:
        names, groups, units = space.channels, space.groups, space.units
    return facts | {
        "frames": frames, "channels": len(names), "fps": space.fps, "groups": _groups(names, groups, units),
        "thresholds": array == "emotion" and config.action_units == "binary" and not config.folds,
    }  # fmt: skip


def _shape(host: Host, config: BenchmarkConfig) -> tuple[MotionSpace, int | None] | None:
    """What the dataset says without its data; None where it does not."""
    try:
        entry = host.get("dataset", config.dataset)
        factory = host.load("dataset", entry)
        part = resolve_part(host, "dataset", PartSpec(name=config.dataset, config=config.dataset_config))
    except DyadbenchError:  # a benchmark may be of a dataset that is not installed
        return None
    if isinstance(factory, KnowsShape):
        return factory.shape_of(entry.config.model_validate(part.config))
    space = getattr(factory, "space", None)
    return (space, None) if isinstance(space, MotionSpace) else None


def _groups(
    names: Sequence[str], groups: Mapping[str, tuple[int, int]], units: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Every group, and what stands in none."""
    inside = {channel for start, stop in groups.values() for channel in range(start, stop)}
    rest = [channel for channel in range(len(names)) if channel not in inside]
    starts = [channel for channel in rest if channel - 1 not in rest]
    stops = [channel + 1 for channel in rest if channel + 1 not in rest]
    places = [*groups.items(), *(("in no group", place) for place in zip(starts, stops, strict=True))]
    return [
        {"name": name, "start": start, "stop": stop, "channels": list(names[start:stop]), "unit": units.get(name, UNKNOWN)}
        for name, (start, stop) in sorted(places, key=lambda place: place[1])
    ]  # fmt: skip


def reaction_lines(facts: Mapping[str, Any]) -> list[str]:
    """`about_reaction` as sentences, one a line."""
    example = f"dyadbench score --template FILE.npz -b {facts['benchmark']}"
    axes = f"{facts['array']}, (samples, frames, channels) per clip"
    if "groups" not in facts:
        return [f"{axes}; only the data say of how many channels, and {example} writes an example"]
    frames = facts["frames"] or "as the clip"
    lines = [f"{axes}: ({facts['samples']}, {frames}, {facts['channels']}) at {facts['fps']:g} frames per second"]
    for each in facts["groups"]:
        last = each["stop"] - 1
        place = f"channel {last}" if each["start"] == last else f"channels {each['start']} to {last}"
        lines.append(f"{place}, {each['name']}: {shortened(each['channels'])} ({each['unit']})")
    if facts["thresholds"]:
        lines.append(
            "action units between 0 and 1 are turned to 0 or 1 where score is given --train, else scored as they are"
        )
    return [*lines, f"clip ids and an example: {example}"]


def shortened(names: Sequence[str]) -> str:
    """Names with commas; five or more that are numbered on, as exp0, exp1, ..., become the first and the last."""
    runs: list[list[str]] = [[names[0]]]
    for one, two in pairwise(names):
        if _numbered(two) == (_numbered(one)[0], _numbered(one)[1] + 1):
            runs[-1].append(two)
        else:
            runs.append([two])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) >= SHORTENED else ", ".join(run) for run in runs)


def _numbered(name: str) -> tuple[str, int]:
    """What stands before the number at a name's end, and the number; below -1 where there is none."""
    match = re.fullmatch(r"(.*?)(\d+)", name)
    return (match[1], int(match[2])) if match else (name, -2)
