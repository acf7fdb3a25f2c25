"""The command `dyadbench`: one module a verb, each thin over the package."""

from __future__ import annotations

import signal
import sys
import threading

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli import bench, check, compare, data, doctor, leaderboard, listing, report, run, score

app = typer.Typer(
    name="dyadbench",
    help="Evaluates dyadic facial reaction generation: runs methods, scores predictions, ranks records.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("list")(listing.list_)
app.command("check")(check.check)
app.add_typer(data.app, name="data")
app.command("run")(run.run)
app.command("score")(score.score)
app.command("compare")(compare.compare)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("report")(report.report)
app.add_typer(bench.app, name="bench")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Exit codes: 0 done, 1 a cell or plugin failed, 2 the request was wrong, 3 the leaderboards have drifted."""
    from dyadbench.errors import Interrupted, PluginError

    def interrupt(signum: int, frame: object) -> None:
        raise Interrupted

    if threading.current_thread() is threading.main_thread():
        # Typer turns a KeyboardInterrupt into "Aborted!", and a plugin may raise one itself.
        signal.signal(signal.SIGINT, interrupt)
    try:
        app()
    except DyadbenchError as error:
        print(f"dyadbench: {error}", file=sys.stderr)
        raise SystemExit(1 if isinstance(error, PluginError) else 2) from None
    except Interrupted:
        print("dyadbench: stopped; run the same command again to go on from here", file=sys.stderr)
        raise SystemExit(130) from None
