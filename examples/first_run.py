"""What `make run` shows: a server, a worker, and a task that runs while you look.

Goes on until Ctrl-C, which stops all of it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE.parent / ".after" / "after.db"
JOBS = HERE / "jobs.py"
WORKER = "manobi"
SECONDS = 3
"""How far ahead the task is put, so that you see it waiting."""


def main() -> int:
    """Run the server and the worker; give the exit code."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 5985
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    DATA.parent.mkdir(exist_ok=True)
    try:
        with _process("serve", "--port", str(port), "--data", str(DATA), stdout=subprocess.PIPE) as server:
            if not _serves(server):
                return 1
            url = f"http://127.0.0.1:{port}/after"
            with _process("start", WORKER, "--jobs", str(JOBS), "--url", url, "--log-level", "warning") as worker:
                _show(port, worker)
                return _wait(server, worker)
    except KeyboardInterrupt:
        print("\nstopped")
        return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _process(*arguments: str, stdout: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of After's, in a group of its own, so that Ctrl-C reaches it through us and in order."""
    process = subprocess.Popen([sys.executable, "-m", "after", *arguments], start_new_session=True, stdout=stdout)
    try:
        yield process
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _serves(server: subprocess.Popen[bytes]) -> bool:
    """Pass on the line by which the server says that it answers; False where it has ended instead, having said why."""
    assert server.stdout is not None
    line = server.stdout.readline().decode()
    print(line, end="", flush=True)
    return bool(line)


def _request(port: int, method: str, path: str, body: object = None) -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer: dict[str, object] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def _show(port: int, worker: subprocess.Popen[bytes]) -> None:
    """Put a task and tell what becomes of it, as the changes feed tells it."""
    date = datetime.now(UTC) + timedelta(seconds=SECONDS)
    identity = f"first-{date:%Y%m%d-%H%M%S}"
    task = {
        "worker": WORKER,
        "date": date.isoformat(timespec="milliseconds"),
        "job": {"name": "start_campaign", "arguments": [2, 3, "teste"]},
        "status": "waiting",
    }
    since = _request(port, "GET", "/after")["update_seq"]
    print(f"\nPOST /tasks/{identity}\n     {json.dumps(task)}\n", flush=True)
    _request(port, "POST", f"/tasks/{identity}", task)
    for told in _changes(port, since, identity, worker):
        print(_line(told), flush=True)
        if told["status"] in ("done", "err", "canceled"):
            break
    example = {"worker": WORKER, "date": "PT5S", "job": {"name": "start_campaign", "arguments": [2, 3, "teste"]}}
    print(
        f"""
Look at it:       http://127.0.0.1:{port}/tasks/{identity}
Post the next:    curl -X POST http://127.0.0.1:{port}/tasks -H 'Content-Type: application/json' \\
                       -d '{json.dumps(example)}'
See all of them:  curl http://127.0.0.1:{port}/tasks
Stop:             Ctrl-C
""",
        flush=True,
    )


def _changes(port: int, since: object, identity: str, worker: subprocess.Popen[bytes]) -> Iterator[dict[str, object]]:
    """Give the task each time it changes, as long as the worker lives."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    path = f"/tasks/_changes?feed=continuous&include_docs=true&heartbeat=1000&since={since}"
    connection.request("GET", path)
    try:
        for line in connection.getresponse():
            if worker.poll() is not None:
                return
            if line.strip() and json.loads(line).get("id") == identity:
                yield json.loads(line)["doc"]
    finally:
        connection.close()


def _line(task: dict[str, object]) -> str:
    entry = task["history"][-1]  # type: ignore[index]
    told = [f"{entry['at']}  {task['status']:<10}"]
    progress = task.get("progress")
    if task["status"] == "running" and isinstance(progress, dict):
        told.append(str(progress["text"]))
    if "lateness_ms" in entry:
        told.append(f"{entry['lateness_ms']:.1f} ms after its date")
    if "result" in task:
        told.append(f"result {json.dumps(task['result'])}")
    return "  ".join(told)


def _wait(server: subprocess.Popen[bytes], worker: subprocess.Popen[bytes]) -> int:
    """Go on until a process ends, which it does not by itself when all is well."""
    while server.poll() is None and worker.poll() is None:
        time.sleep(0.5)
    print("the server or the worker has ended", file=sys.stderr)
    return 1


if __name__ == "__main__":
    os.environ.pop("AFTER_URL", None)
    sys.exit(main())
