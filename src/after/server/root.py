"""What a client asks about the server itself: who it is, how it is, ids, databases, the session."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from after.errors import BadRequest, Unauthorized
from after.server.http import JSON, parameters
from after.server.protocol import new_id
from after.server.store import Store

COUCHDB_VERSION = "3.5.0"
"""The version whose protocol is spoken: clients choose by it what they may ask for."""
DATABASES = ["after"]
MAX_IDS = 1000


class Root:
    """Answers at `/` and beside the database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = version("after-io")
        self._page = (files("after") / "dashboard" / "index.html").read_bytes()

    def routes(self) -> list[BaseRoute]:
        """Give the routes."""
        return [
            Route("/", self.welcome),
            Route("/index.html", self.page),
            Route("/_up", self.up),
            Route("/_uuids", self.uuids),
            Route("/_all_dbs", self.databases),
            Route("/_session", self.session, methods=["GET"]),
            Route("/_session", self.log_in, methods=["POST"]),
            Route("/_session", self.log_out, methods=["DELETE"]),
        ]

    async def welcome(self, request: Request) -> Response:
        """Say who this is: to a browser in a page, to a program as CouchDB does."""
        if _prefers_page(request.headers.get("accept", "")):
            return await self.page(request)
        return JSON({
            "couchdb": "Welcome",
            "version": COUCHDB_VERSION,
            "uuid": self._store.uuid,
            "features": [],
            "vendor": {"name": "After", "version": self._version},
        })  # fmt: skip

    async def page(self, request: Request) -> Response:
        """Give the page on which people see the workers and the tasks."""
        return HTMLResponse(self._page)

    async def up(self, request: Request) -> Response:
        """Say that the server runs and that its database can be read, and how many bytes it has left to grow."""
        self._store.select("SELECT 1")
        return JSON({"status": "ok", "seeds": {}, "disk_free": self._store.free()})

    async def uuids(self, request: Request) -> Response:
        """Give ids that ascend with time."""
        text = parameters(request, {"count"}).get("count", "1")
        if not text.isascii() or not text.isdigit():
            raise BadRequest("count must be a positive integer")
        if len(text) > len(str(MAX_IDS)) or int(text) > MAX_IDS:
            raise BadRequest("count parameter too large")
        return JSON({"uuids": [new_id() for _ in range(int(text))]}, headers={"Cache-Control": "no-cache"})

    async def databases(self, request: Request) -> Response:
        """Name the databases: there is one."""
        return JSON(DATABASES)

    async def session(self, request: Request) -> Response:
        """Say who is asking: with no users everybody is an administrator."""
        return JSON({
            "ok": True,
            "userCtx": {"name": None, "roles": ["_admin"]},
            "info": {"authentication_handlers": []},
        })  # fmt: skip

    async def log_in(self, request: Request) -> Response:
        """Refuse whatever name is given, since there are no users."""
        raise Unauthorized("Name or password is incorrect.")

    async def log_out(self, request: Request) -> Response:
        """End a session, of which there are none."""
        return JSON({"ok": True})


def _prefers_page(accept: str) -> bool:
    """Tell whether an Accept header names HTML, and not behind JSON."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if "text/html" not in kinds:
        return False
    return "application/json" not in kinds or kinds.index("text/html") < kinds.index("application/json")
