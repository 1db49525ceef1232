"""Real processes to measure: a server on a new file, a worker."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

JOBS = Path(__file__).with_name("jobs.py")
NAME = "bench"
RUNS = 5
LOOK_SECONDS = 0.05


class Engine(Protocol):
    """What tasks are put into, and a worker is started on."""

    @property
    def url(self) -> str:
        """The database's URL."""

    def workers(self) -> list[dict[str, Any]]:
        """Give what `GET /tasks/workers` says."""


class Process:
    """A command of After's that runs."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "after", *arguments], stdout=subprocess.DEVNULL)

    def memory(self) -> float:
        """Give the memory that the process has, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def seconds(self) -> float:
        """Give the processor time that the process has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def stop(self) -> None:
        """Stop the process as a service manager would."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


class Server(Process):
    """`after serve` on a free port and a new file."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        super().__init__("serve", "--port", str(self.port), "--data", str(folder / "after.db"))
        until(self._answers)

    @property
    def url(self) -> str:
        """The database's URL."""
        return f"http://127.0.0.1:{self.port}/after"

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send a request and give the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def count(self, status: str) -> int:
        """Give how many tasks of the worker are in a status."""
        return sum(worker["tasks"].get(status, 0) for worker in self.workers() if worker["name"] == NAME)

    def workers(self) -> list[dict[str, Any]]:
        """Give what `GET /tasks/workers` says."""
        workers: list[dict[str, Any]] = self.ask("GET", "/tasks/workers")["workers"]
        return workers

    def _answers(self) -> bool:
        try:
            return bool(self.ask("GET", "/_up"))
        except OSError:
            return False


class Worker(Process):
    """`after start` with the job `nothing`, ready to work."""

    def __init__(self, engine: Engine, *options: str) -> None:
        super().__init__("start", NAME, "--jobs", str(JOBS), "--url", engine.url, "--log-level", "warning", *options)
        until(lambda: any(one["pid"] == self.process.pid for worker in engine.workers() for one in worker["instances"]))


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not condition():
        time.sleep(LOOK_SECONDS)


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server on a new file for the length of a block."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def working(engine: Engine, *options: str) -> Iterator[Worker]:
    """Run a worker for the length of a block."""
    worker = Worker(engine, *options)
    try:
        yield worker
    finally:
        worker.stop()


def report(name: str, values: list[float], unit: str, target: str = "") -> None:
    """Print the median of several runs, with the least and the most of them."""
    spread = f"{min(values):,.6g} to {max(values):,.6g}"
    print(f"{name:<46}{statistics.median(values):>12,.6g} {unit:<12} {spread:<24} {target}", flush=True)
