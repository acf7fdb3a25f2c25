"""`dyadbench compare A B`: paired differences with intervals."""

from __future__ import annotations

from typing import Annotated

import typer

from dyadbench.cli.common import Json, Root, find_root, print_json


def compare(
    a: Annotated[str, typer.Argument(help="A method, as the leaderboard names it.")],
    b: Annotated[str, typer.Argument(help="Another method.")],
    benchmark: Annotated[str, typer.Option("-b", "--benchmark", help="The benchmark both were run on.")],
    root: Root = None,
    json: Json = False,
) -> None:
    """Compares two methods on the same clips: difference, 95 % interval, and the clips where they differ most."""
    from dyadbench.leaderboard.paired import compare as paired
    from dyadbench.leaderboard.terminal import comparison_text
    from dyadbench.leaderboard.validity import judged_on, load_validity
    from dyadbench.records.comparable import configured, odd_ones_out, records_below
    from dyadbench.registry.host import Host

    host = Host()
    leaderboards = find_root(root) / "leaderboards"
    records = records_below(leaderboards, benchmark)
    # A benchmark of data that were read otherwise is known by its records alone.
    suite = configured(records)[0] if records else host.get("benchmark", benchmark).config.suite
    columns = host.build("suite", suite, {}).columns
    judged = judged_on(load_validity(leaderboards), odd_ones_out(records, suite, columns)[0], suite)
    failing = {name for name, why in judged.items() if why}
    outcome = paired(records, a, b, suite, columns, failing=failing)
    if json:
        print_json(outcome.model_dump(mode="json"))
    else:
        typer.echo(comparison_text(outcome))
