"""How late tasks start: 2,000 of them at random milliseconds of 20 seconds."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

from benchmarks.processes import NAME, Server, report, serving, until, working

TASKS, SECONDS, AHEAD = 2_000, 20.0, 3.0
RUNS = 3


def lateness() -> list[float]:
    """Give the lateness of every task in ms, in ascending order."""
    with serving() as server, working(server):
        spread = random.Random(7)
        start = time.time() + AHEAD
        dates = [datetime.fromtimestamp(start + spread.uniform(0, SECONDS), UTC) for _ in range(TASKS)]
        tasks = [{"worker": NAME, "job": "nothing", "date": date.isoformat(timespec="milliseconds")} for date in dates]
        server.ask("POST", "/tasks/_bulk", tasks)
        time.sleep(AHEAD + SECONDS)  # nothing else is to run meanwhile
        until(lambda: server.count("done") == TASKS)
        return sorted(
            entry["lateness_ms"] for task in _all(server) for entry in task["history"] if "lateness_ms" in entry
        )


def _all(server: Server) -> list[dict[str, list[dict[str, float]]]]:
    tasks: list[dict[str, list[dict[str, float]]]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = server.ask("GET", f"/tasks?limit=1000{f'&cursor={cursor}' if cursor else ''}")
        tasks += page["tasks"]
        cursor = page["cursor"]
    return tasks


def main() -> None:
    """Print the lateness."""
    runs = [lateness() for _ in range(RUNS)]
    assert all(len(run) == TASKS for run in runs)
    report("lateness, earliest", [run[0] for run in runs], "ms", "(never early)")
    report("lateness, p50", [run[TASKS // 2] for run in runs], "ms", "(aim 1)")
    report("lateness, p99", [run[TASKS * 99 // 100] for run in runs], "ms", "(aim 3)")
    report("lateness, worst", [run[-1] for run in runs], "ms")
