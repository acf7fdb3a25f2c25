"""What SFMS's scores learn from: an unbiased estimate, nothing from errors that say nothing, and good places."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from dyadbench.api import DECA_56, FACEVERSE_58, MotionSpace, Setup
from dyadbench_sfms.config import TOKENIZER_PRESETS, TokenizerConfig
from dyadbench_sfms.objective import best_of_s, reinforce
from dyadbench_sfms.selection import (
    Draw,
    counts,
    gumbel,
    hard_set,
    log_probability,
    neighbours,
    relaxed_khot,
    spread_set,
    uniform_set,
)
from dyadbench_sfms.tokenizer import SparseTokenizer, channel_weights

SPACE = MotionSpace("bursts", 25.0, ("a", "b"), {"all": (0, 2)})
WINDOW, KEYS, SETS = 32, 4, 4


def _tokenizer(**config: Any) -> SparseTokenizer:
    sizes = {"window": WINDOW, "keyframes": KEYS, "samples": SETS, **config}
    return SparseTokenizer(TokenizerConfig(**{**TOKENIZER_PRESETS["smoke"], **sizes}), Setup(SPACE, {}, False, seed=0))


# --- the estimate ---------------------------------------------------------------------------------------


def test_the_log_probability_is_that_of_ordered_draws_without_replacement() -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0, 9.0])
    valid = torch.tensor([True] * 4 + [False])
    p, total = scores[:4].exp(), 0.0
    for i, j in itertools.permutations(range(4), 2):
        noisy = torch.full((5,), -5.0)
        noisy[i], noisy[j], noisy[4] = 2.0, 1.0, 3.0
        probability = log_probability(scores, noisy, torch.tensor(2), valid).exp()
        assert float(probability) == pytest.approx(float(p[i] / p.sum() * p[j] / (p.sum() - p[i])), rel=1e-5)
        total += float(probability)
    assert total == pytest.approx(1, rel=1e-5)


def test_the_gradient_is_that_of_the_expected_error() -> None:
    """Four frames, sets of two with errors of their own: against the sum over all ordered pairs."""
    torch.manual_seed(0)
    errors = torch.rand(4, 4, dtype=torch.float64)
    errors = errors + errors.T  # of a set, whatever its order
    scores = torch.tensor([1.0, 0.5, 0.0, -1.0], dtype=torch.float64, requires_grad=True)
    p = scores.softmax(0)
    pairs = p[:, None] * p / (1 - p[:, None]) * (1 - torch.eye(4, dtype=torch.float64))
    expected = torch.autograd.grad((pairs * errors).sum(), scores)[0]
    rows, k = 40_000, torch.full((SETS * 40_000,), 2)
    many = scores.expand(SETS * rows, -1)
    noisy, valid = many.detach() + gumbel(many.shape), torch.ones(many.shape, dtype=torch.bool)
    first, second = noisy.topk(2, -1).indices.T
    estimate = reinforce(log_probability(many, noisy, k, valid), errors[first, second], rows)
    gradient = torch.autograd.grad(estimate, scores)[0]
    assert torch.allclose(gradient, expected, atol=0.01)
    assert expected.abs().max() > 0.1


def test_alike_errors_give_no_gradient_at_all_and_the_older_objective_gives_one() -> None:
    scores = torch.linspace(-1, 1, WINDOW).expand(3, -1).clone().requires_grad_()
    valid, alike = torch.ones(3, WINDOW, dtype=torch.bool), torch.ones(SETS * 3)
    torch.manual_seed(0)
    for objective, learns in (("reinforce", False), ("best-of-s", True)):
        tokenizer = _tokenizer(objective=objective, **({"through": 0.0} if learns else {}))
        draw = tokenizer.random_sets(scores.repeat(SETS, 1), valid.repeat(SETS, 1), 1.0)
        grad = torch.autograd.grad(tokenizer._score_loss(scores, valid, draw, alike, 1.0), scores)[0]
        assert bool(grad.abs().max() > 1e-4) is learns


# --- placebo: what is learnt from errors that say nothing -------------------------------------------------


def _motion(rows: int, generator: torch.Generator) -> Tensor:
    """A face that wanders in one quarter of the window and hardly moves in the others: (rows, WINDOW, 2), standardised."""
    quarter = torch.randint(4, (rows, 1), generator=generator)
    speed = 0.05 + (torch.arange(WINDOW) // (WINDOW // 4) == quarter)[..., None].float()
    steps = torch.randn(rows, WINDOW, 2, generator=generator) * speed
    walk = steps.cumsum(1)
    return (walk - walk.mean(1, keepdim=True)) / walk.std()


def _missed(motion: Tensor, keys: Tensor) -> Tensor:
    """Mean squared error of straight lines between keyframes, held before the first and after the last: (R,)."""
    before, after = neighbours(keys)
    place = torch.arange(WINDOW)
    last, first = torch.where(keys, place, before), torch.where(keys, place, after)
    last, first = torch.where(last < 0, first, last), torch.where(first >= WINDOW, last, first)
    share = ((place - last) / (first - last).clamp_min(1))[..., None]

    def at(index: Tensor) -> Tensor:
        return motion.gather(1, index[..., None].expand_as(motion))

    return (at(last) * (1 - share) + at(first) * share - motion).square().mean((1, 2))


def _trained(placebo: bool, steps: int = 150, lr: float = 1e-3, seed: int = 0, **config: Any) -> SparseTokenizer:
    """A tokenizer whose scores alone learn, with straight lines for a codec, from true or from random errors."""
    tokenizer, generator = _tokenizer(**config), torch.Generator().manual_seed(seed)
    assert tokenizer.net.scorer is not None
    adam = torch.optim.Adam(tokenizer.net.scorer.parameters(), lr)
    torch.manual_seed(seed)
    valid = torch.ones(32, WINDOW, dtype=torch.bool)
    for _ in range(steps):
        motion = _motion(32, generator)
        scores = tokenizer.net.scores(motion, valid)
        draw = tokenizer.random_sets(scores.repeat(SETS, 1), valid.repeat(SETS, 1), 0.5)
        each = torch.rand(SETS * 32) if placebo else _missed(motion.repeat(SETS, 1, 1), draw.keys)
        adam.zero_grad()
        tokenizer._score_loss(scores, valid, draw, each, 0.5).backward()
        adam.step()
    return tokenizer


@torch.no_grad()
def _errors(tokenizer: SparseTokenizer) -> dict[str, float]:
    """What the places of a scorer miss on fresh motion: drawn as in training, spread, and of the highest scores; and even ones."""
    motion = _motion(512, torch.Generator().manual_seed(99))
    valid = torch.ones(512, WINDOW, dtype=torch.bool)
    scores, k = tokenizer.net.scores(motion, valid), counts(valid, KEYS)
    torch.manual_seed(1)
    sets = {
        "drawn": tokenizer.random_sets(scores, valid, 1.0).keys,
        "spread": spread_set(relaxed_khot(scores, k, 1.0, valid), k),
        "top-k": hard_set(scores, k, valid),
        "even": uniform_set(k, valid),
    }
    return {name: float(_missed(motion, keys).mean()) for name, keys in sets.items()}


def test_places_learnt_from_random_errors_are_no_worse_than_an_untrained_scorer_s() -> None:
    untrained, placebo = _errors(_tokenizer()), _errors(_trained(True))
    older = _errors(_trained(True, objective="best-of-s", through=0.0, mask_weight=1.0))
    for places in ("drawn", "spread"):
        assert placebo[places] < 1.2 * untrained[places]  # 1.14 at most over five seeds: steps of chance
    assert older["spread"] > 1.5 * untrained["spread"], "the older objective sharpens whatever is drawn"


def test_places_learnt_from_true_errors_are_better_than_even_ones() -> None:
    trained, untrained = _errors(_trained(False, steps=300, lr=3e-3)), _errors(_tokenizer())
    assert trained["drawn"] < 0.95 * untrained["drawn"]
    assert trained["spread"] < 0.95 * trained["even"]
    # The highest scores lie side by side, and learning brings them closer: measured and not wished for.
    assert trained["top-k"] > 3 * trained["even"]  # 3.7 to 7.8 times over five seeds; an untrained scorer's 4.6 times


def test_chance_moves_the_highest_scores_farther_than_the_placebo_test_allows() -> None:
    """Drawn and spread places stay within 1.2 times an untrained scorer's, and those of the paper's `top-k` do not.

    A placebo of eight seeds takes them to 0.63 to 1.42 times (mean 1.12): the paper's choice depends on chance.
    """
    missed = [_errors(_trained(True, seed=seed))["top-k"] for seed in range(3)]
    assert max(missed) > 1.3 * min(missed)


# --- selection and weights ------------------------------------------------------------------------------


def test_spread_places_of_equal_scores_are_even_and_of_clumps_apart() -> None:
    valid = torch.arange(48) < torch.tensor([48, 48, 20, 1])[:, None]
    k = counts(valid, 7)
    equal = spread_set(relaxed_khot(torch.zeros(4, 48), k, 1.0, valid), k)
    assert torch.equal(equal, uniform_set(k, valid))
    hill = -((torch.arange(48.0) - 20) / 12).square()[None]  # the 7 best lie side by side
    whole = valid[:1]
    best, spread = hard_set(hill, k[:1], whole), spread_set(relaxed_khot(hill, k[:1], 1.0, whole), k[:1])
    assert best.nonzero()[:, 1].tolist() == list(range(17, 24))
    gaps = spread.nonzero()[:, 1].diff()
    assert len(gaps) == 6
    assert int(gaps.min()) > 1


def test_a_tokenizer_spreads_its_keyframes_unless_told_otherwise() -> None:
    top, spread = _tokenizer(selection="top-k"), _tokenizer()
    motion = _motion(8, torch.Generator().manual_seed(0))
    keys = [tokenizer.encode_frames(motion)[1] for tokenizer in (top, spread)]
    assert not torch.equal(*keys)
    assert int(keys[1].sum(1).max()) <= KEYS
    assert keys[1].any(1).all()
    tokens = spread.encode(motion.numpy())
    assert spread.decode(tokens, WINDOW)[0].shape == motion.shape


@pytest.mark.parametrize("axis", ["frame", "channel"])
def test_the_error_weighs_groups_alike(axis: str) -> None:
    """The same error in one channel of the rotation (a group of 3) and of the mouth (of 17)."""
    for loss, ratio in (("groups", 17 / 3), ("channels", 1.0)):
        config = TokenizerConfig(**{**TOKENIZER_PRESETS["smoke"], "loss": loss, "keyframe_axis": axis})
        tokenizer = SparseTokenizer(config, Setup(FACEVERSE_58, {}, False, seed=0))
        weights = tokenizer.weights
        assert float(weights.mean()) == pytest.approx(1)
        assert float(weights[52] / weights[30]) == pytest.approx(ratio)
    pieces = channel_weights(TokenizerConfig(), DECA_56)
    assert torch.allclose(pieces[:50], torch.full((50,), 56 / 60))
    assert torch.allclose(pieces[50:], torch.full((6,), 56 / 36))


def test_settings_that_the_objective_does_not_read_are_refused() -> None:
    for name, value in (("through", 0.0), ("mask_weight", 1.0), ("tau", 1.0), ("tau_schedule", "constant")):
        with pytest.raises(ValueError, match=f"{name} belongs to objective 'best-of-s'"):
            TokenizerConfig(**{name: value})  # type: ignore[arg-type]
        TokenizerConfig(objective="best-of-s", **{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="samples to 2 or more"):
        TokenizerConfig(samples=1)
    assert TokenizerConfig(samples=1, placement="static") == TokenizerConfig(
        samples=1, placement="static", selection="top-k"
    )
    with pytest.raises(ValueError, match="selection 'spread'"):
        TokenizerConfig(selection="spread", placement="static")


def test_the_older_target_is_the_best_of_the_drawn_sets() -> None:
    tokenizer = _tokenizer(objective="best-of-s", through=0.0, mask_weight=1.0)
    scores = torch.zeros(2, WINDOW, requires_grad=True)
    valid = torch.ones(2, WINDOW, dtype=torch.bool)
    sets = torch.zeros(3, 2, WINDOW, dtype=torch.bool)
    for s in range(3):
        sets[s, :, 10 * s : 10 * s + KEYS] = True
    each = torch.tensor([3.0, 1.0, 2.0, 2.0, 1.0, 3.0])  # the last is best for row 0, the first for row 1
    p = tokenizer.probability(scores, valid, 1.0)
    target = torch.stack([sets[2, 0], sets[0, 1]]).float()
    draw = Draw(sets.flatten(0, 1), torch.zeros(6))
    loss = tokenizer._score_loss(scores, valid, draw, each, 1.0)
    assert loss.item() == pytest.approx((p - target).abs().mean().item())
    assert loss.item() == pytest.approx(best_of_s(p, draw.keys, each).item())
    uphill = -torch.autograd.grad(loss, scores)[0]
    assert (uphill * target).sum() > 0 > (uphill * (1 - target)).sum()
