"""The page of a method: its part in each benchmark, how it was trained, and where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import number
from dyadbench.records.comparable import per_clip
from dyadbench.records.excerpts import MethodExcerpt
from dyadbench.records.record import Record
from dyadbench.report import figures, pages, training

EXTREMES = 5  # clips at either end


def section(
    table: Table, view: dict[str, Any], row: dict[str, Any], records: Sequence[Record], excerpt: MethodExcerpt | None
) -> dict[str, Any]:
    """A method's part in one benchmark."""
    ranked = [c for c in table.columns if c.ranked]
    return {
        "benchmark": table.benchmark, "page": pages.page_name("", table.benchmark), "simulated": table.simulated,
        "row": row, "scores": list(zip(view["columns"], row["cells"], strict=True)), "targets": view["targets"], "config": pages.config_view(records[0]), "kind": row["kind"],
        "plugin": records[0].plugin, "entry_version": records[0].entry_version, "facts": measured(records),
        "curves": training.training_curves(records), "codebooks": figures.codebooks({records[0].method: records}),
        "watch": pages.watch_link(table.benchmark, [records[0].method]) if excerpt else "", "gain": speaker_gain(records),
        "extremes": extremes(table, records, excerpt), "groups": figures.group_errors(records),
        "spread": [f for c in ranked if (f := figures.distribution(records, table.suite, c)) is not None],
    }  # fmt: skip


def speaker_gain(records: Sequence[Record]) -> list[tuple[str, str]]:
    """By how much the validation loss grows with a stranger's face and sound, in its unit; mean over the seeds that say."""
    gains = [gain for record in records if (gain := record.measured.speaker_gain)]
    names = dict.fromkeys(name for gain in gains for name in gain)
    return [(name, f"{np.mean([gain[name] for gain in gains if name in gain]):+.2g}") for name in names]


def extremes(table: Table, records: Sequence[Record], excerpt: MethodExcerpt | None) -> dict[str, Any] | None:
    """The clips that it does worst and best on, by its first headline column; those with an excerpt can be watched."""
    column = next((c for c in table.columns if table.scales and c.id == table.scales[0].column), None)
    if column is None:
        return None
    values = np.stack([per_clip(record.suites[table.suite], [column.id])[:, 0] for record in records])  # (seeds, clips)
    finite = np.flatnonzero(np.isfinite(values).all(0))
    if len(finite) < 2 * EXTREMES:
        return None
    mean = values[:, finite].mean(0)
    order = finite[np.argsort(mean if column.direction == "max" else -mean, kind="stable")]  # the worst first

    def line(place: int) -> dict[str, Any]:
        clip = records[0].clips[place]
        excerpted = excerpt is not None and clip in excerpt.reactions
        link = pages.watch_link(table.benchmark, [records[0].method], clip) if excerpted else ""
        value = number(float(values[:, place].mean()), column.digits)
        return {"clip": clip, "session": records[0].sessions[place], "value": value, "watch": link}

    watched = [n for n in finite if excerpt is not None and records[0].clips[n] in excerpt.reactions]
    return {
        "column": column.id, "worst": [line(int(n)) for n in order[:EXTREMES]], "best": [line(int(n)) for n in order[::-1][:EXTREMES]],
        "watched": [line(int(n)) | {"place": int(np.flatnonzero(order == n)[0]) + 1, "of": len(finite)} for n in watched],
    }  # fmt: skip


def measured(records: Sequence[Record]) -> list[tuple[str, str]]:
    """What was measured of every seed, as text."""
    names = {
        "parameters": "parameters of the predictor", "tokenizer_parameters": "parameters of the tokenizer",
        "fit_seconds": "seconds of training (predictor)", "tokenizer_fit_seconds": "seconds of training (tokenizer)",
        "generate_seconds": "seconds of sampling", "fit_cpu_seconds": "processor seconds of training (predictor)",
        "tokenizer_fit_cpu_seconds": "processor seconds of training (tokenizer)", "generate_cpu_seconds": "processor seconds of sampling", "realtime_factor": "times real time, by the clock", "lookahead": "look-ahead measured (frames)",
        "declared_lookahead": "look-ahead declared (frames)",
    }  # fmt: skip
    rows = []
    measures = [record.measured.model_dump(mode="json") for record in records]
    for name, title in names.items():
        values = [each.get(name, "") for each in measures]
        if any(name in each for each in measures):
            text = ["whole clip" if v is None and "lookahead" in name else str(v) for v in values]
            rows.append((title, text[0] if len(set(text)) == 1 else ", ".join(text)))
    for part in ("predictor", "tokenizer"):
        facts = [record.measured for record in records]
        wholes = [each.validation if part == "predictor" else each.tokenizer_validation for each in facts]
        # A number alone is of before there were metrics by name.
        last = [{stage: each for stage, each in whole.items() if isinstance(each, Mapping)} for whole in wholes]
        pairs = {(stage, name) for one in last for stage, values in one.items() for name in values}
        for stage, name in sorted(pairs):
            values_of = [one[stage][name] for one in last if name in one.get(stage, {})]
            text = ["not finite" if value is None else f"{value:.3g}" for value in values_of]
            rows.append((f"validation of the {part}: {name}" + f" ({stage})" * (stage != part), ", ".join(text)))
    return rows
