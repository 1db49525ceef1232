"""From posted to done: one server, one worker, every step on the disk and in the history."""

from __future__ import annotations

import json
import time

from benchmarks.load import post, send
from benchmarks.processes import NAME, RUNS, report, serving, until, working

TASKS, BULK = 20_000, 1_000


def posted_to_done() -> tuple[float, float, float]:
    """Post tasks that are due at once; give tasks a second, and microseconds of server and worker a task."""
    with serving() as server, working(server) as worker:
        body = json.dumps([{"worker": NAME, "job": "nothing"}] * BULK).encode()
        requests = [post("/tasks/_bulk", server.port, body)] * (TASKS // BULK)
        before = server.seconds(), worker.seconds()
        began = time.perf_counter()
        send(server.port, requests, 1)
        until(lambda: server.count("done") == TASKS)
        seconds = time.perf_counter() - began
        spent = server.seconds() - before[0], worker.seconds() - before[1]
        sample = server.ask("GET", "/tasks?limit=1")["tasks"][0]
        assert [entry["status"] for entry in sample["history"]] == ["waiting", "scheduled", "done"]
        return TASKS / seconds, spent[0] / TASKS * 1e6, spent[1] / TASKS * 1e6


def main() -> None:
    """Print the rate."""
    runs = [posted_to_done() for _ in range(RUNS)]
    report("posted to done, no-op tasks", [run[0] for run in runs], "tasks/s", "(aim 8,000)")
    report("  processor time of the server", [run[1] for run in runs], "µs/task")
    report("  processor time of the worker", [run[2] for run in runs], "µs/task")
