"""The second budget of the claims: rows of their own that were trained for a quarter of the steps."""

from __future__ import annotations

from typing import Literal

from dyadbench.api import DyadbenchError
from dyadbench.matrix.cells import Matrix, MethodSpec, method_parts
from dyadbench.matrix.settings import flat_settings
from dyadbench.registry.host import Host

PARTS: tuple[Literal["predictor"], Literal["tokenizer"]] = ("predictor", "tokenizer")
TAIL = "-quarter"  # what the names of such rows end with


def quarter_of(host: Host, matrix: Matrix) -> Matrix:
    """The methods of `matrix` that are trained by steps, with a quarter of them. Claims compare these rows; no table has them.

    Raises DyadbenchError where no method is trained by steps.
    """
    methods = [short for spec in matrix.method if (short := _row(host, spec))]
    if not methods:
        raise DyadbenchError("no method here is trained by steps, so there is no quarter of them; leave out --quarter")
    return matrix.model_copy(update={"method": tuple(methods)})


def _row(host: Host, spec: MethodSpec) -> MethodSpec | None:
    parts = zip(PARTS, method_parts(host, spec), strict=True)
    steps = {
        f"{kind}.{field}": part.config[field] // 4
        for kind, part in parts
        if part is not None
        for field in sorted(host.get(kind, part.name).config.budget)
        if field in part.config
    }
    if not steps:
        return None
    settings = flat_settings(spec.settings)
    short = {field.partition(".")[2] for field in steps}  # "steps" for "predictor.steps", as it may have been given
    return spec.model_copy(
        update={
            "name": spec.name + TAIL,
            "method": spec.method or ("" if spec.predictor else spec.name),
            "of": spec.of or spec.name,
            "settings": {**{name: value for name, value in settings.items() if name not in short}, **steps},
        }
    )
