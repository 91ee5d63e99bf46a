"""The command line: the stages as commands, in the order the data flows."""

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point; an interrupt while modules are loading is one sentence too."""
    try:
        from zerobias.cli.app import app

        app()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted before anything was done; run the command again\n")
        sys.exit(2)
