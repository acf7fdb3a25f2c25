"""Whether the curves of a training are flat at their end, in one sentence."""

from __future__ import annotations

import pytest
from tests.report.conftest import made_up

from dyadbench.report.training import flatness, training_curves

STEPS = [25.0, 50.0, 75.0, 100.0]
FELL = "In the last quarter of the training the best value fell by"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([[4.0, 3.0, 2.0, 1.5]], "25 %: not flat (under 1 % would be)."),
        ([[4.0, 3.0, 2.0, 1.99]], "0.5 %: flat (under 1 %)."),
        ([[4.0, 2.0, 2.5, 3.0]], "0 %: flat (under 1 %)."),  # it rises: the weights of step 50 are used
        ([[4.0, 3.0, 2.0, 1.99], [4.0, 3.0, 2.0, 2.1]], "0 to 0.5 % over 2 runs: flat (under 1 %)."),
        ([[4.0, 3.0, 2.0, 1.5], [4.0, 3.0, 2.0, 1.99]], "0.5 to 25 % over 2 runs: flat (under 1 %) in 1 of them."),
        ([[4.0, 3.0, 2.0, 1.98]], "1 %: not flat (under 1 % would be)."),
    ],
)
def test_a_curve_is_flat_where_its_best_value_falls_under_one_per_cent(values: list[list[float]], says: str) -> None:
    assert flatness([(STEPS, line) for line in values]) == f"{FELL} {says}"


def test_a_loss_that_can_be_below_zero_falls_in_its_own_unit() -> None:
    """A log-likelihood of -40 that becomes -50 has not fallen by 25 %, and 1 that becomes -1 not by 200 %."""
    says = flatness([(STEPS, [1.0, -20.0, -40.0, -50.0]), (STEPS, [3.0, 2.0, 1.0, 0.5])])
    assert says == f"{FELL} 0.5 to 10 over 2 runs, in its own unit: it can be below 0, so per cents of it say nothing."


def test_nothing_is_said_of_a_training_that_was_validated_at_its_end_alone() -> None:
    assert flatness([]) == flatness([([90.0, 100.0], [2.0, 1.0])]) == ""


def test_the_sentence_stands_at_the_validation_of_each_stage() -> None:
    curve = {"steps": STEPS, "loss": [4.0, 3.0, 2.0, 2.0], "validation_steps": STEPS, "metric": "loss"}
    measured = {
        "tokenizer_curves": {"tokenizer": curve | {"validation": [4.0, 3.0, 2.0, 1.5]}},
        "curves": {
            f"fold {fold}, {stage}": curve | {"validation": [4.0, 3.0, 2.0, last]}
            for fold in range(2)
            for stage, last in (("encoder", 2.0), ("diffusion", 1.8))
        },
    }
    pictures = training_curves([made_up("m", 0.3, seed=seed, measured=measured) for seed in range(2)])
    says = {one["title"]: one["caption"].removeprefix(f"{FELL} ") for one in pictures if "Validation" in one["title"]}
    assert says == {
        "Validation of the tokenizer": "25 % over 2 runs: not flat (under 1 % would be).",
        "Validation of the predictor, encoder": "0 % over 4 runs: flat (under 1 %).",
        "Validation of the predictor, diffusion": "10 % over 4 runs: not flat (under 1 % would be).",
    }
