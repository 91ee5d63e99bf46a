"""The command line: the stages as commands, in the order the data flows."""

from zerobias.cli.app import main

__all__ = ["main"]
