"""For how many more tasks a worker process has room."""

from __future__ import annotations

from after.clock import Clock
from after.worker.runs import Runs

MAX_HELD = 20_000
"""How many tasks are in memory at the most; the others wait in the database."""
MAX_DUE = 4_096
"""How many tasks are claimed at the most before there is a place to run them."""
RATE_SECONDS = 0.1


class Room:
    """Reckons by what is held and by how fast jobs have ended of late."""

    def __init__(self, runs: Runs, clock: Clock) -> None:
        self._runs = runs
        self._clock = clock
        self._since, self._count, self._rate = clock.monotonic(), 0, 0

    def left(self, held: int, *, due: bool) -> int:
        """Give for how many more tasks there is room besides those held: of those due now, what a second can run."""
        if not due:
            return MAX_HELD - held
        window = min(MAX_DUE, max(2 * self._runs.concurrency, self._ended_in_a_second()))
        return window - self._runs.due - self._runs.running

    def _ended_in_a_second(self) -> int:
        seconds = self._clock.monotonic() - self._since
        if seconds >= RATE_SECONDS:
            self._rate = round((self._runs.ended - self._count) / seconds)
            self._since, self._count = self._clock.monotonic(), self._runs.ended
        return self._rate
