"""The parameters that CouchDB's views, and `_all_docs`, take."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request

from after.collation import CollationKey, collation_key
from after.errors import BadRequest
from after.server.http import body, decode, decode_object, parameters
from after.server.protocol import refused

_ALIASES = {
    "start_key": "startkey",
    "end_key": "endkey",
    "start_key_doc_id": "startkey_docid",
    "end_key_doc_id": "endkey_docid",
}
_IGNORED = frozenset({"stable", "update", "stale", "sorted", "attachments", "att_encoding_info", "r"})
_TEXTS = frozenset({"startkey_docid", "endkey_docid"})
_Count = Annotated[int, Meta(ge=0, le=2**53)]
_HIGHEST: CollationKey = (9,)
"""Above every key."""


class ViewQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of a view; a bound that was not given is UNSET, since null is a key like any other."""

    key: Any = UNSET
    keys: list[Any] | None = None
    startkey: Any = UNSET
    endkey: Any = UNSET
    startkey_docid: str | None = None
    endkey_docid: str | None = None
    inclusive_end: bool = True
    descending: bool = False
    limit: _Count | None = None
    skip: _Count = 0
    include_docs: bool = False
    conflicts: bool = False
    update_seq: bool = False
    reduce: bool | None = None
    group: bool = False
    group_level: _Count | UnsetType = UNSET

    def one(self, key: Any) -> ViewQuery:
        """Give the query for one of its keys."""
        return msgspec.structs.replace(self, keys=None, key=UNSET, startkey=key, endkey=key)

    def last(self) -> int | None:
        """Give how many rows have to be read, those that are skipped among them."""
        return None if self.limit is None else self.skip + self.limit


KNOWN = frozenset(ViewQuery.__struct_fields__) | _ALIASES.keys() | _IGNORED


async def read(request: Request) -> ViewQuery:
    """Read a query from the URL and, with POST, from the body; raise CouchDB's `query_parse_error`."""
    given: dict[str, Any] = {}
    if request.method == "POST" and (raw := await body(request)):
        given = decode_object(raw)
    for name, text in parameters(request, KNOWN).items():
        given[name] = text if name in _IGNORED or _ALIASES.get(name, name) in _TEXTS else _json(name, text)
    values = {_ALIASES.get(name, name): value for name, value in given.items() if name not in _IGNORED}
    try:
        query = msgspec.convert(values, ViewQuery)
    except msgspec.ValidationError as error:
        raise refused("query_parse_error", str(error)) from None
    return _checked(query)


def _json(name: str, text: str) -> Any:
    try:
        return decode(text.encode())
    except BadRequest:
        raise refused("query_parse_error", f"{name}: {text!r:.80} is not JSON") from None


def _checked(query: ViewQuery) -> ViewQuery:
    if query.keys is not None and any(key is not UNSET for key in (query.key, query.startkey, query.endkey)):
        raise refused("query_parse_error", "`keys` is incompatible with `key`, `start_key` and `end_key`")
    return query if query.key is UNSET else query.one(query.key)


def check_map(query: ViewQuery) -> None:
    """Refuse what only a view with a reduce takes."""
    if query.reduce:
        raise refused("query_parse_error", "Reduce is invalid for map-only views.")
    if query.group or query.group_level:
        raise refused("query_parse_error", "Invalid use of grouping on a map view.")


def check_reduced(query: ViewQuery) -> None:
    """Refuse what does not go together with a reduce."""
    if query.include_docs:
        raise refused("query_parse_error", "`include_docs` is invalid for reduce")
    if query.conflicts:
        raise refused("query_parse_error", "`conflicts` is invalid for reduce views.")
    if query.keys is not None and not query.group:
        raise refused("query_parse_error", "Multi-key fetches for reduce views must use `group=true`")


def check_range(query: ViewQuery) -> None:
    """Refuse bounds in the wrong order, which are a mistake wherever they are not told."""
    if query.startkey is UNSET or query.endkey is UNSET:
        return
    start = collation_key(query.startkey), _place(query.startkey_docid, highest=query.descending)
    end = collation_key(query.endkey), _place(query.endkey_docid, highest=not query.descending)
    if (start < end) if query.descending else (end < start):
        advice = "reverse your start_key and end_key or set descending="
        raise refused(
            "query_parse_error",
            f"No rows can match your key range, {advice}{str(not query.descending).lower()}",
        )


def _place(identity: str | None, *, highest: bool) -> CollationKey:
    if identity is None:
        return _HIGHEST if highest else ()
    return collation_key(identity)
