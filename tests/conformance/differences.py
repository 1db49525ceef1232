"""Where Apache CouchDB answers otherwise than the embedded server, and why: all such cases, in one table.

A key is a file, a class, a test or one case of it, without the engine's name; the longest that fits counts.
"""

from __future__ import annotations

from typing import NamedTuple


class Says(NamedTuple):
    """The code of CouchDB's answer at which the case ends, and what is behind it."""

    code: int
    why: str


NO_BULK = Says(501, "no function of a design document writes more than one document; use _bulk_docs, or the client")

DIFFERENCES = {
    "test_tasks_bulk.py": NO_BULK,
}


def told_difference(nodeid: str) -> Says | None:
    """Give what CouchDB says to a case, where it differs."""
    case = nodeid.rpartition("/")[2].replace("couchdb-", "", 1).replace("-couchdb", "", 1).replace("[couchdb]", "", 1)
    found = [key for key in DIFFERENCES if case == key or case.startswith((f"{key}::", f"{key}["))]
    return DIFFERENCES[max(found, key=len)] if found else None
