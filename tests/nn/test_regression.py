"""What asks a predictor of tokens for the speaker: a regression beside the tokens, and weights on changes."""

from __future__ import annotations

import pytest
import torch

from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.nn.losses import change_weights
from dyadbench.nn.regression import SpeakerRegression
from dyadbench_dense_fsq.config import PredictorConfig as DenseFsqConfig
from dyadbench_vqtalker.config import PredictorConfig as VqtalkerConfig


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


def test_the_placebo_regresses_each_row_to_another_rows_listener() -> None:
    own, placebo = SpeakerRegression(4, 3), SpeakerRegression(4, 3, "stranger")
    placebo.load_state_dict(own.state_dict())
    heard, motion, valid = torch.randn(5, 8, 4), torch.randn(5, 8, 3), torch.ones(5, 8, dtype=torch.bool)
    assert placebo(heard, motion, valid).item() == own(heard, motion.roll(1, 0), valid).item()
    valid[2, 4:] = False  # a frame counts where both rows have it
    before = placebo(heard, motion, valid).item()
    motion[2, 4:] = 1e6
    assert placebo(heard, motion, valid).item() == before
    assert placebo(heard[:1], motion[:1], valid[:1]).item() == 0.0, "one row has no stranger, and is not its own"


@pytest.mark.parametrize("config", [DenseFsqConfig, VqtalkerConfig])
def test_a_target_without_a_regression_is_refused(config: type[DenseFsqConfig | VqtalkerConfig]) -> None:
    assert config(regress=1.0, regress_to="stranger").regress_to == "stranger"
    with pytest.raises(ValueError, match="set regress above 0"):
        config(regress_to="stranger")
