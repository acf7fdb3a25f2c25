"""One random stream for each (cell seed, clip, sample, purpose), whatever was drawn before or beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CellNoise:
    """The noise of one cell (api.Noise)."""

    seed: int

    def stream(self, clip: str, sample: int, purpose: str = "") -> np.random.Generator:
        """The same four values always give the same stream; any other gives an independent one."""
        # A zero byte between the parts: ("a1", "1") and ("a", "11") must not be the same name. Philox takes any 128 bits as a key,
        # and its streams for different keys are independent, so a hash may choose them.
        name = "\x00".join((str(self.seed), clip, str(sample), purpose)).encode()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(name).digest()[:16], "big")))
