"""`dyadbench validity`: which metrics order reactions whose order is known, on a benchmark's data."""

from __future__ import annotations

from typing import Annotated

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import (
    DEFAULT_THREADS,
    Data,
    DataSettings,
    Home,
    Root,
    Threads,
    data_folders,
    find_home,
    find_root,
    set_threads,
)


def validity(
    benchmark: Annotated[str, typer.Option("-b", "--benchmark", help="Whose data and suites.")],
    clips: Annotated[int, typer.Option(min=8, help="At most this many clips, spread over the split.")] = 72,
    samples: Annotated[int, typer.Option(min=2, help="Reactions per clip where they are random.")] = 2,
    suite: Annotated[list[str] | None, typer.Option("-s", "--suite", help="A suite besides the benchmark's; repeatable.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Let a result of other data, or of more, be replaced.")] = False,
    root: Root = None,
    home: Home = None,
    data: Data = None,
    data_setting: DataSettings = None,
    threads: Threads = DEFAULT_THREADS,
) -> None:  # fmt: skip
    """Scores reactions whose order is known with every metric, and writes the result to leaderboards/validity/."""
    from dyadbench.cell.runtime import Runtime
    from dyadbench.cell.score import demand_groups, open_suites
    from dyadbench.cell.source import open_dataset, scored_dataset
    from dyadbench.cell.split import Split
    from dyadbench.conformance.validity import examine
    from dyadbench.datasets.limit import LimitedDataset
    from dyadbench.files.atomic import atomic_write
    from dyadbench.leaderboard.validity import FOLDER, demand_no_less, validity_json
    from dyadbench.matrix.cells import evaluated
    from dyadbench.matrix.settings import nest, parse_settings
    from dyadbench.progress import stages
    from dyadbench.records.record import slug
    from dyadbench.registry.host import Host

    set_threads(threads)
    host = Host()
    benchmark, setting, part = evaluated(host, benchmark, nest(parse_settings(data_setting or [], "--data-set")))
    base = find_root(root)
    with stages("validity") as report:
        runtime = Runtime(home=find_home(home, base), data=data_folders(data, [part.name]), threads=threads, report=report)  # fmt: skip
        dataset = scored_dataset(open_dataset(host, part, runtime), setting)
        split = Split(LimitedDataset(dataset, clips), setting.split)
        if len({clip.session for clip in split.clips}) < 2:
            raise DyadbenchError(
                f"{benchmark} has clips of one session only; validity needs listeners of other sessions"
            )
        path = base / "leaderboards" / FOLDER / f"{slug(benchmark)}.json"
        if not replace:
            demand_no_less(
                path, dataset.digest, len(split.clips), samples, (setting.suite, *setting.also, *(suite or ()))
            )
        suites = open_suites(host, tuple(dict.fromkeys((setting.suite, *setting.also, *(suite or ())))))
        demand_groups(suites, dataset.space)
        for name in [name for name, each in suites.items() if each.space == "emotion" and not dataset.has_emotion]:
            raise DyadbenchError(
                f"suite {name} scores emotion, which the data of {benchmark} do not have; leave it out"
            )
        result = examine(
            split,
            suites,
            benchmark,
            host,
            samples=samples,
            threads=threads,
            data=dataset.digest,
            settings=setting.dataset_config,
            binary_units=setting.action_units == "binary",
            report=report,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, validity_json(result))
    for suite_name, columns in result.suites.items():
        for name, one in columns.items():
            typer.echo(
                f"{suite_name} {name}: {'not judged' if one.passes is None else 'passes' if one.passes else ', '.join(one.why)}"
            )
    typer.echo(f"wrote {path}; `dyadbench leaderboard` makes the page of it")
