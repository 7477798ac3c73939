"""`cli.py serve` without some of its levers: `python -m bench.levers.serve --without NAME`."""

import sys
from argparse import ArgumentParser

from bench.levers.table import LEVERS


def main() -> None:
    """Take out what is named, then serve with the settings as they are, in this one process."""
    parser = ArgumentParser(prog="bench.levers.serve")
    parser.add_argument("--without", action="append", default=[], choices=list(LEVERS), metavar="NAME")
    parser.add_argument("--check", action="store_true", help="only take it out, and end")
    options = parser.parse_args()
    for name in options.without:
        LEVERS[name].take_out()
    if not options.check:
        from cli import app

        app(["serve"])


if __name__ == "__main__":
    sys.exit(main())
