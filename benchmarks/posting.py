"""How fast tasks are taken over HTTP: each is on the disk before its answer leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator

from benchmarks.load import Load, post, send
from benchmarks.processes import NAME, RUNS, report, serving

BULK_TASKS, BULK = 50_000, 1_000
BULK_CONNECTIONS = 2
SINGLE_TASKS = 20_000
CONNECTIONS = 32


def task(number: int) -> dict[str, object]:
    """Give a task of a month ahead, as a client would write it."""
    second, rest = number % 60, number // 60
    return {
        "worker": NAME,
        "date": f"2100-01-{1 + rest // 60 % 28:02}T00:{rest % 60:02}:{second:02}Z",
        "job": "nothing",
    }


def bulk() -> Load:
    """Post arrays of tasks to `/tasks/_bulk`."""
    with serving() as server:
        bodies = [json.dumps([task(start + n) for n in range(BULK)]).encode() for start in range(0, BULK_TASKS, BULK)]
        load = send(server.port, [post("/tasks/_bulk", server.port, body) for body in bodies], BULK_CONNECTIONS)
        assert server.count("waiting") == BULK_TASKS
        return Load(load.rate * BULK, load.wrong)


def single() -> Load:
    """Post tasks one by one to `/tasks`."""
    with serving() as server:
        requests = [post("/tasks", server.port, json.dumps(task(n)).encode()) for n in range(SINGLE_TASKS)]
        load = send(server.port, requests, CONNECTIONS)
        assert server.count("waiting") == SINGLE_TASKS
        return load


def main() -> None:
    """Print the rates."""
    for name, work, target in (
        (f"bulk posts, {BULK:,} tasks a request", bulk, "25,000"),
        (f"single posts, {CONNECTIONS} connections", single, "5,000"),
    ):
        loads = list(_several(work))
        assert not any(load.wrong for load in loads)
        report(name, [load.rate for load in loads], "tasks/s", f"(aim {target})")


def _several(work: object) -> Iterator[Load]:
    assert callable(work)
    for _ in range(RUNS):
        yield work()
