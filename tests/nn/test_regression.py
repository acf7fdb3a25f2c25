"""What asks a predictor of tokens for the speaker: a regression beside the tokens, and weights on changes."""

from __future__ import annotations

import pytest
import torch

from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.nn.losses import change_weights
from dyadbench.nn.regression import SpeakerRegression


def test_a_token_that_differs_from_the_one_before_weighs_more() -> None:
    ids = torch.tensor([[5, 5, 7, 7, 5], [1, 2, 3, 3, 3]])
    assert change_weights(ids, 3.0).tolist() == [[1, 1, 4, 1, 4], [1, 4, 4, 1, 1]]
    grid = torch.stack([ids, torch.zeros_like(ids)], 2)
    assert change_weights(grid, 1.0)[0].tolist() == [[1, 1], [1, 1], [2, 1], [1, 1], [2, 1]], "each group by itself"


def test_the_mean_listener_has_an_error_of_1_and_frames_that_do_not_exist_count_nothing() -> None:
    corpus, net = TinyCorpus(frames=100), SpeakerRegression(4, 58)
    net.measure(corpus)
    motion = torch.stack([torch.from_numpy(dyad.listener.motion) for dyad in corpus.dyads("train")])
    heard, valid = torch.zeros(len(motion), 100, 4), torch.ones(len(motion), 100, dtype=torch.bool)
    torch.nn.init.zeros_(net.readout.bias)
    assert net(heard, motion, valid).item() == pytest.approx(1.0, abs=0.05)
    valid[:, 50:] = False
    motion[:, 50:] = 1e6
    assert net(heard, motion, valid).item() < 2.0
