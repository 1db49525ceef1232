"""A million tasks that wait for next month: what they cost, and what a task of now notices of them."""

from __future__ import annotations

import json
import time
from datetime import datetime

from benchmarks.load import post, send
from benchmarks.posting import task
from benchmarks.processes import NAME, Server, report, serving, until, working

TASKS, BULK = 1_000_000, 5_000
SAMPLES = 50


def main() -> None:
    """Print memory and lateness."""
    with serving() as server, working(server) as worker:
        bodies = (json.dumps([task(start + n) for n in range(BULK)]).encode() for start in range(0, TASKS, BULK))
        began = time.perf_counter()
        for body in bodies:
            assert not send(server.port, [post("/tasks/_bulk", server.port, body)], 1).wrong
        report("a million tasks put", [TASKS / (time.perf_counter() - began)], "tasks/s")
        assert server.count("waiting") == TASKS
        _now(server)  # when it is done, the worker has heard of all the others
        spans = sorted(_now(server) for _ in range(SAMPLES))
        report("posted to done, a task of now, median", [spans[SAMPLES // 2]], "ms", "(aim 20)")
        report("posted to done, a task of now, worst", [spans[-1]], "ms")
        report("the server's memory", [server.memory()], "MiB", "(aim 250)")
        report("the worker's memory", [worker.memory()], "MiB", "(aim 100)")


def _now(server: Server) -> float:
    """Give the ms from sending a task to its end, as its own history and our clock tell it."""
    sent = time.time()
    identity = server.ask("POST", "/tasks", {"worker": NAME, "job": "nothing"})["id"]
    until(lambda: server.ask("GET", f"/tasks/{identity}")["status"] == "done")
    end = server.ask("GET", f"/tasks/{identity}")["history"][-1]["at"]
    return (datetime.fromisoformat(end).timestamp() - sent) * 1000
