"""The steps that take After out of a CouchDB again; its tasks only where that is asked for."""

from __future__ import annotations

from after.design.admin import document_path, path
from after.design.document import ID
from after.design.look import STAGED, Found, is_ours, user_path
from after.design.plan import Step, config_path, target
from after.errors import AfterError


def removal(found: Found, *, user: str | None = None, data: bool = False) -> list[Step]:
    """Give what has to be removed, in order. Raise `AfterError` where it must not be.

    `data` is the database with all that is in it. A user who has other roles too loses only the role `worker`.
    """
    _refuse(found, data)
    return [*_vhosts(found), *_database(found, data), *_user(found, user)]


def _refuse(found: Found, data: bool) -> None:
    name = found.database
    if found.missing:
        told = ", ".join(found.missing)
        raise AfterError(f"{told} of the cluster cannot be reached; start it, or take it out of the cluster")
    if found.design is not None and not is_ours(found.design):
        raise AfterError(f"the {ID} of the database {name} is not After's")
    if data and found.foreign:
        some = ", ".join(found.foreign[:3]) + (", …" if len(found.foreign) > 3 else "")
        raise AfterError(f"the database {name} has documents that are not After's ({some}); leave out --data")


def _vhosts(found: Found) -> list[Step]:
    return [
        Step(f"vhosts on {node}: remove {name}", "drop", config_path(node, "vhosts", name))
        for node, sections in found.config.items()
        for name, pointed in sections["vhosts"].items()
        if pointed == target(found.database)
    ]


def _database(found: Found, data: bool) -> list[Step]:
    if not found.exists:
        return []
    if data:
        return [
            Step(f"delete the database {found.database}, {found.documents} documents", "drop", path(found.database))
        ]
    there = [(ID, found.design), (STAGED, found.staged)]
    gone = [
        Step(f"remove {identity}", "remove", document_path(found.database, identity))
        for identity, document in there
        if document is not None
    ]
    tidy = Step("remove the files of old indexes", "tidy", path(found.database) + "/_view_cleanup")
    return [*gone, tidy] if gone else []


def _user(found: Found, name: str | None) -> list[Step]:
    if name is None or found.user is None:
        return []
    others = [role for role in found.user["roles"] if role != "worker"]
    if not others:
        return [Step(f"user {name}: remove", "remove", user_path(name))]
    if len(others) == len(found.user["roles"]):
        return []
    return [Step(f"user {name}: take the role worker", "put", user_path(name), {**found.user, "roles": others})]
