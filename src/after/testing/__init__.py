"""What After's own tests are made of, for yours.

A clock that is turned by hand, and an engine in memory that runs by it: a test of a year takes seconds. Fixtures of
the same for pytest are in the package `after_pytest`, which pytest finds by itself.
"""

from after.testing.blocking import BlockingEngine
from after.testing.clock import TurnableClock
from after.testing.engine import Engine

__all__ = ["BlockingEngine", "Engine", "TurnableClock"]
