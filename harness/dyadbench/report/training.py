"""How a method was trained: its curves, and whether they are flat at their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dyadbench.leaderboard.charts import lines
from dyadbench.leaderboard.drawing import SMALL
from dyadbench.records.record import Record
from dyadbench.report.figures import figure

Line = tuple[list[float], list[float]]  # steps, values
LAST = 0.25  # share of the training that a flat curve is flat in
FLAT = 1.0  # per cent: a best validation value that falls less counts as flat


def training_curves(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Loss of training and of validation, stage by stage, one line per seed and fold, from the records themselves."""
    figures: list[dict[str, Any]] = []
    for part in ("tokenizer", "predictor"):
        runs: dict[str, list[tuple[str, Any]]] = {}  # stage -> (whose line, curve)
        for record in records:
            curves = record.measured.tokenizer_curves if part == "tokenizer" else record.measured.curves
            for name, curve in curves.items():
                fold, _, stage = name.rpartition(", ")  # a cross-validated record has the stages of every fold
                runs.setdefault(stage, []).append((", ".join(filter(None, (f"seed {record.seed}", fold))), curve))
        for stage, with_stage in runs.items():
            for kind, steps, values in (
                ("training", "steps", "loss"),
                ("validation", "validation_steps", "validation"),
            ):
                series = {run: line for run, curve in with_stage if len((line := _line(curve, steps, values))[0]) > 1}
                if not series:
                    continue
                metric = with_stage[0][1].get("metric", "loss") if kind == "validation" else "loss"
                title = f"{kind.capitalize()} of the {part}" + (f", {stage}" if stage != part else "")
                rows = [[name, int(xs[0]), ys[0], int(xs[-1]), ys[-1], min(ys)] for name, (xs, ys) in series.items()]
                caption = flatness(list(series.values())) if kind == "validation" else ""
                figures.append(figure(
                    f"curve-{len(figures)}", title, caption or "Whether the line is flat at its end says whether it was trained long enough.",
                    lines(series, title, "step", metric, SMALL), ["run", "first step", f"first {metric}", "last step", f"last {metric}", "least"], rows,
                ))  # fmt: skip
    return figures


def flatness(runs: Sequence[Line]) -> str:
    """One sentence: by how much the best validation value fell in the last quarter of the training, over the runs.

    In per cent of the best value before, and whether that is flat; in its own unit where a run goes to 0 or below, as a
    log-likelihood does, because per cents of it say nothing. "" where no run was validated before the last quarter.
    """
    bests = []  # of each run, before the last quarter and of all
    for steps, values in runs:
        before = [value for step, value in zip(steps, values, strict=True) if step <= (1 - LAST) * steps[-1]]
        if before:
            bests.append((min(before), min(values)))
    if not bests:
        return ""
    over = f" over {len(bests)} runs" if len(bests) > 1 else ""
    fell = "In the last quarter of the training the best value fell by"
    if min(least for _, least in bests) <= 0:
        amount = _range([before - least for before, least in bests])
        return f"{fell} {amount}{over}, in its own unit: it can be below 0, so per cents of it say nothing."
    falls = [100 * (before - least) / before for before, least in bests]
    flat = sum(fall < FLAT for fall in falls)
    verdict = f"flat (under {FLAT:.0f} %)" if flat else f"not flat (under {FLAT:.0f} % would be)"
    return f"{fell} {_range(falls)} %{over}: {verdict}{f' in {flat} of them' if 0 < flat < len(falls) else ''}."


def _range(values: Sequence[float]) -> str:
    least, most = f"{min(values):.2g}", f"{max(values):.2g}"
    return least if least == most else f"{least} to {most}"


def _line(curve: Mapping[str, Any], steps: str, values: str) -> Line:
    pairs = [(float(x), float(y)) for x, y in zip(curve.get(steps, ()), curve.get(values, ()), strict=False) if y is not None]  # fmt: skip
    return [x for x, _ in pairs], [y for _, y in pairs]
