"""What installing looks at before it changes anything: server, account, database, users and configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from after.design.admin import EXAMPLE, Server, document_path, path
from after.design.document import ID
from after.errors import AfterError, Forbidden, Unauthorized
from after.task import RESERVED_IDS, Document, is_task

STAGED = f"{ID}-next"
"""Under this id the views of an upgrade are indexed before it takes the place of the installed one."""
LOOKED_AT = 1_000
"""Documents of a database without After's design document that are looked at, to see whose it is."""
SECTIONS = ("vhosts", "csp")
DATABASE_NAME = re.compile(r"[a-z][a-z0-9_$()+/-]*")


class Found(Struct, kw_only=True):
    """All that was looked at. A document that is not there is None; `config` is by node, section and key.

    `documents` are those in the database beside After's design document.
    """

    database: str
    account: str = ""
    exists: bool = True
    documents: int = 0
    partitioned: bool = False
    shards: str = ""
    foreign: list[str] = []
    security: Document = {}
    design: Document | None = None
    staged: Document | None = None
    admins: list[str] = []
    users: bool = True
    user: Document | None = None
    password_fits: bool = True
    nodes: list[str] = []
    missing: list[str] = []
    config: dict[str, dict[str, dict[str, str]]] = {}


async def look(
    server: Server,
    *,
    user: str | None = None,
    password: str | None = None,
    config: bool = False,
    all_data: bool = False,
) -> Found:
    """Look at everything; raise `AfterError` where the server or the account is not one to install with.

    `user` is looked up, and whether `password` is his; `config` reads the nodes' configuration; `all_data` looks
    through the documents also where After is installed.
    """
    await _server(server)
    if not DATABASE_NAME.fullmatch(server.database):
        raise AfterError(f"CouchDB has no databases named {server.database!r}: lower-case letters, digits and _$()+-/")
    found = Found(database=server.database, account=server.user or "")
    membership = await server.get("_membership")
    found.nodes = sorted(membership["cluster_nodes"])
    found.missing = sorted({*membership["cluster_nodes"]} - {*membership["all_nodes"]})
    await _database(server, found, all_data)
    if user is not None:
        await _user(server, found, user, password)
    if config and not found.missing:
        for node in found.nodes:
            sections = {name: await server.get(f"_node/{path(node)}/_config/{name}") for name in SECTIONS}
            found.config[node] = sections
    return found


async def _server(server: Server) -> None:
    try:
        welcome = await server.get("")
        session = await server.get("_session")
    except Unauthorized as error:
        raise AfterError(f"{server.url} says: {error.reason} The URL is to be {EXAMPLE}, of a server admin") from None
    except Forbidden as error:  # such as an account that is locked for some minutes after five wrong passwords
        raise AfterError(f"{server.url} says: {error.reason}") from None
    if refused := engine_refused(welcome) or account_refused(session):
        raise AfterError(f"{server.url} {refused}")


def engine_refused(welcome: object) -> str | None:
    """Say why nothing can be installed on what greets so; None for CouchDB 3."""
    told = welcome if isinstance(welcome, dict) else {}
    version = str(told.get("version"))
    if (told.get("vendor") or {}).get("name") == "After":
        return "is After's own server, which has all this in it: there is nothing to install"
    if "couchdb" not in told:
        return "is no CouchDB"
    if not version.startswith("3."):
        return f"is CouchDB {version}; After needs CouchDB 3"
    return None


def account_refused(session: Mapping[str, Any]) -> str | None:
    """Say why this account may not install; None for a server admin."""
    context = session.get("userCtx") or {}
    name, roles = context.get("name"), context.get("roles") or []
    if "_admin" in roles:
        return None
    if name is None:
        return f"wants a server admin's name and password: {EXAMPLE}"
    held = f"only the roles {', '.join(roles)}" if roles else "no role"
    return f"knows {name!r} with {held}; installing needs a server admin (in CouchDB's configuration, [admins])"


async def _database(server: Server, found: Found, all_data: bool) -> None:
    where = path(found.database)
    info = await server.find(where)
    if info is None:
        found.exists = False
        found.shards = await server.find("_node/_local/_config/cluster/q") or "2"
        return
    found.partitioned = bool((info.get("props") or {}).get("partitioned"))
    found.security = await server.get(f"{where}/_security")
    found.design = await server.find(document_path(found.database, ID))
    found.staged = await server.find(document_path(found.database, STAGED))
    found.documents = info["doc_count"] - sum(one is not None for one in (found.design, found.staged))
    if all_data or not is_ours(found.design):
        rows = await server.get(f"{where}/_all_docs", limit=str(LOOKED_AT), include_docs="true")
        found.foreign = foreign(row.get("doc") or {} for row in rows["rows"])


async def _user(server: Server, found: Found, user: str, password: str | None) -> None:
    found.admins = sorted(await server.get("_node/_local/_config/admins"))
    found.users = await server.find("_users") is not None
    if not found.users:
        return
    found.user = await server.find(user_path(user))
    if found.user is not None and password is not None:
        found.password_fits = await server.accepts(user, password)


def user_path(name: str) -> str:
    """Give the path of a user's document."""
    return path("_users", f"org.couchdb.user:{name}")


def is_ours(design: Document | None) -> bool:
    """Tell whether a design document is one that After has put there."""
    return design is not None and isinstance(design.get("after"), dict)


def foreign(documents: Iterable[Document]) -> list[str]:
    """Give the ids of those documents that are neither tasks nor After's own, nor the indexes of `_find`."""
    return [document["_id"] for document in documents if "_id" in document and not _known(document)]


def _known(document: Document) -> bool:
    identity = document["_id"]
    if identity.startswith("_design/"):
        return document.get("language") == "query" or (identity in (ID, STAGED) and is_ours(document))
    return is_task(document) or identity.startswith(RESERVED_IDS)
