"""The command line: `after`."""

from after.cli.app import main

__all__ = ["main"]
