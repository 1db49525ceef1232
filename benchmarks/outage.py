"""A cluster of three nodes that lose one after the other, while tasks fall due: are all done, and how late.

It runs where AFTER_TEST_COUCHDB_CLUSTER names the nodes of a cluster on this machine, separated by commas, with an
administrator's name and password in each. Each node in turn is killed with SIGKILL and started again with the command
that it ran, which Linux tells (proc(5)), when it has been away for AWAY seconds.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.couchdb import CouchDB, new_tasks
from benchmarks.processes import NAME, report, until, working

VARIABLE = "AFTER_TEST_COUCHDB_CLUSTER"
TASKS = 2_000
AHEAD, AWAY, BETWEEN = 15.0, 30.0, 15.0
"""Seconds until the first task, that a node is away, and that all nodes are there before the next goes."""


class Node:
    """A node of the cluster: the process that listens on the port of its URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = int(urlsplit(url).port or 5984)
        self._pid = _listener(self.port)
        process = Path(f"/proc/{self._pid}")
        self._command = process.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        variables = (one.partition(b"=") for one in process.joinpath("environ").read_bytes().split(b"\0") if one)
        self._environment = {name: value for name, _, value in variables}
        self._folder = os.readlink(process / "cwd")

    def kill(self) -> None:
        """End the process at once."""
        os.kill(self._pid, signal.SIGKILL)

    def start(self) -> None:
        """Start the node again, as it was started before."""
        process = subprocess.Popen(
            self._command, env=self._environment, cwd=self._folder, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._pid = process.pid


def _listener(port: int) -> int:
    """Give the process that listens on a port (proc(5): `net/tcp` names the socket, `PID/fd` who has it)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = {line[9] for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "0A"}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == f"socket:[{inode}]":
                return int(link.parts[2])
        except OSError:
            continue
    raise LookupError(f"nobody listens on port {port}")


def outage(urls: list[str]) -> tuple[list[float], int]:
    """Give the lateness of every task in ms, in ascending order, and how many tasks ran more than once."""
    nodes = [Node(url) for url in urls]
    couchdb = CouchDB(urls[0], validation=True)
    start = time.time() + AHEAD
    spread = random.Random(7)
    seconds = [spread.uniform(0, len(nodes) * (AWAY + BETWEEN)) for _ in range(TASKS)]
    dates = [datetime.fromtimestamp(start + one, UTC).isoformat(timespec="milliseconds") for one in seconds]
    couchdb.put([task for date in dates for task in new_tasks(date, 1)])
    couchdb.url = ",".join(f"{url.rstrip('/')}/{couchdb.name}" for url in urls)
    try:
        with working(couchdb):
            time.sleep(max(0.0, start - time.time()))
            for node in nodes:
                _lose(node)
            until(lambda: couchdb.done() == TASKS)
            runs = list(_runs(couchdb))
    finally:
        couchdb.ask("DELETE", "")
    return sorted(run[0] for run in runs), sum(len(run) > 1 for run in runs)


def _lose(node: Node) -> None:
    print(f"{node.url.rpartition('@')[2]} is away for {AWAY:g} s", flush=True)
    node.kill()
    time.sleep(AWAY)
    node.start()
    time.sleep(BETWEEN)


def _runs(couchdb: CouchDB) -> Iterator[list[float]]:
    """Give the lateness of each run of each task, the first run first."""
    for row in couchdb.ask("GET", "/_all_docs?include_docs=true")["rows"]:
        if row["doc"].get("worker") == NAME:
            yield [entry["lateness_ms"] for entry in row["doc"]["history"] if "lateness_ms" in entry]


def main() -> None:
    """Print how late the tasks started."""
    if VARIABLE not in os.environ:
        print(f"not run: {VARIABLE} names no cluster")
        return
    lateness, twice = outage(os.environ[VARIABLE].split(","))
    assert len(lateness) == TASKS
    for name, value in (("earliest", lateness[0]), ("p50", lateness[TASKS // 2]), ("p99", lateness[TASKS * 99 // 100])):
        report(f"lateness beside lost nodes, {name}", [value], "ms")
    report("lateness beside lost nodes, worst", [lateness[-1]], "ms", "(aim 2,000)")
    report("tasks that ran more than once", [twice], "")
