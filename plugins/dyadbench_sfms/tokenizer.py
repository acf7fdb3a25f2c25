"""A few quantised keyframes per window of 48 frames, and the motion inpainted from them (arXiv 2504.05748).

Each frame has a score, and the scores choose the keyframes. The scorer has an optimiser of its own and learns from the
reconstruction errors of S random sets. Everything else learns on all S sets; during the warm-up these are uniform.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dyadbench.api import (
    Array,
    Dyad,
    DyadbenchError,
    Loss,
    MotionSpace,
    Optimiser,
    Setup,
    Stage,
    Tokens,
    TokenSpec,
    TrainData,
    WindowBatch,
    Windows,
)  # fmt: skip
from dyadbench.nn.component import NetComponent, to_tensor
from dyadbench.nn.losses import groups_of
from dyadbench.nn.schedules import ramp
from dyadbench_sfms.config import TokenizerConfig
from dyadbench_sfms.network import SparseNet
from dyadbench_sfms.objective import best_of_s, reinforce
from dyadbench_sfms.pictures import Strip, picture, strongest
from dyadbench_sfms.selection import (
    Draw,
    adaptive_set,
    counts,
    gumbel,
    hard_set,
    log_probability,
    relaxed_khot,
    spread_set,
    straight_through,
    uniform_set,
)

CHUNK = 32_768  # rows x frames that go through the network at once when a whole split is encoded or decoded


def temperature(config: TokenizerConfig, progress: float) -> float:
    """Temperature of the relaxed k-hot when the share `progress` of the training is done."""
    if config.tau_schedule == "constant":
        return config.tau
    return float(config.tau * (config.tau_end / config.tau) ** min(1.0, max(0.0, progress) / 0.6))


def channel_weights(config: TokenizerConfig, space: MotionSpace) -> Tensor:
    """Of each channel in the error, (D,), 1 on average."""
    weights = torch.ones(space.dim)
    if config.loss == "groups":
        groups = groups_of(space)
        for start, stop in groups:
            weights[start:stop] = space.dim / (len(groups) * (stop - start))
    return weights


class SparseTokenizer(NetComponent[SparseNet]):
    """api.Tokenizer and api.Trainable over any motion space; decodes motion only.

    Ids are (B, N) with `keyframes` (B, T); with keyframes per channel, ids are (B, N, D, 1) with `keyframes` (B, T, D).
    With adaptive placements, clips differ in their number of tokens; shorter rows are filled up with code 0.
    """

    def __init__(self, config: TokenizerConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.build_net(lambda: SparseNet(config, setup.space.dim), setup)
        self.weights = channel_weights(config, setup.space).to(self.device)
        self.tokens = TokenSpec(
            self.net.quantizer.codes, frames_per_token=1 if config.placement == "none" else None,
            groups=setup.space.dim if self.net.apart else 1, lookahead=config.window - 1,
        )  # fmt: skip

    # --- keyframes --------------------------------------------------------------------------------------

    def keyframes_of(self, scores: Tensor, valid: Tensor) -> Tensor:
        """The keyframes outside training, without randomness: scores (R, T) -> bool (R, T)."""
        config = self.config
        if config.placement == "none":
            return valid
        if config.placement in ("threshold", "penalty"):
            return adaptive_set(scores, config.threshold, valid)
        k = counts(valid, config.keyframes)
        if config.placement == "static":
            return uniform_set(k, valid)
        if config.selection == "spread":
            return spread_set(relaxed_khot(scores, k, 1.0, valid), k)
        return hard_set(scores, k, valid)

    def random_sets(self, scores: Tensor, valid: Tensor, tau: float) -> Draw:
        """One random set per row: scores, valid (R, T)."""
        relaxed = self.config.objective == "best-of-s"
        if self.config.placement in ("threshold", "penalty"):
            # Each frame is drawn by itself; the difference of two Gumbels is logistic noise.
            noisy = scores + gumbel(scores.shape, scores.device) - gumbel(scores.shape, scores.device)
            hard = adaptive_set(noisy, 0.5, valid)
            # log_p leaves out the fallback, the one keyframe of a row in which no frame was drawn.
            chance = torch.where(noisy > 0, scores, -scores)
            log_p = (logsigmoid(chance) * valid).sum(-1)
            return Draw(hard, log_p, straight_through(hard, (noisy / tau).sigmoid() * valid) if relaxed else None)
        k = counts(valid, self.config.keyframes)
        noisy = scores + gumbel(scores.shape, scores.device)
        hard = hard_set(noisy, k, valid)
        gate = straight_through(hard, relaxed_khot(noisy, k, tau, valid)) if relaxed else None
        return Draw(hard, log_probability(scores, noisy.detach(), k, valid), gate)

    def probability(self, scores: Tensor, valid: Tensor, tau: float = 1.0) -> Tensor:
        """The relaxed probability that a frame is a keyframe: (R, T)."""
        if self.config.placement in ("threshold", "penalty"):
            return scores.sigmoid() * valid
        return relaxed_khot(scores, counts(valid, self.config.keyframes), tau, valid)

    # --- use --------------------------------------------------------------------------------------------

    def windows(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, ...) -> (B * W, window, ...) with zeros after the end, and which frames exist (B * W, window)."""
        size, (rows, frames) = self.config.window, motion.shape[:2]
        spare = -frames % size
        padded = torch.cat([motion, motion.new_zeros(rows, spare, *motion.shape[2:])], 1)
        valid = (torch.arange(frames + spare, device=motion.device) < frames).expand(rows, -1)
        return padded.unflatten(1, (-1, size)).flatten(0, 1), valid.unflatten(1, (-1, size)).flatten(0, 1)

    def _size(self) -> int:
        """Windows that go through the network at once."""
        return max(1, CHUNK // (self.config.window * (self.net.channels if self.net.apart else 1)))

    @torch.no_grad()
    def encode_frames(self, motion: Tensor, keys: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Motion (B, T, D) -> ids and keyframes, (B, T) or (B, T, D) each. `keys`, of that shape, replaces the scores."""
        self.net.eval()
        rows, frames = motion.shape[:2]
        x, valid = self.windows((motion - self.net.mean) / self.net.scale)
        given = None if keys is None else self.windows(keys)[0]
        parts = []
        for first in range(0, len(x), self._size()):
            part, exists_here = x[first : first + self._size()], valid[first : first + self._size()]
            exists = self.net.each(exists_here)
            keyframes_here = self.keyframes_of(self.net.scores(part, exists_here), exists)
            if given is not None:
                keyframes_here = self.net.lines(given[first : first + self._size()])
            latents = self.net.encode(self.net.rows(part), keyframes_here, exists)
            parts.append((self.net.grid(self.net.quantise(latents, keyframes_here)[1]), self.net.grid(keyframes_here)))
        ids, keyframes = (self._joined([pair[n] for pair in parts], rows, frames) for n in (0, 1))
        return ids, keyframes

    def _joined(self, parts: list[Tensor], rows: int, frames: int) -> Tensor:
        """Windows in a row (B * W, window, ...) -> (B, frames, ...)."""
        whole = torch.cat(parts)
        return whole.reshape(rows, -1, *whole.shape[2:])[:, :frames]

    @torch.no_grad()
    def inpaint(self, ids: Tensor, keys: Tensor) -> Tensor:
        """Ids and keyframes, (B, T) or (B, T, D) each -> motion (B, T, D).

        Raises ValueError where a window has no keyframe.
        """
        self.net.eval()
        rows, frames = ids.shape[:2]
        (codes, valid), marks = self.windows(ids), self.windows(keys)[0]
        if not marks.any(1).all():
            raise ValueError(f"a window of {self.config.window} frames has no keyframe to decode from")
        motions = []
        for first in range(0, len(codes), self._size()):
            stop = first + self._size()
            part, where = self.net.lines(codes[first:stop]), self.net.lines(marks[first:stop])
            exists = self.net.each(valid[first:stop])
            motions.append(self.net.motion(self.net.decode(self.net.vectors(part, where), where, exists)))
        return self._joined(motions, rows, frames) * self.net.scale + self.net.mean

    def encode(self, motion: Array) -> Tokens:
        """(B, T, D) -> ids at keyframes. Raises DyadbenchError where D is not the space's."""
        space = self.setup.space
        if motion.ndim != 3 or motion.shape[1] == 0 or motion.shape[2] != space.dim:
            raise DyadbenchError(f"{space.name} motion is (B, T, {space.dim}), got {motion.shape}; check the dataset")
        ids, keys = self.encode_frames(to_tensor(motion, self.device))
        number = keys.sum(1).max()  # of tokens; where clips differ in it, the others are padded
        order = keys.long().argsort(dim=1, descending=True, stable=True)[:, : int(number)]
        sparse = (ids * keys).gather(1, order).cpu().numpy()
        return Tokens(sparse[..., None] if self.net.apart else sparse, keys.cpu().numpy(), motion.shape[1])

    def decode(self, tokens: Tokens, frames: int) -> tuple[Array, None]:
        """ids at keyframes -> motion (B, frames, D) and no emotion.

        Raises ValueError for an id outside the book, fewer ids than keyframes, or keyframes that do not fit.
        """
        ids = to_tensor(tokens.ids, self.device)
        ids = ids[..., 0] if self.net.apart and ids.dim() == 4 else ids
        if tokens.keyframes is None:
            if self.config.placement != "none":
                raise ValueError("sparse tokens need keyframes (B, T), and these have none")
            keys = torch.ones(ids.shape, dtype=torch.bool, device=self.device)
        else:
            keys = to_tensor(tokens.keyframes, self.device)
        if keys.dim() != ids.dim() or keys.shape[1] < frames or keys.shape[2:] != ids.shape[2:]:
            raise ValueError(
                f"keyframes {tuple(keys.shape)} do not cover {frames} frames, or do not match ids {tuple(ids.shape)}"
            )
        if int(keys.sum(1).max()) > ids.shape[1]:
            raise ValueError(f"{int(keys.sum(1).max())} keyframes need one id each, but there are {ids.shape[1]} ids")
        # The n-th keyframe of a row reads the row's n-th id.
        at = (keys.long().cumsum(1) - 1).clamp_min(0)
        return self.inpaint(ids.gather(1, at)[:, :frames], keys[:, :frames]).float().cpu().numpy(), None

    @torch.no_grad()
    def draw(self, dyad: Dyad, channels: int = 4) -> Mapping[str, str]:
        """The listener's most varying channels, their keyframes and the inpainted motion (api.Drawable)."""
        truth = dyad.listener.motion
        motion = to_tensor(truth, self.device)[None]
        ids, keys = self.encode_frames(motion)
        painted = self.inpaint(ids, keys)[0].cpu().numpy()
        x, valid = self.windows((motion - self.net.mean) / self.net.scale)
        p = self.net.grid(self.probability(self.net.scores(x, valid), self.net.each(valid)).clamp(max=1.0))
        whole = p.flatten(0, 1)[: len(truth)].cpu().numpy()
        places = keys[0].cpu().numpy()
        names = self.setup.space.channels

        def strip(c: int) -> Strip:
            own = (whole[:, c], places[:, c]) if self.net.apart else (whole, places)
            return Strip(names[c], truth[:, c], painted[:, c], *own)

        title = f"{dyad.clip.id}: keyframes of the listener"
        strips = [strip(c) for c in strongest(truth / self.net.scale.cpu().numpy(), channels)]
        return {"keyframes": picture(title, strips, self.setup.space.fps)}

    # --- training ---------------------------------------------------------------------------------------

    def _sets(self, scores: Tensor, valid: Tensor, batch: WindowBatch, tau: float) -> Draw:
        """The sets that this batch learns on, (S * R, T)."""
        if batch.step < 0 or self.net.scorer is None:
            return Draw(self.keyframes_of(scores, valid), scores.sum(1) * 0)
        s = self.config.samples
        return self.random_sets(scores.repeat(s, 1), valid.repeat(s, 1), tau)

    def _loss(self, batch: WindowBatch) -> Loss:
        """Eq. 13. "rest": error of all sets plus the quantiser's losses. "scores": distance to the best set."""
        config, net, valid = self.config, self.net, batch.valid
        x = (batch.listener_motion - net.mean) / net.scale
        exists, tau = net.each(valid), temperature(config, batch.progress)
        scores = net.scores(x, valid)
        warmup = 0 <= batch.progress < config.warmup_share
        draw = self._sets(torch.zeros_like(scores) if warmup else scores, exists, batch, tau)
        hard, sets = draw.keys, len(draw.keys) // len(scores)
        rows, exists_all = net.rows(x).repeat(sets, 1, 1), exists.repeat(sets, 1)
        quantised, _, aux, distance = net.quantise(net.encode(rows, hard, exists_all), hard)
        square = (net.decode(quantised, hard, exists_all, draw.gate) - rows).square()
        if net.apart:  # a row is a channel
            square = square * self.weights.repeat(len(square) // net.channels)[:, None, None]
        else:
            square = square * self.weights
        error_of_frames = square.mean(-1) * exists_all
        each = error_of_frames.sum(1) / exists_all.sum(1).clamp_min(1)  # (S * R,)
        error = each.mean()
        total = {"rest": error + aux + config.quantisation * distance}
        log = {"error": error.detach(), "keyframes": hard.sum(1).float().mean()}
        if net.scorer is not None:
            unscored = warmup or batch.step < 0
            total["scores"] = scores.sum() * 0 if unscored else self._score_loss(scores, exists, draw, each, tau)
        return Loss(total, log)

    def _score_loss(self, scores: Tensor, valid: Tensor, draw: Draw, each: Tensor, tau: float) -> Tensor:
        """The loss of the scores (R, T), from the sets' errors `each` (S * R,)."""
        config = self.config
        if config.objective == "reinforce":
            loss = reinforce(draw.log_p, each, len(scores))
        else:
            p = self.probability(scores, valid, tau)
            loss = config.through * each.mean() + config.mask_weight * best_of_s(p, draw.keys, each)
        if config.placement == "penalty":
            loss = loss + config.sparsity * self.probability(scores, valid, tau).mean()
        return loss

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config, net = self.config, self.net
        frames = np.concatenate([dyad.listener.motion for dyad in data.dyads("train")])
        net.mean.copy_(torch.from_numpy(frames.mean(0)))
        net.scale.copy_(torch.from_numpy(frames.std(0) + 1e-3))
        schedule, scorer = ramp(config.warmup, steps=config.steps), net.scorer
        rest = [p for name, p in net.named_parameters() if not name.startswith("scorer.")]
        both = [Optimiser("rest", rest, config.lr, (0.9, 0.98), config.weight_decay, schedule)]
        if scorer is not None:
            both.append(Optimiser("scores", list(scorer.parameters()), config.score_lr, (0.9, 0.98), 0.0, schedule))
        yield Stage(
            "tokenizer", net, Windows(config.window, config.batch), self._loss, tuple(both), config.steps, clip_norm=1.0,
            validate_every=config.validate_every, select="error" if config.validate_every else None,
        )  # fmt: skip
        net.eval()
