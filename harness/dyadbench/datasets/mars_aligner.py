"""The length aligner of REACT 2025 and 2026, from a file of the user's.

The challenge publishes its weights, and the code of its network is not public where this was written. So the file must bring
the network along: a TorchScript module, made once from the challenge's own code by torch.jit.trace or torch.jit.script, with

    forward(x: Tensor (1, 1000, 25), frames_in: int, frames_out: int) -> Tensor (1, frames_out, 25), before sigmoid and softmax

What is done around it, the cutting into segments and the decoding, is metrics/react/alignment.by_network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dyadbench.api import DyadbenchError
from dyadbench.metrics.react.alignment import by_network


def load_aligner(path: str) -> Callable[[np.ndarray, int], np.ndarray]:
    """(T, 25), frames -> (frames, 25). DyadbenchError where the file is no TorchScript module."""
    import torch

    try:
        module: Any = torch.jit.load(path, map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise DyadbenchError(
            f"aligner {path} is not a TorchScript module ({str(error).splitlines()[0][:80]}); trace the challenge's network with "
            "torch.jit and give that file, since a checkpoint of weights alone does not hold the network"
        ) from None

    def network(values: np.ndarray, frames_in: int, frames_out: int) -> np.ndarray:
        with torch.no_grad():
            out = module(torch.from_numpy(values)[None], frames_in, frames_out)[0].numpy()
        if out.shape != (frames_out, values.shape[1]):
            raise DyadbenchError(f"aligner {path} gave shape {out.shape}; {(frames_out, values.shape[1])} is due")
        return np.asarray(out)

    return lambda emotion, frames: by_network(emotion, frames, network)
