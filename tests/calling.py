"""A web server that says what a test tells it to, names that resolve as a test wants, and calls by the job `http`."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AddressFamily
from typing import Any, NamedTuple

from aiohttp.abc import AbstractResolver, ResolveResult

from after.clock import Clock, SystemClock
from after.jobs import Job, TaskContext
from after.jobs.addresses import Guard
from after.jobs.http import http
from after.jobs.run import run
from after.jobs.signing import Signer
from after.outcome import Done, Failed, Outcome
from after.task import Call, Document

SECONDS = 20.0
"""How long a call may take in a test; it never does when all is well."""


class Received(NamedTuple):
    """A request as it came; `to` is the address that was connected to."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    to: str


Answer = Callable[[BaseHTTPRequestHandler], None]


class Web:
    """A server on a free port of all addresses of this machine, with an answer for each path."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.received: list[Received] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                to = self.connection.getsockname()[0]
                web.received.append(Received(self.command, self.path, headers, body, to))
                try:
                    web.answers[self.path](self)
                except OSError:
                    self.close_connection = True  # the other side has heard enough

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815 - the names are the library's

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def web(**answers: Answer) -> Iterator[Web]:
    """Serve each answer at the path of its name."""
    server = Web({f"/{name}": answer for name, answer in answers.items()})
    try:
        yield server
    finally:
        server.close()


def says(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    """Answer with this; a header's name is written with underscores."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    return answer


def leads(to: str, status: int = 302) -> Answer:
    """Redirect."""
    return says(status, Location=to)


class Names(AbstractResolver):
    """Resolves each name to the addresses in its list, one a time, the last for ever."""

    def __init__(self, **names: list[str]) -> None:
        self.names = {name.replace("_", "."): addresses for name, addresses in names.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_INET) -> list[ResolveResult]:
        self.asked.append(host)
        addresses = self.names[host]
        found = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return [
            {"hostname": host, "host": one, "port": port, "family": family, "proto": 0, "flags": 0}
            for one in found.split(",")
        ]

    async def close(self) -> None:
        """Hold nothing."""


@asynccontextmanager
async def caller(
    *allow: str, secrets: str = "", clock: Clock | None = None, names: Names | None = None
) -> AsyncIterator[Job]:
    """Give the job `http` of a worker that was started with these options."""
    async with http(Guard(allow), Signer(secrets), clock or SystemClock(), names) as job:
        yield job


async def outcome(job: Job, url: str, task: Document | None = None, **keywords: Any) -> Outcome:
    """Run the job as a worker does."""
    call = Call("http", [], {"url": url, **keywords})
    assert job.refuses(call) is None
    context = TaskContext({"_id": "one", **(task or {})}, 1, SystemClock(), lambda: None)
    return await run(job, call, context, SECONDS)


async def result(job: Job, url: str, task: Document | None = None, **keywords: Any) -> Any:
    """Run the job and give what it returns."""
    found = await outcome(job, url, task, **keywords)
    assert isinstance(found, Done), found
    return found.result


async def failure(job: Job, url: str, task: Document | None = None, **keywords: Any) -> Failed:
    """Run the job and give how it fails."""
    found = await outcome(job, url, task, **keywords)
    assert isinstance(found, Failed), found
    return found
