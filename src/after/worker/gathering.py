"""The ends of repeating tasks' runs that wait for those of the next ones, so that one write tells several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from after.clock import Clock
from after.events import Ended
from after.worker.held import Held

REPEAT_DELAY = 5.0
"""Seconds for which the end of a run may wait for those of the next ones, of a task that repeats oftener than that."""
LATE_REPEAT_DELAY = 10.0
"""The same where that run began late: running comes first."""
LATE = 20.0
"""Milliseconds from a run's date to its start, from which on it is late in this sense."""
TURN = 0.05
"""Seconds between two looks at what has waited long enough."""
MANY = 500
"""Where so many tasks wait there is much to tell, also at a moment when no write is under way."""


class Gathering:
    """Tasks with ends of runs that wait; `put` gets each when it has waited as long as `seconds` says."""

    def __init__(self, clock: Clock, put: Callable[[Held], None]) -> None:
        self._clock = clock
        self._put = put
        self._turns: dict[int, list[Held]] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def many(self) -> bool:
        """Whether so many tasks wait that others had better do so too."""
        return self._count >= MANY

    def add(self, held: Held) -> None:
        """Let a task wait, that has an end of a run to be told."""
        held.gathering = True
        instant = self._clock.monotonic()
        turn = int((instant + seconds(held.id, held.ended[-1][1], instant)) / TURN)
        self._turns.setdefault(turn, []).append(held)
        self._count += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TURN, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        turn = int(self._clock.monotonic() / TURN)
        for past in [one for one in self._turns if one <= turn]:
            waited = self._turns.pop(past)
            self._count -= len(waited)
            for held in waited:
                held.gathering = False
                if held.ended:
                    self._put(held)
        self._timer = asyncio.get_running_loop().call_later(TURN, self._look) if self._turns else None


def seconds(identity: str, ended: Ended, now: float) -> float:
    """Give how long the end of a task's run waits at `now`, seconds of a clock that never goes back.

    Each task has a moment of its own in each period, so that what is to be told is spread evenly for ever, however many
    tasks began together.
    """
    late = ended.started is not None and ended.started.lateness > LATE
    period = LATE_REPEAT_DELAY if late else REPEAT_DELAY
    return period - (now + period * (hash(identity) & 0xFFFF) / 0x10000) % period
