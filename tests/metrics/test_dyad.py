"""The dyad suites against their formulas written out plainly, and what they must not be fooled by."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.linalg

from dyadbench.api import DyadbenchError, Evaluation, MotionSpace
from dyadbench.metrics.dyad import DyadSuite

SPACE = MotionSpace("made-up", 20.0, ("a", "b", "c"), {"two": (0, 2), "one": (2, 3)})
SUITE = DyadSuite(("two", "one"))
LENGTHS = (150, 180, 160, 170)
FRAMES = max(LENGTHS)


def _evaluation(seed: int = 0, clips: int = len(LENGTHS)) -> Evaluation:
    rng = np.random.default_rng(seed)
    walk = lambda *shape: np.cumsum(rng.normal(0, 0.2, (*shape, FRAMES, 3)), -2).astype(np.float32)  # noqa: E731  # a name for one expression
    speaker, listener = walk(clips), walk(clips)
    pred = 0.5 * listener[:, None] + walk(clips, 2)
    return Evaluation(
        clips=tuple(map(str, range(clips))), lengths=np.array(LENGTHS[:clips]), space=SPACE, predicted_motion=pred,
        predicted_emotion=None, listener_motion=listener, speaker_motion=speaker,
    )  # fmt: skip


def _frechet(x: np.ndarray, y: np.ndarray) -> float:
    a, b = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    root = np.real(scipy.linalg.sqrtm(a @ b))
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * np.trace(root))


def _lagged(x: np.ndarray, s: np.ndarray) -> tuple[float, float]:
    """Strongest mean correlation over lags of up to 49 frames, and its |lag| in seconds."""
    best = (-2.0, 0)
    for lag in range(-49, 50):
        p, q = (x[lag:], s[: len(s) - lag]) if lag >= 0 else (x[:lag], s[-lag:])
        r = float(np.mean([np.corrcoef(p[:, c], q[:, c])[0, 1] for c in range(p.shape[1])]))
        best = max(best, (r, abs(lag)))
    return best[0], best[1] / SPACE.fps


def test_every_value_is_the_plain_formula() -> None:
    data = _evaluation()
    scores = SUITE.evaluate(data)
    for group in SPACE.groups:
        at = SPACE.slice(group)
        rows: dict[str, list[float]] = {}
        for n, frames in enumerate(LENGTHS):
            y, s = (side[n, :frames, at].astype(float) for side in (data.listener_motion, data.speaker_motion))
            each: dict[str, list[float]] = {}
            for x in data.predicted_motion[n, :, :frames, at].astype(float):
                cov = ((x - x.mean(0)) * (y - y.mean(0))).mean(0)
                strength, lag = _lagged(x, s)
                values = {
                    "CCC": np.mean(2 * cov / (x.var(0) + y.var(0) + (x.mean(0) - y.mean(0)) ** 2 + 1e-8)),
                    "PCC": np.mean([np.corrcoef(x[:, c], y[:, c])[0, 1] for c in range(x.shape[1])]),
                    "L2": np.mean([np.sqrt(((x[t] - y[t]) ** 2).sum()) for t in range(frames)]),
                    "variation": np.mean(np.var(x, axis=0)),
                    "sync": strength,
                    "lag": lag,
                }
                for name, value in values.items():
                    each.setdefault(name, []).append(float(value))
            for name, values_of in each.items():
                rows.setdefault(name, []).append(float(np.mean(values_of)))
            rows.setdefault("sync_target", []).append(_lagged(y, s)[0])
            one, two = data.predicted_motion[n, :, :frames, at].astype(float)
            rows.setdefault("samples", []).append(float(((one - two) ** 2).mean()))
        for name, per_clip in rows.items():
            head, _, suffix = name.partition("_")
            result = scores[f"{head}.{group}" + (f"_{suffix}" if suffix else "")]
            assert result.per_clip == pytest.approx(per_clip, abs=2e-6), (name, group)
            assert result.value == pytest.approx(np.mean(per_clip), abs=2e-6)


def test_pooled_distances_are_of_all_frames_and_their_values_per_clip_a_jackknife() -> None:
    data = _evaluation()
    scores = SUITE.evaluate(data)

    def pooled(clips: list[int], at: slice, paired: bool) -> float:
        sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for n in clips:
            cut = slice(0, LENGTHS[n])
            s = data.speaker_motion[n, cut, at]
            for x in data.predicted_motion[n, :, cut, at]:
                sides[0].append(np.hstack([s, x]) if paired else x)
                y = data.listener_motion[n, cut, at]
                sides[1].append(np.hstack([s, y]) if paired else y)
        return _frechet(*(np.concatenate(side).astype(float) for side in sides))

    for group in SPACE.groups:
        for name, paired in (("FD-pooled", False), ("P-FD-pooled", True)):
            result, everybody = scores[f"{name}.{group}"], list(range(len(LENGTHS)))
            whole = pooled(everybody, SPACE.slice(group), paired)
            assert result.value == pytest.approx(whole, rel=2e-3), "a covariance of twice as many frames less one"
            assert np.mean(result.per_clip) == pytest.approx(result.value)
            without = [pooled([m for m in everybody if m != n], SPACE.slice(group), paired) for n in everybody]
            pseudo = len(everybody) * whole - (len(everybody) - 1) * np.array(without)
            assert result.per_clip == pytest.approx(pseudo + whole - pseudo.mean(), rel=0.05, abs=0.02)


def test_diversity_is_the_difference_between_clips() -> None:
    data = _evaluation()
    short = min(LENGTHS)
    result = SUITE.evaluate(data)["diversity.two"]
    p = data.predicted_motion[:, :, :short, :2].astype(float)
    pairs = [((p[n] - p[m]) ** 2).mean() for n in range(len(p)) for m in range(len(p)) if n != m]
    assert result.value == pytest.approx(np.mean(pairs), rel=1e-6)
    assert np.mean(result.per_clip) == pytest.approx(result.value)


def test_the_true_listener_is_perfect_and_a_copy_of_the_speaker_is_too_synchronous() -> None:
    data = _evaluation()
    truth = SUITE.evaluate(dataclasses.replace(data, predicted_motion=data.listener_motion[:, None]))
    copy = SUITE.evaluate(dataclasses.replace(data, predicted_motion=data.speaker_motion[:, None]))
    for group in SPACE.groups:
        assert truth[f"CCC.{group}"].value == pytest.approx(1, abs=1e-6)
        for name in ("L2", "FD-pooled", "P-FD-pooled"):
            assert truth[f"{name}.{group}"].value == pytest.approx(0, abs=1e-9)
        for name in ("variation", "diversity", "sync", "lag"):
            assert truth[f"{name}.{group}"].value == truth[f"{name}.{group}_target"].value
        assert copy[f"sync.{group}"].value == pytest.approx(1, abs=1e-5) and copy[f"lag.{group}"].value == 0
    assert truth["CCC"].value == pytest.approx(1, abs=1e-6)


def test_standing_still_is_zero_and_only_what_nobody_could_know_is_undefined() -> None:
    data = _evaluation()
    still = SUITE.evaluate(dataclasses.replace(data, predicted_motion=np.zeros_like(data.predicted_motion)))
    for name in ("CCC", "PCC", "sync"):
        assert still[f"{name}.two"].value == 0 and still[f"{name}.two"].undefined == 0
    assert still["lag.two"].value is None and still["lag.two"].undefined == len(LENGTHS)
    silent = data.listener_motion.copy()
    silent[1, :, 2] = 0.0  # the one channel of group "one", in one clip
    both = dataclasses.replace(data, listener_motion=silent, predicted_motion=np.zeros_like(data.predicted_motion))
    assert np.isnan(SUITE.evaluate(both)["CCC.one"].per_clip).tolist() == [False, True, False, False]
    moving = SUITE.evaluate(dataclasses.replace(data, listener_motion=silent))
    assert moving["CCC.one"].per_clip[1] == 0, "it moved where the listener did not"
    assert np.isnan(moving["PCC.one"].per_clip[1])


def test_foreign_spaces_and_broken_motion_are_refused() -> None:
    data = _evaluation()
    with pytest.raises(ValueError, match="no group 'jaw'"):
        DyadSuite(("two", "jaw")).evaluate(data)
    with pytest.raises(ValueError, match="have none"):
        SUITE.evaluate(dataclasses.replace(data, predicted_motion=None))
    broken = data.predicted_motion.copy()
    broken[2, 0, 5, 1] = np.nan
    with pytest.raises(ValueError, match="clip '2' holds NaN"):
        SUITE.evaluate(dataclasses.replace(data, predicted_motion=broken))
    with pytest.raises(ValueError, match="must be"):
        SUITE.evaluate(dataclasses.replace(data, predicted_motion=data.predicted_motion[..., :2]))


def test_one_clip_alone_has_values() -> None:
    scores = SUITE.evaluate(_evaluation(clips=1))
    assert scores["FD-pooled.two"].per_clip == pytest.approx([scores["FD-pooled.two"].value])
    assert scores["diversity.two"].value is None
    assert {column.id for column in SUITE.columns} == set(scores)


def test_groups_that_were_not_read_are_undefined_only_where_that_is_allowed() -> None:
    scores = DyadSuite(("two", "jaw"), all_groups=False).evaluate(_evaluation())
    assert scores["CCC.two"].value == SUITE.evaluate(_evaluation())["CCC.two"].value
    assert scores["CCC.jaw"].value is None and scores["CCC.jaw"].undefined == len(LENGTHS)
    with pytest.raises(ValueError, match="no group 'jaw'"):
        DyadSuite(("jaw",), all_groups=False).evaluate(_evaluation())


def test_a_benchmark_says_which_groups_and_metrics_are_scored() -> None:
    from dyadbench.registry.host import Host

    host = Host()
    suite = host.build("suite", "dyad[smile, gaze;CCC,variation]", {})
    ids = [column.id for column in suite.columns]
    assert ids == [
        "CCC.smile",
        "variation.smile",
        "CCC.gaze",
        "variation.gaze",
        "CCC",
        "variation.smile_target",
        "variation.gaze_target",
    ]
    assert suite.groups == ("smile", "gaze")
    with pytest.raises(Exception, match="no metric 'XYZ'; there are CCC, L2"):
        host.build("suite", "dyad[smile;XYZ]", {})
    with pytest.raises(DyadbenchError, match="did you mean dyad"):
        host.get("suite", "dyadd[smile]")
