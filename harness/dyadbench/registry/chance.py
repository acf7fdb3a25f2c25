"""Random numbers of plugins that ask for no generator: the same in every process, whatever ran before."""

from __future__ import annotations

import random
import sys

import numpy as np


def seed_everything(seed: int) -> None:
    """Sets the global generators of Python, of numpy and, where it is loaded, of torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # all that numpy's old generator takes
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)
