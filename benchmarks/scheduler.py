"""How fast, small and punctual the scheduler is: `python benchmarks/scheduler.py`.

Every figure is the median of several runs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import uvloop

from after.scheduler import Scheduler

MONTH = 30 * 24 * 3_600_000
"""Milliseconds."""


def nothing() -> None:
    """Be called."""


def random_dates(count: int) -> list[int]:
    """Give instants at random milliseconds of the coming month."""
    numbers = random.Random(7)
    present = int(time.time() * 1000)
    return [present + numbers.randrange(60_000, MONTH) for _ in range(count)]


def insert_and_cancel(count: int) -> tuple[float, float]:
    """Give inserts and cancels a second through the public interface, on a scheduler that runs."""
    dates = random_dates(count)
    with Scheduler() as scheduler:
        start = time.perf_counter()
        timers = [scheduler.at(date, nothing) for date in dates]
        inserted = time.perf_counter()
        random.Random(8).shuffle(timers)
        shuffled = time.perf_counter()
        for timer in timers:
            timer.cancel()
        return count / (inserted - start), count / (time.perf_counter() - shuffled)


def bytes_per_timer(count: int) -> tuple[float, float]:
    """Give the bytes that a waiting timer takes, with its date, and those left of it when all were dropped."""
    numbers = random.Random(7)
    present = int(time.time() * 1000)
    scheduler = Scheduler()
    gc.collect()
    tracemalloc.start()
    timers = [scheduler.at(present + numbers.randrange(60_000, MONTH), nothing) for _ in range(count)]
    gc.collect()
    full = tracemalloc.get_traced_memory()[0] - sys.getsizeof(timers)
    while timers:
        timers.pop().cancel()
    gc.collect()
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return full / count, left / count


async def burst(count: int) -> tuple[float, float]:
    """Let timers be due at random instants of one second; give the last one's and the worst lateness in ms."""
    numbers = random.Random(9)
    first = int(time.time() * 1000) + 1_000
    lateness: list[float] = []
    ended = asyncio.Event()

    def fire(date: int) -> None:
        lateness.append(time.time() * 1000 - date)
        if len(lateness) == count:
            ended.set()

    async with Scheduler() as scheduler:
        for _ in range(count):
            date = first + numbers.randrange(1_000)
            scheduler.at(date, fire, date)
        await ended.wait()
        finished = time.time() * 1000 - first
    assert min(lateness) >= 0
    return finished, max(lateness)


async def punctuality(count: int) -> tuple[float, float, float, float]:
    """Let timers come 3 to 12 ms apart on an idle loop; give lateness (median, p99, worst) and CPU, in ms."""
    numbers = random.Random(10)
    lateness: list[float] = []
    ended = asyncio.Event()

    async with Scheduler() as scheduler:

        def fire(date: int) -> None:
            lateness.append(time.time() * 1000 - date)
            if len(lateness) < count:
                following = int(time.time() * 1000) + numbers.randrange(3, 13)
                scheduler.at(following, fire, following)
            else:
                ended.set()

        used = time.process_time()
        first = int(time.time() * 1000) + 10
        scheduler.at(first, fire, first)
        await ended.wait()
        used = time.process_time() - used
    lateness.sort()
    assert lateness[0] >= 0
    return statistics.median(lateness), lateness[int(count * 0.99)], lateness[-1], used * 1000 / count


def medians(runs: int, measure: Callable[[], tuple[float, ...]]) -> list[float]:
    """Measure several times and give the median of each figure."""
    return [statistics.median(column) for column in zip(*(measure() for _ in range(runs)), strict=True)]


def on(
    run: Callable[[Coroutine[Any, Any, tuple[float, ...]]], tuple[float, ...]],
    measure: Callable[[int], Coroutine[Any, Any, tuple[float, ...]]],
    count: int,
) -> Callable[[], tuple[float, ...]]:
    """Measure on an event loop."""
    return lambda: run(measure(count))


def main(arguments: Sequence[str] = ()) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timers", type=int, default=1_000_000)
    parser.add_argument("--burst", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)

    inserts, cancels = medians(options.runs, lambda: insert_and_cancel(options.timers))
    print(f"insert          {inserts:12,.0f} a second ({options.timers:,} timers at random ms of a month)")
    print(f"cancel          {cancels:12,.0f} a second (in random order)")
    size, left = medians(1, lambda: bytes_per_timer(options.timers))
    print(f"memory          {size:12,.0f} bytes a timer, with its date; {left:,.1f} bytes left after all were dropped")
    for name, run in (("asyncio", asyncio.run), ("uvloop", uvloop.run)):
        finished, worst = medians(options.runs, on(run, burst, options.burst))
        print(
            f"burst, {name:8} {finished:12,.0f} ms for {options.burst:,} timers of a second; worst {worst:.1f} ms late"
        )
        median, p99, worst, used = medians(options.runs, on(run, punctuality, 300))
        print(
            f"late, {name:9} {median:12.3f} ms median, {p99:.3f} ms p99, {worst:.3f} ms worst; {used:.3f} ms CPU each"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
