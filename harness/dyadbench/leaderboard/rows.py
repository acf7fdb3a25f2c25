"""Rows of a table: what each is, whether it is ranked, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from dyadbench.api import Column, Config
from dyadbench.leaderboard.stats import Floats
from dyadbench.records.record import Record, RecordedSetting
from dyadbench.records.references import NULL, ROLES

Kind = Literal["method", "ablation", "reference", "reconstruction"]
Floor = Literal["above", "below", "open", ""]  # "" where nothing can be said: there is no interval
READS_EMOTION = "‡"  # beside the name of a row
UNDEFINED = 0.05  # share of clips without a value in a headline column beyond which a row has no rank


class Value(Config):
    """One number of a table."""

    value: float | None
    low: float | None = None  # no interval: it cannot be worked out, or a random method has one seed
    high: float | None = None
    undefined: int = 0
    best: bool = False  # not distinguishable from the best of the ranked rows


class Row(Config):
    method: str
    kind: Kind = "method"
    role: str = ""  # of a reference: floor, ceiling, truth, readout, copy, mean or noise
    of: str = ""  # of an ablation: its method
    calibration: bool = False
    rank: int | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    reason: str = ""  # why it is not ranked
    skill: Value | None = None  # the headline: mean over `skills`
    floor: Floor = ""  # of a ranked row: whether its skill is above or below 0 beyond doubt
    skills: Mapping[str, Value] = {}
    against: Value | None = None  # of an ablation: its skill less that of its method, paired
    families: Mapping[str, Value] = {}  # distance to the band of real listeners
    pareto: bool = False  # no method is better in skill without being worse in diversity
    declared: Value | None = None  # the skill over all columns that the suite declares, where some fail on these data
    mean_rank: int | None = None  # place by the mean rank over all columns, the rule before skill
    cells: Mapping[str, Value]
    seeds: tuple[int, ...]
    facts: Mapping[str, Any] = {}  # look-ahead, trained, parameters, speed, plugin


def kind_of(records: Sequence[Record]) -> Kind:
    first = records[0]
    if not first.calibration:
        return "ablation" if first.of else "method"
    return "reconstruction" if "tokenizer" in first.method_config else "reference"


def role_of(records: Sequence[Record]) -> str:
    """Of a reference: by its name, else by its predictor's, which a matrix may run under another name."""
    first = records[0]
    if not first.calibration:
        return ""
    predictor = first.method_config.get("predictor") or {}
    return ROLES.get(first.method) or ROLES.get(predictor.get("name", ""), "")


def own_gaps(values: Mapping[str, Floats]) -> Floats:
    """(M, C) on how many clips each row has no value though the floor has one; without a floor, on how many it has none.

    A listener who does not move for a whole clip leaves some metrics undefined for everybody: that is nobody's fault.
    values: (S, N, C) of each row.
    """
    none = {name: np.isnan(value).any(0) for name, value in values.items()}  # (N, C)
    defined = ~none[NULL] if NULL in none else True
    return np.stack([(gap & defined).sum(0) for gap in none.values()]).astype(np.float64)


def undefined_clips(values: Floats) -> int:
    """On how many clips some seed has no value; values: (S, N)."""
    return int(np.isnan(values).any(0).sum())


def one_random_seed(records: Sequence[Record]) -> bool:
    """Whether a method is random and has one seed, so that nothing says how another would have done."""
    return len(records) == 1 and not records[0].deterministic


def reason_of(
    records: Sequence[Record], gaps: Floats, columns: Sequence[Column], setting: RecordedSetting, clips: int
) -> str:
    """Why a method is not ranked; empty if it is. gaps: (C,) of `own_gaps`."""
    first = records[0]
    if first.calibration:
        return "calibration"
    if first.of:
        return f"an ablation of {first.of}"
    if first.scored_from:
        return "scored from a file of predictions, which nobody can make again from here"
    if len({str(r.method_config) for r in records}) > 1:
        return "its seeds were run with different configurations"
    for j, column in enumerate(columns):
        if column.headline and gaps[j] > UNDEFINED * clips:
            return f"{column.id} is undefined on {int(gaps[j])} of {clips} clips"
    reach = [record.measured.lookahead for record in records]
    if setting.track == "online":
        frames_ahead = [frames for frames in reach if frames is not None]
        if len(frames_ahead) < len(reach):
            return "it looks ahead over the whole clip; the online track allows no such thing"
        if max(frames_ahead) > setting.allowed_lookahead:
            return f"it looks {max(frames_ahead)} frames ahead; {setting.allowed_lookahead} are allowed"
    if (sides := first.measured.two_sided) and not setting.two_sided:
        return f"it uses the listener's {' and '.join(sides)}, which this benchmark gives to nobody"
    if one_random_seed(records):
        return "one seed of a method that is random; run more seeds"
    return ""


def speed_of(record: Record) -> float | None:
    """Seconds of reaction per second of computing: of the processor's time, where one thread of a processor sampled.

    The clock runs on while a busy machine does something else. With more threads, or a GPU, it is all there is.
    """
    measured, provenance = record.measured, record.provenance
    clock, worked = measured.generate_seconds, measured.generate_cpu_seconds
    alone = provenance.get("threads") == 1 and "gpu" not in provenance.get("hardware", {})
    if measured.realtime_factor and clock and worked and alone:
        return measured.realtime_factor * clock / worked
    return measured.realtime_factor


def facts_of(records: Sequence[Record]) -> dict[str, Any]:
    measured = [record.measured for record in records]
    speeds = [speed for record in records if (speed := speed_of(record))]
    parameters = (measured[0].parameters or 0) + (measured[0].tokenizer_parameters or 0)
    readout = measured[0].readout
    waits = [m.latency for m in measured if m.latency]
    inputs = measured[0].two_sided
    return {
        **({"two_sided": list(inputs)} if inputs else {}),
        **(
            {
                "latency": {
                    name: float(np.median([w[name] for w in waits]))
                    for name in waits[0]
                    if all(name in w for w in waits)
                }
            }
            if waits
            else {}
        ),
        "lookahead": measured[0].lookahead,
        "scored_from": records[0].scored_from,
        "trained": records[0].trained,
        "readout": readout and readout.model_dump(mode="json"),
        "sees_truth": measured[0].sees_truth,
        "reads_emotion": measured[0].reads_emotion,
        "action_units": measured[0].action_units and measured[0].action_units.version,
        "parameters": parameters or None,
        "realtime_factor": round(float(np.median(speeds))) if speeds else None,
        "preset": records[0].preset,
        "plugin": " ".join(records[0].plugin),
    }


def emotion_mark(row: Row) -> str:
    """What stands beside the name of a row that reads the speaker's emotion."""
    return READS_EMOTION if row.facts.get("reads_emotion") else ""


def emotion_notes(rows: Sequence[Row]) -> list[str]:
    """What was done to the emotion that is scored, and who was given more to work with."""
    notes = []
    if rules := {row.facts["action_units"] for row in rows} - {None}:
        notes.append(
            f"action units are 0 or 1 in every row: above a threshold that gives each method, on training clips, the rates of "
            f"true listeners (rule version {max(rules)})"
        )
    if readers := [row.method for row in rows if emotion_mark(row)]:
        notes.append(
            f"{READS_EMOTION}: read the speaker's emotion beside face and voice, as every method may: {', '.join(readers)}"
        )
    return [*notes, *readout_notes(rows)]


def side_notes(rows: Sequence[Row], setting: RecordedSetting) -> list[str]:
    """Who was given something of the listener, where the benchmark allows it."""
    if not setting.two_sided:
        return []
    users = [f"{row.method} ({', '.join(row.facts['two_sided'])})" for row in rows if "two_sided" in row.facts]
    return [
        f"two-sided: given the listener's own voice or past: {', '.join(users) or 'nobody'}; all others see the speaker alone"
    ]


def latency_notes(rows: Sequence[Row]) -> list[str]:
    waits = [row.facts["latency"] for row in rows if "latency" in row.facts]
    if not waits:
        return []
    return [
        f"p99: of 100 steps of one speaker frame, one takes longer (K = 1, one core of the machine of the record); a frame has "
        f"{waits[0]['budget_ms']:g} ms. It is one run, in milliseconds of the processor. Rows without "
        "it do not stream, or their records are older than the measurement"
    ]


def readout_notes(rows: Sequence[Row]) -> list[str]:
    """What emotion that is read out from motion is worth."""
    readouts = {row.method: row.facts["readout"] for row in rows if row.facts["readout"]}
    if not readouts:
        return []
    readout = next(iter(readouts.values()))
    errors = ", ".join(f"{name} {value:.3f}" for name, value in readout["rmse"].items())
    return [
        f"{', '.join(readouts)}: motion only; emotion is the dataset's readout from motion, version {readout['version']}, "
        f"whose root mean square error on the validation split is {errors}"
    ]
