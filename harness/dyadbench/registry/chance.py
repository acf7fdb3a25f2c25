"""Random numbers of plugins that ask for no generator: set from the cell's seed, whatever ran before."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def seed_everything(seed: int) -> None:
    """Sets the global generators of Python, of numpy and, where it is loaded, of torch."""
    import numpy as np  # here: `dyadbench list` waits for no numpy

    random.seed(seed)
    np.random.seed(seed % 2**32)  # all that numpy's old generator takes
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed % 2**63)


@contextmanager
def own_generators() -> Iterator[None]:
    """Puts the global generators back: a program that calls this one draws on as if it had not."""
    import numpy as np

    python, arrays = random.getstate(), np.random.get_state()
    tensors = torch.get_rng_state() if (torch := sys.modules.get("torch")) is not None else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
        if tensors is not None:
            sys.modules["torch"].set_rng_state(tensors)
