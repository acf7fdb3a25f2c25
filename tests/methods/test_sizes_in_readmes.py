"""The numbers of parameters that READMEs give are those of the networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.fixtures.hosts import shared_host

from dyadbench.api import DECA_56, FACEVERSE_58, AudioSpec, Setup
from dyadbench.matrix.cells import MethodSpec, method_parts

PLUGINS = Path(__file__).parents[2] / "plugins"
FACEVERSE = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78)}, True, seed=0)
DECA = Setup(DECA_56, {"mel-128": AudioSpec(128, 4)}, False, seed=0)


def _millions(method: str, setup: Setup, **settings: str) -> tuple[float, float]:
    """Parameters of tokenizer and predictor at the preset `paper`, in millions."""
    host = shared_host()
    spec = MethodSpec(name=method, preset="paper", settings={f"predictor.{k}": v for k, v in settings.items()})
    predictor, tokenizer = method_parts(host, spec)
    assert tokenizer is not None
    tokens = host.build("tokenizer", tokenizer.name, tokenizer.config, setup)
    network = host.build("predictor", predictor.name, predictor.config, setup, tokenizer=tokens)
    first, second = (_parameters(each) / 1e6 for each in (tokens, network))
    return first, second


def _parameters(component: object) -> int:
    nets = [value for value in vars(component).values() if isinstance(value, torch.nn.Module)]
    assert len(nets) == 1
    return sum(p.numel() for p in nets[0].parameters())


@pytest.mark.parametrize(
    ("plugin", "method", "setup", "text"),
    [
        ("dense_fsq", "dense-fsq", FACEVERSE, "({:.1f} M + {:.1f} M parameters on faceverse-58 with `mfcc-78`)"),
        ("l2l", "learning2listen", DECA, "({:.1f} M + {:.1f} M parameters on deca-56 with `mel-128`)"),
        ("difflistener", "difflistener", DECA, "{:.1f} M + {:.1f} M parameters (on deca-56 with `mel-128`)"),
        ("sfms", "sfms", FACEVERSE, "{:.2f} M parameters on faceverse-58"),
    ],
)
def test_the_paper_preset_has_as_many_parameters_as_its_readme_says(
    plugin: str, method: str, setup: Setup, text: str
) -> None:
    readme = (PLUGINS / f"dyadbench_{plugin}" / "README.md").read_text()
    assert text.format(*_millions(method, setup)) in readme


def test_dense_fsq_says_what_it_left_out_of_the_release() -> None:
    setup = Setup(FACEVERSE_58, {"wav2vec2-conv": AudioSpec(512, 2)}, True, seed=0)
    modes = [_millions("dense-fsq", setup, mode=mode)[1] for mode in ("released", "fixed")]
    readme = (PLUGINS / "dyadbench_dense_fsq" / "README.md").read_text()
    assert "left out: {:.1f} M with the same sound. The mode `fixed` has a smaller book and head: {:.1f} M".format(*modes) in readme  # fmt: skip
