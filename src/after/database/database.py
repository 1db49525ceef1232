"""One database behind one URL, as workers and clients use it."""

from __future__ import annotations

import email.utils
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from after.clock import Clock, SystemClock
from after.database.feed import Change, cause, changes
from after.errors import BadRequest, Refusal, TooLarge, Unreachable, refusal
from after.task import Document

DEFAULT_URL = "http://127.0.0.1:5985/after"
TIMEOUT = 30.0
"""Seconds that a request may take before its connection counts as dead; the feed has its own, by heartbeats."""
CONNECTION_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


class Written(Struct):
    """The answer to a document that was written. `accepted` means that a cluster did not take it for certain."""

    id: str
    rev: str
    accepted: bool = False


class ViewRow(Struct):
    """A row of a view; `doc` where documents were asked for. A row that was reduced has no `id`."""

    id: str = ""
    key: Any = None
    value: Any = None
    doc: Document | None = None


class _Answer(Struct):
    id: str
    rev: str = ""
    accepted: bool = False
    error: str | None = None
    reason: str = ""


class _Rows(Struct):
    rows: list[ViewRow]


T = TypeVar("T")

_answers = msgspec.json.Decoder(list[_Answer])
_documents = msgspec.json.Decoder(Document)
_rows = msgspec.json.Decoder(_Rows)
_encode = msgspec.json.Encoder().encode
_CODES = {
    "conflict": 409,
    "forbidden": 403,
    "unauthorized": 401,
    "bad_request": 400,
    "too_large": 413,
    "not_found": 404,
}


class Database:
    """Speaks to the database at `url`, `http://[USER:PASSWORD@]HOST:PORT/NAME`. Use it as an async context manager.

    Every method raises the `Refusal` that the engine answered with, or `Unreachable` where none answered within
    `timeout` seconds, None for as long as it takes.
    """

    def __init__(self, url: str = DEFAULT_URL, clock: Clock | None = None, *, timeout: float | None = TIMEOUT) -> None:
        whole = URL(url.rstrip("/"))
        if whole.scheme not in ("http", "https") or not whole.host or whole.path in ("", "/"):
            raise ValueError(f"{url!r} is not the URL of a database, such as {DEFAULT_URL}")
        self.url = whole.with_user(None)
        self.skew: float | None = None
        """Seconds by which the engine's clock is ahead of ours at the least, by its last answer."""
        self._clock = clock or SystemClock()
        self._auth = aiohttp.BasicAuth(whole.user, whole.password or "") if whole.user else None
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=TIMEOUT)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Database:
        assert self._session is None, "a database is opened once"
        self._session = aiohttp.ClientSession(
            auth=self._auth,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=self._timeout,
            headers={"Accept": "application/json"},
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None
    ) -> bytes:
        """Send one request to a path below the database and give the answer's body."""
        url = URL(f"{self.url}/{path}" if path else str(self.url), encoded=True)
        return await self._request(method, url, query, body)

    async def _request(self, method: str, url: URL, query: Mapping[str, str] | None, body: object) -> bytes:
        data = None if body is None else _encode(body)
        headers = {} if data is None else {"Content-Type": "application/json"}
        session, sent = self._open(), self._clock.time()
        try:
            async with session.request(method, url.with_query(query), data=data, headers=headers) as response:
                content = await response.read()
        except CONNECTION_ERRORS as error:
            raise Unreachable(f"{self.url}: {cause(error)}") from error
        self._look_at_date(response.headers.get("Date"), sent)
        if response.status >= 400:
            raise _refusal(response.status, content)
        return content

    async def info(self) -> Document:
        """Give the description of the database, `update_seq` among it."""
        return _read(_documents, await self.request("GET", ""))

    async def engine(self, path: str = "") -> Document:
        """Give what the engine says of itself beside the database: `version` and `vendor`, or what `path` tells."""
        return _read(_documents, await self._request("GET", self.url.parent / path, None, None))

    async def replicate(self, wanted: Mapping[str, Any]) -> Document:
        """Let a CouchDB copy a database into another, wait for the end, and give what it tells of it."""
        return _read(_documents, await self._request("POST", self.url.parent / "_replicate", None, wanted))

    async def get(self, identity: str) -> Document:
        """Give a document; raise `NotFound` where there is none."""
        return _read(_documents, await self.request("GET", _path(identity)))

    async def write(self, documents: Sequence[Mapping[str, Any] | msgspec.Raw]) -> list[Written | Refusal]:
        """Write documents; give for each, in order, what became of it.

        They go in one request, or in more where the engine refuses one as a whole, so that a document that is too large
        is refused alone.
        """
        try:
            content = await self.request("POST", "_bulk_docs", body={"docs": documents})
        except (BadRequest, TooLarge) as error:
            if len(documents) == 1:
                return [error]
            half = len(documents) // 2
            return [*await self.write(documents[:half]), *await self.write(documents[half:])]
        return [_written(answer) for answer in _read(_answers, content)]

    async def put(self, document: Mapping[str, Any]) -> str:
        """Write one document and give its new revision."""
        (answer,) = await self.write([document])
        if isinstance(answer, Refusal):
            raise answer
        return answer.rev

    async def view(self, name: str, **parameters: object) -> list[ViewRow]:
        """Give the rows of one of After's views. Parameters are CouchDB's, as Python values."""
        return await self._read(f"_design/after/_view/{name}", parameters)

    async def pages(
        self, name: str, *, startkey: object, size: int, **parameters: object
    ) -> AsyncIterator[list[ViewRow]]:
        """Give the rows of a view from a key on, page by page, each row once, however it changes meanwhile."""
        start: dict[str, object] = {"startkey": startkey}
        last = None
        while True:
            rows = await self.view(name, **start, **parameters, limit=size)
            # Going on behind the last row by skipping one would leave out another where that row is gone by now.
            if page := rows[1:] if rows and (rows[0].key, rows[0].id) == last else rows:
                yield page
            if len(rows) < size:
                return
            last = rows[-1].key, rows[-1].id
            start = {"startkey": rows[-1].key, "startkey_docid": rows[-1].id}

    async def all(self, **parameters: object) -> list[ViewRow]:
        """Give the rows of `_all_docs`. Parameters are CouchDB's, as Python values."""
        return await self._read("_all_docs", parameters)

    async def get_many(self, identities: list[str]) -> dict[str, Document]:
        """Give those of the documents that exist, by id."""
        if not identities:
            return {}
        content = await self.request("POST", "_all_docs", query={"include_docs": "true"}, body={"keys": identities})
        return {row.id: row.doc for row in _read(_rows, content).rows if row.doc is not None}

    def changes(
        self, *, since: object, selector: Mapping[str, Any], heartbeat: float = 5.0
    ) -> AsyncIterator[list[Change]]:
        """Follow the changes that match a selector, documents included, until the connection ends.

        `heartbeat` is the seconds between signs of life; after three without one it raises `Unreachable`.
        """
        return changes(self._open(), self.url, since=since, selector=selector, heartbeat=heartbeat)

    async def _read(self, path: str, parameters: Mapping[str, object]) -> list[ViewRow]:
        query = {
            # Ids of documents are the only parameters that are not JSON.
            name: str(value) if name.endswith("_docid") else _encode(value).decode()
            for name, value in parameters.items()
        }
        return _read(_rows, await self.request("GET", path, query=query)).rows

    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the database is not open"
        return self._session

    def _look_at_date(self, date: str | None, sent: float) -> None:
        """Note by how much the clocks differ at the least: the header is cut to the second, and took time to come."""
        if date is not None:
            told = email.utils.parsedate_to_datetime(date).timestamp()
            ahead, behind = told - self._clock.time(), told + 1.0 - sent
            self.skew = max(ahead, 0.0) or min(behind, 0.0)


def _path(identity: str) -> str:
    if identity.startswith(("_design/", "_local/")):
        kind, _, name = identity.partition("/")
        return f"{kind}/{quote(name, safe='')}"
    return quote(identity, safe="")


def _read(decoder: msgspec.json.Decoder[T], content: bytes) -> T:
    """Read an answer; raise `Unreachable` where it is not what an engine answers, as with a proxy before one."""
    try:
        return decoder.decode(content)
    except msgspec.DecodeError as error:
        raise Unreachable(f"what answered is no CouchDB and no After: {error}") from None


def _written(answer: _Answer) -> Written | Refusal:
    if answer.error is None:
        return Written(answer.id, answer.rev, answer.accepted)
    return refusal(_CODES.get(answer.error, 500), answer.error, answer.reason)


def _refusal(status: int, content: bytes) -> Refusal:
    try:
        told = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        told = {}
    return refusal(status, str(told.get("error", "error")), str(told.get("reason", f"the engine answered {status}")))
