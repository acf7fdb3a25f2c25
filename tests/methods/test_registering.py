"""What every method of this project registers, and at what cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

NAMES = {
    "dyadbench_belfusion": {"belfusion", "belfusion-online"},
    "dyadbench_dense_fsq": {"frame-fsq", "frame-vq", "frame-lfq", "crossmodal-ar", "dense-fsq"},
    "dyadbench_difflistener": {"conv-vq", "conv-vq-causal", "token-diffusion", "difflistener", "difflistener-online"},
    "dyadbench_l2l": {"window-vq", "patch-ar", "learning2listen"},
    "dyadbench_sfms": {"sparse-fsq", "sparse-vq", "keyframe-ar", "sfms", "sfms-vq"},
    "dyadbench_transvae": {"trans-vae", "trans-vae-online"},
    "dyadbench_vqtalker": {"grfsq", "grvq", "rvq", "gvq", "vq", "coarse-to-fine", "vqtalker", "vqtalker-chunked"},
}
CODE = """
import sys, {plugin}.plugin as p
hooks = [getattr(p, "dyadbench_" + kind, list) for kind in ("tokenizers", "predictors", "methods")]
entries = [entry for hook in hooks for entry in hook()]
configured = [e.config(**preset) for e in entries if hasattr(e, "presets") for preset in e.presets.values()]
print(*[e.name for e in entries], "torch" in sys.modules)
"""


@pytest.mark.parametrize("plugin", NAMES)
def test_registering_imports_no_torch(plugin: str) -> None:
    code = CODE.format(plugin=plugin)
    *names, torch = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert torch == "False"
    assert NAMES[plugin] <= set(names)
