"""pdoc on the API. `api.Array` and `api.State` need numpy and are made on request, so they are asked for before pdoc looks."""

from __future__ import annotations

from pdoc.__main__ import cli

from dyadbench import api

for name in api.__all__:
    getattr(api, name)
cli()
