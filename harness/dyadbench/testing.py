"""The pytest plugin for method authors: fixtures that hold a predictor to the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def dyadbench_check() -> Callable[..., Any]:
    """`dyadbench_check("name")` or `dyadbench_check(lambda setup: MyPredictor(config, setup))`; fails with the broken promises."""

    def run(method: Any) -> Any:
        from dyadbench.conformance.check import check
        from dyadbench.conformance.checks import check_factory
        from dyadbench.registry.host import Host

        report = check(method, Host()) if isinstance(method, str) else check_factory("predictor", method)
        broken = [f"{item.what}: {item.detail}" for item in report.items if not item.ok]
        if broken:
            pytest.fail("\n".join(broken), pytrace=False)
        return report

    return run


@pytest.fixture
def tiny_context() -> Any:
    """A Context of two speakers, 96 frames, faceverse-58 with emotion and mfcc-78."""
    from dyadbench.api import Needs
    from dyadbench.datasets.tiny_corpus import TinyCorpus

    return TinyCorpus().context([0, 1], Needs(audio=("mfcc-78",)), 96)
