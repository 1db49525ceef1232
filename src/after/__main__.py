"""`python -m after` is `after`."""

from after.cli import main

main()
