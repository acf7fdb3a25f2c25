"""What the configurations of predictors that are made to follow the speaker have in common. Imports no torch."""

from __future__ import annotations

from typing import Literal

RegressTo = Literal["listener", "stranger"]  # whose motion a regression beside the tokens predicts (nn/regression.py)


def demand_null(guidance: float, null: float) -> None:
    """Raises ValueError where sampling is guided by a network without the speaker that was never trained."""
    if guidance != 1 and not null:
        raise ValueError(
            f"guidance = {guidance:g} needs a network that was trained without the speaker, too; "
            "set null to the share of such rows (0.15, for example), or leave guidance at 1"
        )


def demand_weight(regress_to: RegressTo, regress: float) -> None:
    """Raises ValueError where the target of a regression is set and the regression has no weight."""
    if regress_to != "listener" and not regress:
        raise ValueError(f"regress_to = {regress_to!r} belongs to a regression; set regress above 0, or leave it out")
