"""The torchmetrics class gives what one call on all clips gives, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyadbench import score_arrays
from dyadbench.python.torch_metrics import SuiteMetric


def _react() -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    listener, speaker = rng.random((2, 5, 60, 25), np.float32)
    pred = torch.from_numpy(rng.random((5, 3, 60, 25), np.float32))
    return pred, {"listener": listener, "speaker": speaker, "appropriate": np.eye(5) + np.eye(5, k=1)}


@pytest.mark.parametrize("suite", ["react2024-official", "react2024"])
def test_batches_in_any_order_and_repeated_clips(suite: str) -> None:
    pred, references = _react()
    metric = SuiteMetric(suite, **references)
    for rows in ([3, 1], [4, 0, 2], [1]):  # clip 1 comes twice, as padded distributed batches do
        metric.update(pred[rows], torch.tensor(rows))
    scores = score_arrays(suite, pred=pred, **references)
    assert metric.compute() == pytest.approx(scores, nan_ok=True)


def test_a_part_is_scored_among_all_listeners_and_says_so() -> None:
    """What Lightning's sanity check does: two batches, compute, reset."""
    pred, references = _react()
    metric = SuiteMetric("react2024", **references)
    metric.update(pred[[3]], torch.tensor([3]))
    metric.update(pred[[1]], torch.tensor([1]))
    with pytest.warns(UserWarning, match="2 clips that were predicted, not all 5"):
        values = metric.compute()
    order = [1, 3, 0, 2, 4]
    expected = score_arrays(
        "react2024", pred=pred[[1, 3]], listener=references["listener"][order], speaker=references["speaker"][[1, 3]],
        appropriate=references["appropriate"][[1, 3]][:, order],
    )  # fmt: skip
    assert values == pytest.approx(expected, nan_ok=True)
    metric.reset()
    metric.update(pred, torch.arange(5))
    assert metric.compute() == pytest.approx(score_arrays("react2024", pred=pred, **references), nan_ok=True)


@pytest.mark.filterwarnings("error")
def test_calling_the_metric_scores_the_batch_and_keeps_it() -> None:
    pred, references = _react()
    metric, part = (SuiteMetric("react2024", **references) for _ in range(2))
    part.update(pred[:2], torch.arange(2))
    with pytest.warns(UserWarning, match="2 clips"):
        alone = part.compute()
    assert metric(pred[:2], torch.arange(2)) == pytest.approx(alone, nan_ok=True)
    metric(pred[2:].numpy(), np.arange(2, 5))
    assert metric.compute() == pytest.approx(score_arrays("react2024", pred=pred, **references), nan_ok=True)


def test_batches_padded_to_their_own_longest_clip() -> None:
    pred, references = _react()
    lengths = np.array([60, 40, 40, 50, 60])
    metric = SuiteMetric("react2024", **references, lengths=lengths)
    metric.update(pred[1:3, :, :40], [1, 2])
    metric.update(pred[[3, 0, 4]], [3, 0, 4])
    expected = score_arrays("react2024", pred=pred, **references, lengths=lengths)
    assert metric.compute() == pytest.approx(expected, nan_ok=True)
    assert expected != pytest.approx(score_arrays("react2024", pred=pred, **references), nan_ok=True)


def test_it_says_what_it_is_and_draws() -> None:
    pytest.importorskip("matplotlib").use("agg")
    pred, references = _react()
    metric = SuiteMetric("react2024-official", **references)
    assert repr(metric) == "SuiteMetric('react2024-official', 5 clips)"
    metric.update(pred, torch.arange(5))
    figure, axes = metric.plot()
    assert len(axes.lines) == 6
    assert metric.plot([metric.compute()] * 3)[0] is not figure


def test_l2l_and_bad_rows() -> None:
    rng = np.random.default_rng(1)
    target, speaker, pred = rng.standard_normal((3, 4, 80, 56)).astype(np.float32)
    metric = SuiteMetric("l2l", listener=target, speaker=speaker)
    metric.update(torch.from_numpy(pred[2:]), torch.tensor([2, 3]))
    metric.update(torch.from_numpy(pred[:2]), torch.tensor([0, 1]))
    scores = score_arrays("l2l", pred=pred, listener=target, speaker=speaker)
    values = metric.compute()
    assert values == pytest.approx(scores, nan_ok=True)
    metric.update(torch.from_numpy(pred[:1]), torch.tensor([9]))
    with pytest.raises(ValueError, match="clip 9 is not one of the 4"):
        metric.compute()
    with pytest.raises(ValueError, match="1 predictions for 2 clips"):
        metric.update(torch.from_numpy(pred[:1]), torch.tensor([0, 1]))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_from_autocast_counts_as_float32(kind: torch.dtype) -> None:
    pred, references = _react()
    metric = SuiteMetric("react2024", **references)
    metric.update(pred.to(kind), torch.arange(5))
    assert metric.compute() == score_arrays("react2024", pred=pred.to(kind).float(), **references)


def test_computing_before_anything_was_predicted_says_what_to_do() -> None:
    _, references = _react()
    with pytest.raises(ValueError, match="none of the 5 clips has a prediction"):
        SuiteMetric("react2024", **references).compute()


def test_a_second_epoch_without_reset_is_refused() -> None:
    """It gave the first epoch's scores for ever."""
    pred, references = _react()
    metric = SuiteMetric("react2024", **references)
    metric.update(pred, range(5))
    first = metric.compute()
    metric.update(pred, range(5))
    assert metric.compute() == pytest.approx(first, nan_ok=True), "the same again is no harm"
    metric.update(torch.zeros_like(pred), range(5))
    with pytest.raises(ValueError, match=r"clip 0 was predicted twice, and differently; call reset\(\)"):
        metric.compute()


@pytest.mark.parametrize("lengths", [[50.7] * 5, [50] * 3, [True] * 5, ["50"] * 5, [50] * 9, [[50] * 5], [61] * 5])
def test_lengths_are_refused_as_score_arrays_refuses_them(lengths: list[object]) -> None:
    pred, references = _react()
    with pytest.raises(ValueError, match="lengths") as caught:
        score_arrays("react2024", pred=pred, lengths=np.array(lengths), **references)
    with pytest.raises(ValueError, match="lengths") as again:
        SuiteMetric("react2024", lengths=np.array(lengths), **references)
    assert str(again.value) == str(caught.value)


@pytest.mark.parametrize("clip", [[True, False], [0.0, 1.9], 1, [[0, 1]]])
def test_rows_that_are_no_whole_numbers_are_refused(clip: object) -> None:
    pred, references = _react()
    metric = SuiteMetric("react2024", **references)
    with pytest.raises(ValueError, match="the row number of each prediction is expected"):
        metric.update(pred[:2], clip)
    metric.update(pred[:2], [0, 1])
    with pytest.raises(ValueError, match="as many samples, frames and channels"):
        metric.update(pred[2:, :2], [2, 3, 4])
