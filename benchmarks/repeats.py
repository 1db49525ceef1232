"""10,000 tasks that repeat every second, for a minute, on one worker: does any of them drift, and how late are they?

Their first dates are spread over one second. A worker that cannot write 10,000 documents a second puts several runs of
a task into one write; what is measured is what stands in the histories at the end.

That is most of what a worker can do on one core, so the speed of the machine decides: it is measured beside, before and
after each run.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from benchmarks.processes import NAME, Server, report, serving, until, working

TASKS, OCCURRENCES = 10_000, 60
AHEAD = 15.0
"""Seconds before the first occurrence: all tasks are posted and claimed by then."""
RUNS = 3
LARGEST = 32 * 1024
STEPS = 10_000_000


def repeats() -> tuple[list[float], int, float, float, int]:
    """Give the lateness of all runs in ascending order, the largest document, processor seconds, and the writes."""
    with serving() as server, working(server) as worker:
        start = (int(time.time()) + AHEAD) * 1000
        tasks = [
            {
                "_id": f"t{n}", "worker": NAME, "job": "nothing", "date": _iso(start + n * 1000 // TASKS),
                "repeat": {"interval": "PT1S", "limit": OCCURRENCES, "catch_up": "all"},
            }
            for n in range(TASKS)
        ]  # fmt: skip
        for first in range(0, TASKS, 1000):
            server.ask("POST", "/tasks/_bulk", tasks[first : first + 1000])
        until(lambda: time.time() * 1000 >= start)
        before = server.seconds(), worker.seconds()
        seq = server.ask("GET", "/after")["update_seq"]
        until(lambda: time.time() * 1000 >= start + OCCURRENCES * 1000)
        spent = server.seconds() - before[0], worker.seconds() - before[1]
        until(lambda: server.count("done") == TASKS)
        writes = server.ask("GET", "/after")["update_seq"] - seq
        lateness: list[float] = []
        largest = 0
        for task in _all(server):
            entries = [entry for entry in task["history"] if "duration_ms" in entry]
            dates = [_ms(entry["date"]) for entry in entries]
            assert len(dates) == OCCURRENCES, f"{task['_id']} ran {len(dates)} times"
            assert all(after - before == 1000 for before, after in itertools.pairwise(dates)), task["_id"]
            starts = [entry["lateness_ms"] for entry in task["history"] if "lateness_ms" in entry]
            assert len(starts) == OCCURRENCES
            lateness += starts
            largest = max(largest, len(json.dumps(task, separators=(",", ":"))))
        return sorted(lateness), largest, *spent, writes


def loop_seconds() -> float:
    """Give how long a plain loop of Python takes for STEPS steps: what this machine's cores are worth at the moment."""
    start, total = time.perf_counter(), 0
    for step in range(STEPS):
        total += step
    return time.perf_counter() - start


def _iso(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _all(server: Server) -> Iterator[dict[str, Any]]:
    cursor: str | None = ""
    while cursor is not None:
        page = server.ask("GET", f"/tasks?limit=250{f'&cursor={cursor}' if cursor else ''}")
        yield from page["tasks"]
        cursor = page["cursor"]


def main() -> None:
    """Print how late the runs were."""
    loops, runs = [loop_seconds()], []
    for _ in range(RUNS):
        runs.append(repeats())
        loops.append(loop_seconds())
    count = TASKS * OCCURRENCES
    report("repeats, lateness p50", [lateness[count // 2] for lateness, *_ in runs], "ms")
    report("repeats, lateness p99", [lateness[count * 99 // 100] for lateness, *_ in runs], "ms", "(aim 50)")
    report("repeats, lateness worst", [lateness[-1] for lateness, *_ in runs], "ms")
    report("repeats, largest document", [largest / 1024 for _, largest, *_ in runs], "KiB", "(aim 32)")
    report("repeats, runs in one write", [count / writes for *_, writes in runs], "")
    report("repeats, a Python loop of 10 million steps", loops, "s")
    report("repeats, processor time of the server", [server / OCCURRENCES for _, _, server, _, _ in runs], "s/s")
    report("repeats, processor time of the worker", [worker / OCCURRENCES for *_, worker, _ in runs], "s/s")
