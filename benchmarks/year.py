"""A year of a nightly task, through the turned clock of `after.testing`: how long do its 365 runs take?"""

from __future__ import annotations

import asyncio
import time

from after.testing import Engine
from benchmarks import jobs
from benchmarks.processes import NAME, RUNS, report

REPEAT = {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}


async def year() -> float:
    """Give the seconds of a year."""
    async with Engine([jobs.nothing]) as engine:
        engine.clock.turn("2026-01-01")
        await engine.schedule(NAME, "nothing", repeat=REPEAT)
        began = time.perf_counter()
        ran = await engine.run_until("2026-12-31T23:00Z")
        assert len(ran) == 365
        return time.perf_counter() - began


def main() -> None:
    """Print how long it takes."""
    report("a year of a nightly task, 365 runs", [asyncio.run(year()) for _ in range(RUNS)], "s", "(aim 2)")
