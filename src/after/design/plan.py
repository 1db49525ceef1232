"""Given what was looked at, the steps that are missing: decided before anything is changed, and without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Literal

from msgspec import Struct

from after.design.admin import document_path, path
from after.design.document import ID
from after.design.look import STAGED, Found, is_ours, user_path
from after.errors import AfterError
from after.task import Document

ROLES = ("worker", "client")
"""The roles whose holders may use the database."""
USER = "after"
NEW_SECURITY: Document = {"admins": {"roles": ["_admin"]}, "members": {"roles": ["_admin"]}}
"""What CouchDB gives a new database: nobody but server admins."""
CSP = ("csp", "attachments_enable", "false")
HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?")


class Step(Struct, frozen=True):
    """One change: what people are told of it, and what is done where.

    `put` puts `body`; `remove` deletes a document; `drop` deletes what has no revision: a database, a setting;
    `build` waits for the indexes of a design document, also on the disk; `use` has it take over those that are built;
    `tidy` posts nothing. `secret` adds the password to the body.
    """

    line: str
    do: Literal["put", "remove", "drop", "build", "use", "tidy"]
    path: str
    body: object = None
    secret: bool = False


class Wish(Struct, frozen=True, kw_only=True):
    """What is to be there in the end. `user` None makes none; `has_password` tells that one was given for it."""

    design: Document
    user: str | None = USER
    has_password: bool = False
    vhost: str | None = None
    dashboard: bool = False
    existing: bool = False


def plan(found: Found, wish: Wish) -> list[Step]:
    """Give what has to be changed, in order; nothing where all is as wished. Raise `AfterError` where it must not be.

    The user comes first: where CouchDB does not take his password, nothing else is changed.
    """
    _refuse(found, wish)
    steps = _user(found, wish)
    if wish.user is not None and not found.users:
        steps = [_create("_users", ""), *steps]
    if not found.exists:
        steps.append(_create(found.database, found.shards))
    return [*steps, *_security(found), *_design(found, wish.design), *_config(found, wish)]


def notes(wish: Wish) -> list[str]:
    """Say what who installs so should know."""
    said = []
    if "validate_doc_update" not in wish.design:
        said.append("without the rules whoever may write can set any status and field; all of them must be trusted")
    if wish.dashboard:
        said.append(
            "scripts in the attachments of every database on this CouchDB now run in the browser of who opens them, "
            "with the rights of who is logged in there; all who may write attachments must be trusted"
        )
    return said


def _refuse(found: Found, wish: Wish) -> None:
    for reason in (*_cluster(found, wish), *_database(found, wish), *_names(found, wish)):
        raise AfterError(reason)


def _cluster(found: Found, wish: Wish) -> Iterator[str]:
    if found.missing:
        yield f"{', '.join(found.missing)} of the cluster cannot be reached; start it, or take it out of the cluster"
    if not found.users and wish.user is not None and len(found.nodes) > 1:
        yield "the cluster has no _users database: finish its setup, with a POST of finish_cluster to /_cluster_setup"


def _database(found: Found, wish: Wish) -> Iterator[str]:
    name = found.database
    if found.partitioned:
        yield f"the database {name} is partitioned, and takes no ids of tasks; choose another name"
    if found.design is not None and not is_ours(found.design):
        yield f"the database {name} has a {ID} that is not After's; choose another name"
    if found.foreign and not is_ours(found.design) and not wish.existing:
        some = ", ".join(found.foreign[:3]) + (", …" if len(found.foreign) > 3 else "")
        yield (
            f"the database {name} has documents that are not After's ({some}); choose another name, "
            "or let both live in one database with --existing"
        )
    old, new = (_version(design) for design in (found.design, wish.design))
    if old > new:
        yield (
            f"{_told(found.design)} is installed, newer than this {_told(wish.design)}: install with that, "
            "or `after uninstall` first, which keeps the tasks"
        )


def _names(found: Found, wish: Wish) -> Iterator[str]:
    if wish.user in found.admins:
        yield f"{wish.user!r} is a server admin's name; give another with --user, or --no-user"
    for node, sections in found.config.items():
        pointed = sections["vhosts"].get(wish.vhost) if wish.vhost else None
        if pointed not in (None, target(found.database)):
            yield f"the vhost {wish.vhost} on {node} points to {pointed} already; choose another name"


def vhost_refused(name: str, server: str | None) -> str | None:
    """Say why a name cannot be a vhost; `server` is the host under which CouchDB itself is reached."""
    host = name.partition(":")[0].lower()
    if not HOST_NAME.fullmatch(name):
        return f"{name!r} is not the name of a host, such as tasks.example.org"
    if _is_address(host) or host in ("localhost", server):
        return f"all that is sent to {name} would go to After, and CouchDB be out of reach; choose another name"
    return None


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _create(database: str, shards: str) -> Step:
    return Step(f"create database {database}{f' (q={shards})' if shards else ''}", "put", path(database))


def _security(found: Found) -> list[Step]:
    now = found.security if found.exists else NEW_SECURITY
    members = now.get("members") or {}
    names, roles = members.get("names") or [], members.get("roles") or []
    missing = [role for role in ROLES if role not in roles]
    if not missing:
        return []
    public = "" if names or roles else "; until now everybody could read and write"
    body = {**now, "members": {**members, "roles": [*roles, *missing]}}
    line = f"_security: members get the roles {', '.join(missing)}{public}"
    return [Step(line, "put", path(found.database) + "/_security", body)]


def _design(found: Found, wanted: Document) -> list[Step]:
    """Give the steps to the wanted design document: an index is built before the views that need it are swapped in."""
    where, staged = (document_path(found.database, identity) for identity in (ID, STAGED))
    leftover = [Step(f"remove {STAGED}", "remove", staged)] if found.staged is not None else []
    if found.design is not None and _digest(found.design) == _digest(wanted):
        return leftover
    steps, changed = [], _views(found.design) != _views(wanted)
    if changed and found.documents and any(name != "lib" for name in wanted["views"]):
        if _views(found.staged) != _views(wanted):
            body = {"_id": STAGED, **_revision(found.staged), "after": wanted["after"], **_views(wanted)}
            steps.append(Step(f"put {STAGED}, the new views", "put", staged, body))
        steps.append(Step(f"build the indexes of {found.documents} documents", "build", staged))
        # An index has the name of the first that asked for it, and is closed when that goes, unless it has another.
        leftover = [
            Step(f"hand the indexes over to {ID}", "use", where),
            Step(f"remove {STAGED}", "remove", staged),
        ]
    steps.append(Step(_put_line(found.design, wanted), "put", where, {**wanted, **_revision(found.design)}))
    tidy = Step("remove the files of old indexes", "tidy", path(found.database) + "/_view_cleanup")
    return [*steps, *leftover, *([tidy] if changed and found.design is not None else [])]


def _put_line(old: Document | None, new: Document) -> str:
    rules, had = "validate_doc_update" in new, "validate_doc_update" in (old or {})
    told = "" if rules else ", without the rules"
    if old is not None and rules != had:
        told = ", now with the rules" if rules else ", now without the rules"
    replaced = f", in place of {_told(old)} (digest {_digest(old)[:8]})" if old is not None else ""
    return f"put {ID}, {_told(new)} (digest {_digest(new)[:8]}){told}{replaced}"


def _user(found: Found, wish: Wish) -> list[Step]:
    name, user, where = wish.user, found.user, user_path(wish.user or "")
    if name is None:
        return []
    if user is None:
        body: Document = {"name": name, "type": "user", "roles": ["worker"]}
        return [Step(f"user {name}: create with the role worker", "put", where, body, secret=True)]
    body, told, secret = dict(user), [], wish.has_password and not found.password_fits
    if "worker" not in user["roles"]:
        body["roles"] = [*user["roles"], "worker"]
        told.append("add the role worker")
    if secret:
        told.append("set the password")
    return [Step(f"user {name}: {' and '.join(told)}", "put", where, body, secret)] if told else []


def _config(found: Found, wish: Wish) -> Iterator[Step]:
    wanted = [("vhosts", wish.vhost, target(found.database))] if wish.vhost else []
    if wish.dashboard:
        wanted.append(CSP)
    for section, key, value in wanted:
        for node in found.nodes:
            if found.config[node][section].get(key) != value:
                yield Step(f"{section} on {node}: {key} = {value}", "put", config_path(node, section, key), value)


def config_path(node: str, section: str, key: str) -> str:
    """Give the path of a setting of a node."""
    return path("_node", node, "_config", section, key)


def target(database: str) -> str:
    """Give what a vhost points to."""
    return "/" + document_path(database, ID) + "/_rewrite"


def _views(design: Document | None) -> Document:
    """Give what the files of indexes depend on."""
    return {name: design[name] for name in ("language", "views", "options") if name in design} if design else {}


def _revision(document: Document | None) -> Document:
    return {"_rev": document["_rev"]} if document else {}


def _digest(design: Document) -> str:
    return str(design["after"].get("digest"))


def _told(design: Document | None) -> str:
    return f"After {design['after'].get('version')}" if design else "nothing"


def _version(design: Document | None) -> list[int]:
    text = str(design["after"].get("version")) if design is not None and is_ours(design) else ""
    return [int(number) for number in re.findall(r"\d+", text)[:3]]
