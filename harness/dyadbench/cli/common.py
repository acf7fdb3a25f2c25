"""Shared by several verbs: finding folders, and printing results."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from dyadbench.api import DyadbenchError
from dyadbench.cli import output
from dyadbench.engines.local import cores
from dyadbench.files.walk import expanded
from dyadbench.python.places import find_home as find_home
from dyadbench.python.places import find_root as find_root
from dyadbench.python.places import folders_of
from dyadbench.records.record import slug

Root = Annotated[
    Path | None,
    typer.Option(help="The folder with leaderboards/. Default: the nearest one upwards, else the current folder."),
]
Home = Annotated[
    Path | None,
    typer.Option(help="Store and caches. Default: $DYADBENCH_HOME, else .dyadbench/ in the root."),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data", metavar="[NAME=]PATH", help="Where a dataset lies; NAME may be left out if only one is used."
    ),
]
LISTS = """A list is written 'FIELD=["a","b"]', with both kinds of quotes."""  # the shell takes one kind away
DataSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--data-set", metavar="FIELD=VALUE", help=f"Override the dataset's configuration; repeatable. {LISTS}"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of tables.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
Threads = Annotated[
    int,
    typer.Option(
        min=1,
        help="CPU threads. Metrics stay the same to the bit, trained methods up to float order. Default: OMP_NUM_THREADS, "
        "else the cores that this process may use, at most 8.",
    ),
]
Limit = Annotated[
    int,
    typer.Option(
        "--limit", min=0, metavar="N", help="Only N clips of every split, for a first try; such numbers rank nowhere."
    ),
]


def _default_threads() -> int:
    """What the shell sets for every other program holds here, too; `4,2` is OpenMP's list, by level."""
    setting = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(setting) if setting.isdecimal() and int(setting) else min(cores(), 8)


DEFAULT_THREADS = _default_threads()


class Verb(typer.core.TyperCommand):
    """A verb that refuses an option of one value where it is given twice; click lets the last one win."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        order = self.make_parser(ctx).parse_args(args=list(args))[2]
        options: list[Any] = [each for each in order if each.param_type_name == "option"]
        single = [each for each in options if not each.multiple and not each.is_flag]
        for option, times in Counter(map(_spelling, single)).items():
            if times > 1:
                ctx.fail(f"{option} is given {'twice' if times == 2 else f'{times} times'}; it takes one value")
        return super().parse_args(ctx, args)


def _spelling(option: Any) -> str:
    return max(option.opts, key=len)


class Verbs(typer.core.TyperGroup):
    """A group whose --help has the first sentence of each verb whole; click cuts it after 45 characters."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, _first_sentence(each.help or "")) for name, each in commands.items() if each and not each.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class Group(typer.Typer):
    """Verbs, and groups of them."""

    def command(self, name: str | None = None, **how: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=Verb, **how)


def _first_sentence(text: str) -> str:
    """Up to the first full stop at the end of a word, on one line."""
    flat = " ".join(text.partition("\n\n")[0].split())
    return flat.partition(". ")[0].rstrip(".") + "."


def data_folders(pairs: list[str] | None, datasets: Collection[str]) -> dict[str, Path]:
    """`["react2024=/d"]` -> {"react2024": Path("/d")}, for the `datasets` that are read; a bare path belongs to the only one.

    Raises DyadbenchError for a name that is not read here, a name that is given twice, and a folder that does not exist.
    """
    folders: dict[str, Path] = {}
    for pair in pairs or []:
        name, equals, path = pair.partition("=")
        if not equals or expanded(pair).is_dir():  # a folder's own name may hold "="
            if len(datasets) != 1:
                read = f"{', '.join(datasets)} are read" if datasets else "no dataset is read"
                raise DyadbenchError(f"--data {pair!r} must be NAME=PATH here, because {read}")
            [name], path = datasets, pair
        if name in folders:
            raise DyadbenchError(f"--data {name} is given twice; a dataset is read from one folder")
        folders[name] = Path(path)
    return folders_of(folders, datasets, "--data")


def refuse_unused(options: Mapping[str, object], why: str) -> None:
    """Raises DyadbenchError for the first of the options that was given; `why` says what it would need."""
    if unused := next((name for name, value in options.items() if value not in (None, False, 0, [])), None):
        raise DyadbenchError(f"{unused} would change nothing here: {why}")


def write_log(home: Path, name: str, text: str) -> Path | None:
    """Writes `text` into a log of the store's home; None where nothing can be written, which must not end what failed before."""
    path = home / "logs" / f"{slug(name)}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError:
        return None
    return path


def print_json(value: Any) -> None:
    """Prints strict JSON. It has no infinity and no NaN, so these become the texts "inf", "-inf" and "nan"."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False, default=str)
    typer.echo(text, file=output.results)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def print_table(header: list[str], rows: list[list[Any]]) -> None:
    """Aligned plain text; the same when piped."""
    cells = [header, *[[("" if value is None else str(value)) for value in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        typer.echo("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())


def set_threads(threads: int) -> None:
    """Sets the size of every thread pool, torch's only if torch is loaded.

    Metrics run one clip per thread, so the linear algebra inside uses one thread: two pools on the same cores would wait
    for each other.
    """
    import sys

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
