"""A real server for tests: uvicorn with the embedded engine on a free port of 127.0.0.1, in a thread of its own."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from after.testing.server import Server as Running

SECONDS = 30.0
"""How long a test waits for what should come at once."""


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


Route = Callable[[str], tuple[str, dict[str, str]]]
"""Where an engine serves what the embedded server has at a path, and the headers that it wants with it."""


def straight(path: str) -> tuple[str, dict[str, str]]:
    """Be the embedded server's own route."""
    return path, {}


class Client:
    """Speaks HTTP to one engine over one connection; paths are the embedded server's."""

    def __init__(self, host: str, port: int, route: Route = straight, seconds: float = SECONDS) -> None:
        self._address = (host, port)
        self._seconds = seconds
        self._route = route
        self._connection = self.connect()
        self._opened = [self._connection]
        self.code: int | None = None
        """What the last answer began with."""

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._address, timeout=self._seconds)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **query: Any
    ) -> Answer:
        """Send a request; a body that is not bytes is sent as JSON, as are keys of views and query values but text."""
        try:
            response = self._send(self._connection, method, path, body, headers, query)
            return Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens it anew
            raise

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        return self.call("GET", path, None, headers, **query)

    def put(self, path: str, body: Any, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        return self.call("PUT", path, body, headers, **query)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        return self.call("POST", path, body, headers, **query)

    def delete(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        return self.call("DELETE", path, None, headers, **query)

    def stream(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None, **query: Any
    ) -> http.client.HTTPResponse:
        """Open an answer to be read line by line, over a connection of its own; POST where there is a body."""
        connection = self.connect()
        self._opened.append(connection)
        return self._send(connection, "GET" if body is None else "POST", path, body, headers, query)

    def raw(self, method: str, path: str) -> bytes:
        """Send a request on a connection of its own, and give all that comes until the other side closes."""
        place, wanted = self._route(path)
        lines = {"Host": "localhost", "Connection": "close", **wanted}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with socket.create_connection(self._address, timeout=self._seconds) as connection:
            connection.sendall(f"{method} {place} HTTP/1.1\r\n{head}\r\n".encode())
            content = b"".join(iter(lambda: connection.recv(4096), b""))
        self.code = int(content.split(b" ", 2)[1])
        return content

    def close(self) -> None:
        for connection in self._opened:
            connection.close()

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Any,
        headers: dict[str, str] | None,
        query: dict[str, Any],
    ) -> http.client.HTTPResponse:
        texts = {name: value if _is_text(name, value) else json.dumps(value) for name, value in query.items()}
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = {} if content is None else {"Content-Type": "application/json"}
        place, wanted = self._route(path)
        url = f"{place}?{urlencode(texts)}" if texts else place
        connection.request(method, url, content, {**kind, **wanted, **(headers or {})})
        response = connection.getresponse()
        self.code = response.status
        return response


def _is_text(name: str, value: Any) -> bool:
    """Tell what goes into a query as it is: text, unless it is the key of a view, which is JSON."""
    return isinstance(value, str) and not name.endswith("key")


class Place(Protocol):
    """A database of either engine."""

    host: str
    port: int
    seconds: float
    """How long to wait for what should come at once."""

    def route(self, path: str) -> tuple[str, dict[str, str]]:
        """Give where the engine serves what the embedded server has at a path."""
        ...


def speaking(place: Place, route: Route | None = None) -> Client:
    """Give what speaks to a database, by its own route unless another is given."""
    return Client(place.host, place.port, route or place.route, place.seconds)


class Server(Running):
    """The server of `after.testing`, with what the conformance suite asks of every engine."""

    def __init__(self, path: Path | None) -> None:
        self.seconds = SECONDS
        self._going = threading.Event()
        super().__init__(path)

    def route(self, path: str) -> tuple[str, dict[str, str]]:
        """Be the route to itself."""
        return straight(path)

    def pause(self) -> None:
        """Answer nothing until `resume`."""
        self._going.clear()
        self.loop.call_soon_threadsafe(self._going.wait, SECONDS)

    def resume(self) -> None:
        self._going.set()
