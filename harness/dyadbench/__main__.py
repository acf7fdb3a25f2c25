"""`python -m dyadbench` is the command `dyadbench`."""

from dyadbench.cli import main

if __name__ == "__main__":
    main()
