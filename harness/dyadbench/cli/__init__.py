"""The command `dyadbench`: one thin module per verb."""

from __future__ import annotations

import io
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli import (
    bench,
    check,
    compare,
    data,
    doctor,
    leaderboard,
    listing,
    realism,
    report,
    run,
    score,
    show,
    validity,
    verify,
    weights,
)
from dyadbench.cli import output as streams
from dyadbench.cli.common import Group, Verbs
from dyadbench.cli.output import Output
from dyadbench.files.walk import expanded


class Main(Verbs):
    """The verbs. An EOFError inside one is reported by name, where typer would print only "Aborted!"."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EOFError as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            raise DyadbenchError(
                f"a file ended before its data did ({at.name} in {Path(at.filename).name}: {error or 'no more said'}); "
                "run again, and if it stays, delete the caches that `dyadbench doctor` names"
            ) from error


app = Group(
    cls=Main,
    name="dyadbench",
    help="Evaluates dyadic facial reaction generation: runs methods, scores predictions, ranks records.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("list")(listing.list_)
app.command("show")(show.show)
app.command("check")(check.check)
app.add_typer(data.app, name="data")
app.command("run")(run.run)
app.command("score")(score.score)
app.command("compare")(compare.compare)
app.command("verify")(verify.verify)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("validity")(validity.validity)
app.command("realism")(realism.realism)
app.command("report")(report.report)
app.add_typer(bench.app, name="bench")
app.add_typer(weights.app, name="weights")
app.command("doctor")(doctor.doctor)


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"dyadbench {version('dyadbench')}")
        raise typer.Exit


@app.callback()
def dyadbench(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:  # fmt: skip
    """Evaluates dyadic facial reaction generation: runs methods, scores predictions, ranks records."""


def _at_home(word: str) -> str:
    """`--out=~/site` as `--out ~/site`, which the shell expands."""
    option, equals, value = word.partition("=")
    return f"{option}={expanded(value)}" if equals and option.startswith("--") and value[:2] == "~/" else word


def main() -> None:
    """Exit codes: 0 done, 1 a cell or plugin failed, 2 the request was wrong, 3 the leaderboards have drifted."""
    from dyadbench.errors import Interrupted, PluginError

    output = Output("--json" in sys.argv and "--help" not in sys.argv)  # help is for the reader

    def interrupt(signum: int, frame: object) -> None:
        raise Interrupted

    if threading.current_thread() is threading.main_thread():
        # Typer turns a KeyboardInterrupt into "Aborted!", and a plugin may raise one itself.
        signal.signal(signal.SIGINT, interrupt)
    for stream in (sys.stdout, sys.stderr, streams.results):
        if isinstance(stream, io.TextIOWrapper):  # piped into an encoding without arrows: "?" instead of a crash
            stream.reconfigure(errors="replace")
    sys.argv[1:] = [_at_home(word) for word in sys.argv[1:]]
    try:
        app()
    except DyadbenchError as error:
        print(f"dyadbench: {error}", file=sys.stderr)
        raise SystemExit(1 if isinstance(error, PluginError) else 2) from None
    except Interrupted:
        print("dyadbench: stopped; run the same command again to go on from here", file=sys.stderr)
        raise SystemExit(130) from None
    except OSError as error:  # of a disk; no code below could say more about it
        print(f"dyadbench: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        raise SystemExit(2) from None
    except SystemExit as end:
        if why := output.lost():
            print(f"dyadbench: the output could not be printed ({why}); what was done is done", file=sys.stderr)
            raise SystemExit(end.code or 2) from None
        raise
