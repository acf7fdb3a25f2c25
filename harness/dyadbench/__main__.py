"""`python -m dyadbench` and the script `dyadbench`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command. Ctrl-C while modules are still imported is one sentence, too."""
    try:
        from dyadbench.cli import main as command
    except KeyboardInterrupt:
        print("dyadbench: stopped before it began", file=sys.stderr)
        raise SystemExit(130) from None
    command()


if __name__ == "__main__":
    main()
