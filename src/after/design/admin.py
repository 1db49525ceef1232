"""Requests to a CouchDB server as its administrator: what installing needs beside a database's documents."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from after.database.nodes import Account
from after.database.transport import cause
from after.errors import AfterError, NotFound, Unreachable, refusal
from after.task import Document

TIMEOUT = 60.0
"""Seconds that a request may take: a cluster makes a database on each of its nodes before it answers."""
EXAMPLE = "http://ADMIN:PASSWORD@HOST:5984/after"
ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


class Server:
    """The CouchDB server of a database at `http://[USER:PASSWORD@]HOST:PORT/NAME`. Use it as an async context manager.

    Paths are those below the server, each part quoted by `path`. Every method raises the `Refusal` that CouchDB
    answered with, or `Unreachable`. The password is in no text that this class gives.
    """

    def __init__(self, url: str) -> None:
        self.database, self.url, self.user, self.password = _taken_apart(url)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Server:
        headers = {"Accept": "application/json"}
        if self.user is not None:
            headers["Authorization"] = Account(self.user, self.password or "").basic
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), headers=headers)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def shown(self) -> str:
        """The database's URL without name and password."""
        return f"{self.url}{path(self.database)}"

    async def get(self, where: str, **query: str) -> Any:
        """Give what is there."""
        return await self.request("GET", where, query=query)

    async def find(self, where: str, **query: str) -> Any:
        """Give what is there, or None where nothing is."""
        try:
            return await self.get(where, **query)
        except NotFound:
            return None

    async def request(self, method: str, where: str, body: object = None, query: dict[str, str] | None = None) -> Any:
        """Send one request and give the JSON of the answer."""
        assert self._session is not None, "the server is not open"
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        target = URL(f"{self.url}{where}", encoded=True).with_query(query)
        try:
            async with self._session.request(method, target, data=data, headers=headers) as response:
                content, status = await response.read(), response.status
        except ERRORS as error:
            raise Unreachable(f"{self.url}: {cause(error)}") from error
        try:
            told = msgspec.json.decode(content)
        except msgspec.DecodeError:
            raise Unreachable(f"{self.url}: what answered is no CouchDB") from None
        if status >= 400:
            told = told if isinstance(told, dict) else {}
            raise refusal(status, str(told.get("error")), str(told.get("reason") or f"CouchDB answered {status}"))
        return told

    async def accepts(self, name: str, password: str) -> bool:
        """Tell whether a user can log in with this password."""
        assert self._session is not None, "the server is not open"
        body = {"name": name, "password": password}
        try:
            async with self._session.post(f"{self.url}_session", json=body) as response:
                self._session.cookie_jar.clear()  # we go on as who we are
                return response.status == 200
        except ERRORS as error:
            raise Unreachable(f"{self.url}: {cause(error)}") from error

    async def remove(self, where: str) -> None:
        """Delete a document in its newest revision; nothing where there is none."""
        document: Document | None = await self.find(where)
        if document is not None:
            await self.request("DELETE", where, query={"rev": document["_rev"]})


def path(*parts: str) -> str:
    """Give a path of parts, each of which may have any characters in it, also `/`."""
    return "/".join(quote(part, safe="") for part in parts)


def document_path(database: str, identity: str) -> str:
    """Give the path of a document; that of a design document has its `/` as it is."""
    return f"{path(database)}/{path(*identity.split('/', 1))}"


def _taken_apart(url: str) -> tuple[str, str, str | None, str | None]:
    """Give a URL's database, server, user and password; raise `AfterError`, which does not repeat the password."""
    wrong = f"the URL is not of the form {EXAMPLE}; special characters in a password are written as %40 for @"
    try:
        whole = URL(url.rstrip("/"))
        whole.port  # noqa: B018 - read, because it may be wrong too
    except ValueError:
        raise AfterError(wrong) from None
    # An @ in the path, a query or a fragment is what is left of a password with a character that ends the host.
    cut = "@" in whole.path or whole.query_string or whole.fragment
    if whole.scheme not in ("http", "https") or not whole.host or whole.path in ("", "/") or cut:
        raise AfterError(wrong)
    base = str(whole.with_user(None).parent).rstrip("/") + "/"
    return whole.name, base, whole.user, whole.password
