"""The command line as people and programs use it: processes, their output, their exit codes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from typing import IO, Any, NamedTuple

SECONDS = 30.0
"""How long a test waits for what has to come; it never does when all is well."""

JOBS = """
import asyncio
import threading

from after import job


@job
async def give(value):
    return value


@job
async def wait_for_ever():
    await asyncio.Event().wait()


@job
def hang_in_thread():
    threading.Event().wait()


@job
async def fail(message):
    raise LookupError(message)
"""


class Result(NamedTuple):
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


def after(*arguments: object, url: str | None = None, given: str | None = None) -> Result:
    """Run a command to its end."""
    ended = subprocess.run(
        _line(arguments),
        env=_environment(url),
        input=given,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Result(ended.returncode, ended.stdout, ended.stderr)


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Command:
    """A command that goes on until it is stopped. Its lines are kept as they come. Use it as a context manager."""

    def __init__(self, *arguments: object, url: str | None = None, command: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            command or _line(arguments), env=_environment(url), preexec_fn=_hear_interrupts,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.out: list[str] = []
        self.err: list[str] = []
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=pair)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self._close()

    def wait_for(self, text: str, seconds: float = SECONDS) -> str:
        """Wait for a line with this text and give it."""
        with self._news:
            assert self._news.wait_for(lambda: self._has(text) or self.ended(), seconds), f"no {text!r} in {self}"
        found = self._has(text)
        assert found is not None, f"no {text!r} in {self}"
        return found

    def has(self, text: str, seconds: float) -> bool:
        """Tell whether a line with this text comes in so many seconds."""
        with self._news:
            return bool(self._news.wait_for(lambda: self._has(text), seconds))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and give the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and give the exit code."""
        code = self.process.wait(SECONDS)
        self._close()
        return code

    def ended(self) -> bool:
        """Tell whether nothing more will come."""
        return not any(reader.is_alive() for reader in self._readers)

    def __repr__(self) -> str:
        return f"stdout {self.out} stderr {self.err}"

    def _has(self, text: str) -> str | None:
        return next((line for line in [*self.out, *self.err] if text in line), None)

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._news:
                lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _close(self) -> None:
        self.process.wait(SECONDS)
        for reader in self._readers:
            reader.join(SECONDS)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def _line(arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "after", *map(str, arguments)]


def _environment(url: str | None) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if name not in ("AFTER_URL", "COLUMNS")}
    return kept | {"PYTHONUNBUFFERED": "1"} | ({} if url is None else {"AFTER_URL": url})


def _hear_interrupts() -> None:
    """Where the tests run in the background of a shell, they and what they start would ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
