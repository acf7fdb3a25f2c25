"""The common part of predictors and tokenizers with one network: construction, state, conversion of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from dyadbench.api import Context, Reaction, Setup, Tokenizer, Tokens

Net = TypeVar("Net", bound=nn.Module)


class NetComponent(Generic[Net]):
    """A component whose learnt state is one network, `self.net`. Subclasses add `stages`, and `sample` or the codec."""

    net: Net
    device: torch.device

    def build_net(self, make: Callable[[], Net], setup: Setup) -> None:
        """Builds the network from the cell's seed alone, and leaves torch's global generator as it was."""
        self.device = torch.device(setup.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setup.seed)
            self.net = make()
        self.net.to(self.device).eval()

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is learnt; the record counts it."""
        return self.net.parameters()

    def state_dict(self) -> Mapping[str, Any]:
        return self.net.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        return self.net.load_state_dict(state)


def to_tensor(values: np.ndarray, device: torch.device) -> Tensor:
    """An array on the training device. torch needs contiguous arrays, and a cut of a clip is not."""
    return torch.from_numpy(np.require(values, requirements=["C", "W"])).to(device)


def face_and_sound(context: Context, audio: str | None, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """The speaker's face (B, T, D) and sound (B, T * per_frame, F); None where the predictor uses no sound."""
    return to_tensor(context.speaker_motion, device), to_tensor(context.audio[audio], device) if audio else None


def ids_of(tokenizer: Tokenizer, motion: Tensor) -> Tensor:
    """The codes of a motion (B, T, D) on its device, without gradient: (B, N), or (B, N, G, R) for a grid."""
    return torch.from_numpy(tokenizer.encode(motion.detach().cpu().numpy()).ids).to(motion.device)


def decoded_reaction(tokenizer: Tokenizer, ids: Tensor, clips: int, k: int, frames: int) -> Reaction:
    """Decodes ids of `clips` x `k` rows, in which the samples of a clip are neighbours, to a reaction of `frames` frames."""
    motion, emotion = tokenizer.decode(Tokens(ids.cpu().numpy(), frames=frames), frames)
    return Reaction(
        motion.reshape(clips, k, frames, -1),  # (B, K, T, D)
        None if emotion is None else emotion.reshape(clips, k, frames, -1),  # (B, K, T, 25)
    )
