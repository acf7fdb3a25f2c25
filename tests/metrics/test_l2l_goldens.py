"""Every published reading of the L2L metrics against values of the published code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dyadbench.metrics.l2l.bilateral import bilateral
from dyadbench.metrics.l2l.official import official_l2, statistics
from dyadbench.metrics.l2l.readings import score_l2l

GOLDENS = Path(__file__).parents[1] / "goldens" / "l2l"
INDEX = json.loads((GOLDENS / "index.json").read_text(encoding="utf-8"))["cases"]
REFERENCE = {case["case"]: case["reference"] for case in INDEX}
CASES = [name for name in REFERENCE if name != "l2l_official_l2"]
CENTROIDS = {
    "dim.SI.expression": "dim_sid_centroids_exp40",
    "dim.SI.pose": "dim_sid_centroids_pose20",
    "SI.expression": "si_centroids_exp15",
    "SI.rotation": "si_centroids_rot9",
}
FD = {"rel": 1e-6, "abs": 1e-9}
PLAIN = {"rel": 1e-5, "abs": 1e-9}
STS = {"rel": 1e-4, "abs": 1e-9}
SI = {"rel": 1e-9, "abs": 1e-9}


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDENS / f"{name}.npz", allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[dict[str, float], dict[str, Any]]:
    z = load(request.param)
    centroids = {ours: z[theirs] for ours, theirs in CENTROIDS.items()}
    return score_l2l(z["pred"], z["gt"], z["speaker"], z["lengths"], centroids=centroids), REFERENCE[request.param]


def compare(ours: dict[str, float], expected: dict[str, tuple[float, dict[str, float]]]) -> None:
    wrong = {
        key: (ours[key], value) for key, (value, tol) in expected.items() if ours[key] != pytest.approx(value, **tol)
    }
    assert not wrong


def test_lm_listener(case: tuple[dict[str, float], dict[str, Any]]) -> None:
    ours, r = case
    m = r["lm_listener"]["mean"]
    expected = {"lm.FD": (m["fid"], FD), "lm.P-FD": (m["fid2"], FD), "lm.L2": (m["l2"], PLAIN)}
    expected |= {"lm.variation": (m["var"], PLAIN), "lm.variation_target": (m["var_gt"], PLAIN)}
    expected |= {"lm.diversity": (m["diversity"], PLAIN), "lm.diversity_target": (m["diversity_gt"], PLAIN)}
    compare(ours, expected)


def test_dim(case: tuple[dict[str, float], dict[str, Any]]) -> None:
    ours, r = case
    d = r["dim_print_metrics"] | r["dim_print_metrics_full"]
    expected = {}
    for group, short in (("expression", "exp"), ("pose", "pose"), ("full", "full")):
        expected[f"dim.FD.{group}"] = (d[f"fid_{short}"], FD)
        expected[f"dim.P-FD.{group}"] = (d[f"pfid_{short}"], FD)
        expected[f"dim.L2.{group}"] = (d[f"mse_{short}"], PLAIN)
        expected[f"dim.variation.{group}_target"] = (d[f"var_{short}"][0], PLAIN)
        expected[f"dim.variation.{group}"] = (d[f"var_{short}"][1], PLAIN)
        if short != "full":
            expected[f"dim.RPCC.{group}"] = (d[f"rpcc_{short}"], PLAIN)
            expected[f"dim.STS.{group}"] = (d[f"sts_{short}"], STS)
    compare(ours, expected)


def test_dualtalk(case: tuple[dict[str, float], dict[str, Any]]) -> None:
    ours, r = case
    names = {"FD": "fid", "P-FD": "p_fid", "L2": "mse", "variation": "variance", "RPCC": "rpcc", "STS": "sts"}
    expected = {}
    for group, short in (("expression", "exp"), ("rotation", "pose"), ("jaw", "jaw")):
        for name, theirs in names.items():
            tol = FD if "FD" in name else STS if name == "STS" else PLAIN
            expected[f"dualtalk.{name}.{group}"] = (r["dualtalk"][f"{theirs}_{short}"], tol)
        expected[f"dualtalk.variation.{group}_target"] = (r["dualtalk"][f"variance_gt_{short}"], PLAIN)
    compare(ours, expected)


def test_open_readings(case: tuple[dict[str, float], dict[str, Any]]) -> None:
    ours, r = case
    names = {
        "FD.pooled": "FD_pooled",
        "P-FD.pooled": "PFD_pooled",
        "FD.per-clip": "FD_perclip",
        "L2.mse": "L2_mse",
        "L2.frame-norm": "L2_norm_per_frame",
        "L2.clip-norm": "L2_norm_per_seq",
        "L2.frame-sqnorm": "L2_sqnorm_per_frame",
        "variation.time-mean": "VAR_time_mean_dims",
        "variation.time-sum": "VAR_time_sum_dims",
    }
    expected = {}
    for group, short in (("expression", "exp"), ("rotation", "rot3"), ("pose", "pose6")):
        for name, theirs in names.items():
            expected[f"{name}.{group}"] = (r["variants"][f"{theirs}_{short}"], FD if "FD" in name else PLAIN)
            if name.startswith("variation"):
                expected[f"{name}.{group}_target"] = (r["variants"][f"{theirs}_gt_{short}"], PLAIN)
    compare(ours, expected)


def test_shannon_index_with_shipped_centroids(case: tuple[dict[str, float], dict[str, Any]]) -> None:
    ours, r = case
    readings = {
        "global-nats": "global_nats",
        "global-bits": "global_bits",
        "global-bits-eps": "global_bits_eps1e-6",
        "clip-nats": "perseq_mean_nats",
        "clip-bits": "perseq_mean_bits",
    }
    expected = {}
    for group, short in (("expression", "exp"), ("rotation", "rot3")):
        for side, suffix in (("pred", ""), ("gt", "_target")):
            values = r["shannon_index_k15_exp_k9_rot3_given_centroids"][short][side]
            expected |= {f"SI.{o}.{group}{suffix}": (values[t], SI) for o, t in readings.items()}
    for group, short in (("expression", "exp"), ("pose", "pose")):
        pred, target = r["dim_print_metrics"][f"sid_{short}"]
        expected |= {f"dim.SI.{group}": (pred, SI), f"dim.SI.{group}_target": (target, SI)}
    compare(ours, expected)


def test_per_clip_values_of_lm_listener() -> None:
    z = load("ragged")
    r = REFERENCE["ragged"]["lm_listener"]["per_clip"]
    start = 0
    for n, frames in enumerate(z["lengths"]):
        cut = slice(start, start + int(frames))
        start += int(frames)
        one = score_l2l(z["pred"][cut], z["gt"][cut], z["speaker"][cut], [int(frames)])
        assert one["lm.FD"] == pytest.approx(r["fid"][n], **FD)
        assert one["lm.P-FD"] == pytest.approx(r["fid2"][n], **FD)
        assert one["lm.L2"] == pytest.approx(r["l2"][n], **PLAIN)
        assert one["lm.variation"] == pytest.approx(r["var"][n], **PLAIN)


def test_refits_agree_with_the_published_ones_where_scikit_learn_is_the_same() -> None:
    sklearn = pytest.importorskip("sklearn")
    made_with = json.loads((GOLDENS / "index.json").read_text(encoding="utf-8"))["sklearn"]
    if sklearn.__version__ != made_with:
        pytest.skip(f"the values were made with scikit-learn {made_with}; others move them by per cents")
    z, r = load("ragged"), REFERENCE["ragged"]
    ours = score_l2l(z["pred"], z["gt"], z["speaker"], z["lengths"], fit="sklearn")
    for group, short in (("expression", "exp"), ("rotation", "pose"), ("jaw", "jaw")):
        assert ours[f"dualtalk.SI.{group}"] == pytest.approx(r["dualtalk"][f"sid_{short}"], rel=1e-6)
    for group, short in (("expression", "exp"), ("pose", "pose")):
        assert ours[f"dim.SI.{group}"] == pytest.approx(r["dim_print_metrics"][f"sid_{short}"][0], rel=1e-6)


def test_official_l2() -> None:
    z, r = load("l2l_official_l2"), REFERENCE["l2l_official_l2"]
    mean, std = statistics(z["train"])
    np.testing.assert_allclose(mean, z["mean"][0, 0], atol=1e-6)
    np.testing.assert_allclose(std, z["std"][0, 0], rtol=1e-6)
    np.testing.assert_allclose(bilateral(z["test"]), z["test_smoothed"], atol=1e-6)
    ours = official_l2(z["pred_standardised"], z["test"], z["train"], standardised=True)
    assert ours["l2l.L2"] == pytest.approx(r["overall_l2"], rel=1e-6)
    assert ours["l2l.L2.raw"] == pytest.approx(r["overall_l2_unstandardised"], rel=1e-6)
    for ours_name, theirs in (("expression", "exp50"), ("pose", "pose6"), ("rotation", "rot3")):
        assert ours[f"l2l.L2.{ours_name}"] == pytest.approx(r["split_same_formula"][theirs], rel=1e-6)
    raw = z["pred_standardised"] * std + mean
    through = score_l2l(raw, z["test"], z["test"], train=z["train"])
    assert through["l2l.L2"] == pytest.approx(r["overall_l2"], rel=1e-6)
