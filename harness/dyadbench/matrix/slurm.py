"""What a batch job asks for: the [slurm] table of a matrix file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from dyadbench.api import Config

TIME = re.compile(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?")


def _minutes(value: object) -> object:
    """60, "1:00:00" or "1-00:00:00" (days) -> minutes; other text is left for the validator to refuse."""
    match = TIME.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return value
    days, first, second, third = (int(part or 0) for part in match.groups())
    if match[4] is None and match[1] is None:
        return first + (second > 0)  # MM:SS, as Slurm reads it
    return days * 1440 + first * 60 + second + (third > 0)


class SlurmOptions(Config):
    """Resources of one job. `gpus`, `cpus` and the number of tasks are of one node; what is None is left to the site."""

    partition: str | None = None
    time: Annotated[int, BeforeValidator(_minutes), Field(ge=1)] = 240  # minutes; a longer cell is requeued and goes on
    gpus: int = Field(default=0, ge=0)  # for each device of the cell
    cpus: int = Field(default=1, ge=1)  # each device of the cell
    memory: str | None = Field(default=None, pattern=r"^\d+[KMGT]?$")  # of the node, as Slurm writes it: "16G"
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    options: Mapping[str, str | int | bool] = {}  # further sbatch options by their long name
    setup: tuple[str, ...] = ()  # shell lines before the job, such as "module load cuda"
    jobs: int = Field(default=200, ge=1)  # in the queue at once
    warn: int = Field(default=90, ge=1)  # seconds before its end that a job is told to requeue itself
