"""Python's garbage collector in processes that do nothing but move documents."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys

from after.clock import Clock, SystemClock

_MIB = 1024 * 1024
_NEVER = 2**31 - 1

SHARE = 20_000
"""To look through all objects takes at most one part in so many of the time."""
GROWTH = 256 * _MIB
"""Bytes by which memory has to grow, and by half, for that to be done before its time."""
LOOK_SECONDS = 1.0


def calm(young: int) -> None:
    """Let it look less often, from now on: documents are no cycles, and looking at them doubles what they cost.

    It looks at the youngest objects when there are `young` of them. Everything waits for that: at 100,000 some 50 ms,
    which is least work in all; at 1,000, among tasks with long histories, 1 ms, about twenty times a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, 2_000_000 // young, 100)


class Collector:
    """Says when all objects are looked through, in a process that keeps many of them and must not stand still.

    Python would do so after so many looks at the youngest ones, however long it takes: some 0.1 s among 10,000 tasks
    that repeat every second. Here a process that has little to look through does it about every ten seconds, such a one
    every half an hour; and sooner where memory grows, because a small cycle may hold a large object.
    """

    def __init__(self, young: int = 1_000, clock: Clock | None = None) -> None:
        """Let Python look at the youngest objects only, when there are `young` of them."""
        self._clock = clock or SystemClock()
        calm(young)
        gc.set_threshold(young, _NEVER, _NEVER)
        self._collect()

    def look(self) -> None:
        """Look through all objects, if it is time to."""
        if self._clock.monotonic() >= self._next or memory_used() > self._limit:
            self._collect()

    async def work(self) -> None:
        """Look every second."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def _collect(self) -> None:
        began = self._clock.monotonic()
        gc.collect()
        ended = self._clock.monotonic()
        self._next = ended + SHARE * (ended - began)
        used = memory_used()
        self._limit = used + max(used // 2, GROWTH)


def memory_used() -> int:
    """Give the bytes of memory that this process has now, or where that cannot be told, has had at the most."""
    try:
        with open("/proc/self/statm", encoding="ascii") as pages:
            return int(pages.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
