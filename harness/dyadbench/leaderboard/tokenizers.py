"""What tokenizers cost and keep, from committed records: every tokenizer in one table and one picture a dataset.

A row is a tokenizer decoded from all its residual layers or from the first ones. Methods that stand on one tokenizer
share its rows. Intervals are the leaderboards': 95 % bootstrap over sessions, and over seeds where there are several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from dyadbench.errors import number_of
from dyadbench.leaderboard.charts import Point, scatter
from dyadbench.leaderboard.drawing import WIDE, Size, as_file
from dyadbench.leaderboard.rows import Value, one_random_seed, undefined_clips
from dyadbench.leaderboard.stats import Floats, bootstrap, interval
from dyadbench.leaderboard.text import SIMULATED, cell_text, escape, grid, number
from dyadbench.matrix.keys import canonical
from dyadbench.metrics.tokens import COLUMNS, FURTHER, column_of, layer_counts, version_of
from dyadbench.records.comparable import of_newest_data, of_whole_training, per_clip, seeds_of
from dyadbench.records.record import Record, slug

SUITE = "tokens"
USE = ("utilisation", "perplexity", "motion-stability", "cluster-integrity")
ERRORS = ("motion-rmse", "emotion-rmse")
COLUMN = {column.id: column for column in (*COLUMNS, *FURTHER)}


@dataclass(frozen=True)
class Rate:
    """One point: a tokenizer decoded from its first `layers` residual layers."""

    layers: int
    bits: float  # per second, positions of keyframes included
    errors: Mapping[str, Value]


@dataclass(frozen=True)
class TokenizerRow:
    """One tokenizer on one dataset."""

    label: str  # the methods that stand on it
    grid: str
    codes: int
    residual: int
    parameters: int | None
    seeds: tuple[int, ...]
    rates: tuple[Rate, ...]  # coarse to fine, the last one with all layers
    use: Mapping[str, Value]
    by_layer: tuple[float, ...]  # utilisation of each residual layer's books, mean over groups and seeds

    @property
    def whole(self) -> Rate:
        return self.rates[-1]


@dataclass(frozen=True)
class Corpus:
    """The tokenizers of one dataset."""

    name: str
    simulated: bool
    clips: int
    sessions: int
    constants: Mapping[str, Value]  # errors of the constant mean frame
    tokenizers: tuple[TokenizerRow, ...]  # cheapest first
    notes: tuple[str, ...]


def corpora(records: Sequence[Record]) -> list[Corpus]:
    """Every dataset that has records with token scores, in an order that depends on nothing but the records."""
    groups: dict[str, list[Record]] = {}
    scored = [
        record for record in of_whole_training(records) if SUITE in record.suites and record.suites[SUITE].per_clip
    ]
    for record in of_newest_data(scored)[0]:
        key = canonical([record.dataset.name, record.dataset.split, record.dataset.digest, record.clips])
        groups.setdefault(key, []).append(record)
    named: dict[str, list[list[Record]]] = {}
    for key in sorted(groups):
        named.setdefault(_name([record.benchmark for record in groups[key]]), []).append(groups[key])
    result = []
    for name in sorted(named):
        usual, *others = sorted(named[name], key=len, reverse=True)
        boards = {record.benchmark for record in usual}
        old = of_newest_data([record for record in scored if record.benchmark in boards])[1]
        notes = [*map(str, old), *(f"{r.method}, seed {r.seed} was measured on other data and is left out; run it again" for group in others for r in group)]  # fmt: skip
        result.append(_corpus(name, usual, notes))
    return result


def _corpus(name: str, records: Sequence[Record], notes: list[str]) -> Corpus:
    first = records[0]
    methods: dict[str, dict[int, Record]] = {}
    users: dict[str, list[str]] = {}
    for record in records:
        if any(version_of(name) != version for name, version in record.suites[SUITE].versions.items()):
            notes.append(
                f"{record.method}, seed {record.seed} was scored by other versions and is left out; run it again"
            )
            continue
        key = canonical(record.method_config["tokenizer"])
        methods.setdefault(key, {}).setdefault(record.seed, record)
        if record.method not in users.setdefault(key, []):
            users[key].append(record.method)
    rows = [_tokenizer_row([by_seed[s] for s in sorted(by_seed)], users[key]) for key, by_seed in methods.items()]
    constants = {}
    if rows:
        one = next(iter(methods.values()))
        cells = _cells([one[min(one)]], [f"constant-{name}" for name in ERRORS])
        constants = {name: cells[f"constant-{name}"] for name in ERRORS}
    return Corpus(
        name=name, simulated=first.dataset.simulated,
        clips=len(first.clips), sessions=len(set(first.sessions)), constants=constants,
        tokenizers=tuple(sorted(rows, key=lambda one: (one.whole.bits, one.label))), notes=tuple(notes),
    )  # fmt: skip


def _name(benchmarks: Sequence[str]) -> str:
    """What the names of benchmarks on the same clips begin with, simdyad-clear-react of its two tracks, and how their data
    were read: `+clips-50`."""
    changed = min(benchmarks).partition("+")[2]
    words = [name.partition("+")[0].split("-") for name in sorted(set(benchmarks))]
    shared = next((n for n, same in enumerate(zip(*words, strict=False)) if len(set(same)) > 1), min(map(len, words)))
    return "-".join(words[0][: max(1, shared)]) + (f"+{changed}" if changed else "")


def _tokenizer_row(records: Sequence[Record], methods: Sequence[str]) -> TokenizerRow:
    first = records[0]
    facts: Mapping[str, Any] = first.measured.tokens or {}
    residual, scores = int(facts["residual"]), first.suites[SUITE].scores
    bits, places = (
        float(np.mean([_value(r, name) for r in records])) for name in ("bits-per-second", "position-bits-per-second")
    )
    rates = []
    for layers in layer_counts(residual):
        names = list(ERRORS) if layers == residual else [f"{name}.layers{layers}" for name in ERRORS]
        if names[0] in scores:
            cells = _cells(records, [name for name in names if name in scores])
            errors = {head: cells.get(name, Value(value=None)) for head, name in zip(ERRORS, names, strict=True)}
            rates.append(Rate(layers, bits * layers / residual + places, errors))
    every = facts["frames_per_token"]
    books = [[r.suites[SUITE].scores["utilisation"].detail[f"g{g}r{n}"] for g in range(int(facts["groups"])) for r in records]
             for n in range(residual)]  # fmt: skip
    return TokenizerRow(
        label=", ".join(methods),
        grid=f"{facts['groups']} x {residual} x {facts['codes']}, "
        + ("at keyframes" if every is None else f"every {every} frames" if every > 1 else "each frame"),
        codes=int(facts["codes"]), residual=residual, parameters=first.measured.tokenizer_parameters,
        seeds=tuple(record.seed for record in records), rates=tuple(rates), use=_cells(records, USE),
        by_layer=tuple(float(np.mean(layer)) for layer in books),
    )  # fmt: skip


def _value(record: Record, name: str) -> float:
    score = record.suites[SUITE].scores.get(name)
    return score.value or 0.0 if score else 0.0


def _cells(records: Sequence[Record], names: Sequence[str]) -> dict[str, Value]:
    """Values with intervals of some columns, seeds of one tokenizer."""
    columns = [column_of(name) for name in names]
    values = np.stack([token_values(record, names) for record in records])
    boot = bootstrap([values], records[0].sessions, streams=[seeds_of(records)])
    cells = {}
    for j, (name, column) in enumerate(zip(names, columns, strict=True)):
        value = float(boot.point[0, j])
        # A count over all clips has no interval but that of its seeds, and one seed of a random method tells nothing of others.
        spread = (column.by_clip or len(records) > 1) and not one_random_seed(records)
        span = (
            interval(boot.draws[:, 0, j], within=column) if boot.informative and np.isfinite(value) and spread else None
        )
        finite = None if np.isnan(value) else value
        cells[name] = Value(
            value=finite, low=span.low if span else None, high=span.high if span else None, undefined=undefined_clips(values[:, :, j]),
        )  # fmt: skip
    return cells


def token_values(record: Record, names: Sequence[str]) -> Floats:
    """(N, C) per clip, NaN where undefined; a count over all clips stands as it is in every clip."""
    scores = record.suites[SUITE]
    out = per_clip(scores, names)
    for j, name in enumerate(names):
        value = scores.scores[name].value
        if not column_of(name).by_clip and value is not None:
            out[:, j] = value
    return out


# --- text and pictures ----------------------------------------------------------------------------------


def drawing(corpus: Corpus, error: str, *, named: bool = False) -> tuple[Callable[[Size], Markup], list[Point]] | None:
    """The rows of the table as a picture of any size, and its points; None where fewer than two have that error."""
    points: list[Point] = []
    joined: list[tuple[str, int]] = []  # label, place among the points
    for place, tokenizer, rate in numbered(corpus):
        value = rate.errors[error].value
        if value is None:
            continue
        if len(tokenizer.rates) > 1:
            joined.append((tokenizer.label, len(points)))
        if rate is tokenizer.whole:
            points.append(Point(tokenizer.label, rate.bits, value, "ranked", place))
        else:
            part = f"{place} {tokenizer.label}, {rate.layers} of {tokenizer.residual} layers"
            points.append(Point(part, rate.bits, value, "other", 0))
    if len(points) < 2:
        return None
    lines = [[i for label, i in joined if label == one] for one in dict.fromkeys(label for label, _ in joined)]
    what = {"motion-rmse": "motion, coefficients", "emotion-rmse": "emotion"}[error]
    title, axis = f"Error of reconstructed {what} against bits per second", f"root mean square error: {what}"
    level = corpus.constants[error].value
    return lambda size: scatter(
        points, title, "bits per second", axis, size, target=level, target_label="constant mean", log_x=True, joined=lines, named=named
    ), points  # fmt: skip


def numbered(corpus: Corpus) -> list[tuple[int, TokenizerRow, Rate]]:
    """The rows of the table, each with its tokenizer's number in the pictures."""
    return [
        (number, tokenizer, rate) for number, tokenizer in enumerate(corpus.tokenizers, 1) for rate in tokenizer.rates
    ]


def tokenizer_files(records: Sequence[Record]) -> dict[str, str]:
    """File name -> text: tokenizers.md and its pictures; empty where no record has token scores."""
    tables = corpora(records)
    if not tables:
        return {}
    files, parts = {}, [HEAD]
    for corpus in tables:
        parts.append(f"## {escape(corpus.name)}\n")
        parts.append(SIMULATED + "\n" if corpus.simulated else "")
        parts.append(f"{number_of(corpus.clips, 'clip')} of {number_of(corpus.sessions, 'session')}, test listeners.\n")
        for error in ERRORS:
            picture = drawing(corpus, error)
            if picture is not None:
                name = f"tokenizers-{slug(corpus.name)}-{error.partition('-')[0]}.svg"
                files[name] = as_file(picture[0](WIDE))
                parts.append(f"![Error of {error.partition('-')[0]} against bits per second]({name})\n")
        parts += [_rate_table(corpus), "### Use of the books\n", _use_table(corpus)]
        parts.append("".join(f"- {escape(note)}\n" for note in corpus.notes))
    parts.append("## Columns\n")
    parts.append("".join(f"- `{COLUMN[name].id}` v{COLUMN[name].version}: {escape(COLUMN[name].summary)}\n" for name in (*ERRORS, *USE)))  # fmt: skip
    files["tokenizers.md"] = "\n".join(part for part in parts if part)
    return files


HEAD = """# Tokenizers

What each tokenizer costs and keeps of the listeners of the test split, without any predictor. Lower left is better. The
numbers in the pictures are those of the tokenizers in the table; lines join the residual layers of one tokenizer; the
dashed level is the mean frame of the training split. Bits are frames per second / frames per token x groups x layers x
log2(codes); sparse tokens also pay for the positions of their keyframes where these depend on the motion. Brackets: 95
% bootstrap over sessions (and seeds). Rows that were trained for a quarter of the steps are in claims.md alone.
"""


def _rate_table(corpus: Corpus) -> str:
    constant = [cell_text(corpus.constants[name], 4) for name in ERRORS]
    rows = [["*constant mean frame*", "", "", "0", *constant, "", ""]]
    for place, tokenizer, rate in numbered(corpus):
        name = f"{place}. {escape(tokenizer.label)}" if rate is tokenizer.rates[0] else f"{place}."
        values = [cell_text(rate.errors[name], 4) for name in ERRORS]
        size = str(tokenizer.parameters or "") if rate is tokenizer.whole else ""
        layers = f"{rate.layers} of {tokenizer.residual}"
        rows.append([name, tokenizer.grid, layers, f"{rate.bits:.1f}", *values, size, str(len(tokenizer.seeds))])
    header = ["tokenizer of", "groups x layers x codes", "layers decoded", "bit/s ↓"]
    return grid([*header, *(f"{name} ↓" for name in ERRORS), "parameters", "seeds"], rows)


def _use_table(corpus: Corpus) -> str:
    rows = []
    for tokenizer in corpus.tokenizers:
        layers = (
            tokenizer.by_layer if len(tokenizer.by_layer) <= 4 else (*tokenizer.by_layer[:3], tokenizer.by_layer[-1])
        )
        between = " / ... / " if len(tokenizer.by_layer) > 4 else " / "
        by_layer = " / ".join(number(v, 3) for v in layers[:-1]) + (between if len(layers) > 1 else "") + number(layers[-1], 3)  # fmt: skip
        cells = [cell_text(tokenizer.use[name], COLUMN[name].digits - 1) for name in USE]
        rows.append([escape(tokenizer.label), str(tokenizer.codes), cells[0], by_layer, *cells[1:]])
    header = ["tokenizer of", "codes", "utilisation ↑", "of each layer", "perplexity ↑", "motion-stability → 1"]
    return grid([*header, "cluster-integrity ↑"], rows)
