"""The torchmetrics class gives what one call on all clips gives, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyadbench.metrics import score_arrays
from dyadbench.metrics.torch_metrics import SuiteMetric


def _react() -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    listener, speaker = rng.random((2, 5, 60, 25), np.float32)
    pred = torch.from_numpy(rng.random((5, 3, 60, 25), np.float32))
    return pred, {"listener": listener, "speaker": speaker, "appropriate": np.eye(5) + np.eye(5, k=1)}


@pytest.mark.parametrize("suite", ["react2024-official", "react2024"])
def test_batches_in_any_order_and_repeated_clips(suite: str) -> None:
    pred, references = _react()
    metric = SuiteMetric(suite, references)
    for rows in ([3, 1], [4, 0, 2], [1]):  # clip 1 comes twice, as padded distributed batches do
        metric.update(pred[rows], torch.tensor(rows))
    wanted = score_arrays(suite, pred=pred, **references)
    assert metric.compute() == pytest.approx(wanted, nan_ok=True)
    metric.reset()
    with pytest.raises(ValueError, match="4 of 5 clips have no prediction, the first is 0"):
        metric.update(pred[[2]], torch.tensor([2]))
        metric.compute()


def test_l2l_and_bad_rows() -> None:
    rng = np.random.default_rng(1)
    target, speaker, pred = rng.standard_normal((3, 4, 80, 56)).astype(np.float32)
    metric = SuiteMetric("l2l", {"listener": target, "speaker": speaker})
    metric.update(torch.from_numpy(pred[2:]), torch.tensor([2, 3]))
    metric.update(torch.from_numpy(pred[:2]), torch.tensor([0, 1]))
    wanted = score_arrays("l2l", pred=pred, listener=target, speaker=speaker)
    found = metric.compute()
    assert found == pytest.approx(wanted, nan_ok=True)
    metric.update(torch.from_numpy(pred[:1]), torch.tensor([9]))
    with pytest.raises(ValueError, match="clip 9 is not one of the 4"):
        metric.compute()
    with pytest.raises(ValueError, match="1 predictions for 2 clips"):
        metric.update(torch.from_numpy(pred[:1]), torch.tensor([0, 1]))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_from_autocast_counts_as_float32(kind: torch.dtype) -> None:
    pred, references = _react()
    metric = SuiteMetric("react2024", references)
    metric.update(pred.to(kind), torch.arange(5))
    assert metric.compute() == score_arrays("react2024", pred=pred.to(kind).float(), **references)


def test_calling_the_metric_or_computing_too_early_says_what_to_do() -> None:
    pred, references = _react()
    metric = SuiteMetric("react2024", references)
    with pytest.raises(ValueError, match=r"update.* for every batch and compute.* once"):
        metric(pred, torch.arange(5))
    with pytest.raises(ValueError, match="none of the 5 clips has a prediction"):
        metric.compute()
