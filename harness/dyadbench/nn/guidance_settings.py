"""What the configurations of guided predictors have in common. Imports no torch, as no configuration does."""

from __future__ import annotations


def demand_null(guidance: float, null: float) -> None:
    """Raises ValueError where sampling is guided by a network without the speaker that was never trained."""
    if guidance != 1 and not null:
        raise ValueError(
            f"guidance = {guidance:g} needs a network that was trained without the speaker, too; "
            "set null to the share of such rows (0.15, for example), or leave guidance at 1"
        )
