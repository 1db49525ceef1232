"""Reading documents that are to be stored, where many come at once.

Most of a task that has run often is its history, and a worker writes that again with every run. A long history whose
entries have the members that After knows, and no others, is checked, and stays JSON; everything else is decoded.
That takes a third of the time that decoding, checking and encoding the whole document does.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from after.server.http import check_size, decode_document, decode_object
from after.task import Document, Entry, Failure, Missed

LONG = 2048
"""Bytes of a document from which on a look for a long history pays."""


class _Missed(Missed, forbid_unknown_fields=True):
    pass


class _Failure(Failure, forbid_unknown_fields=True):
    pass


class _Entry(Entry, forbid_unknown_fields=True):
    missed: _Missed | None = None
    error: _Failure | None = None


_members = msgspec.json.Decoder(dict[str, Raw]).decode
_entries = msgspec.json.Decoder(list[_Entry]).decode
_encode = msgspec.json.Encoder().encode
_NULL = Raw(b"null")


def decode_written(raw: Raw) -> Document:
    """Read a document, in which a long, well-formed `history` is left as it came; raise as `decode_document` does."""
    if len(memoryview(raw)) < LONG:
        return decode_document(raw)
    check_size(raw)
    try:
        members = _members(raw)
        history = members.get("history", _NULL)
        if not _is_plain(bytes(history)):
            return decode_document(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return decode_document(raw)  # which says what is wrong
    members["history"] = _NULL
    document = decode_object(_encode(members))
    document["history"] = history
    return document


def _is_plain(history: bytes) -> bool:
    """Tell whether a history can be stored as it is: of entries that are After's, without spaces between them."""
    if b"\n" in history or b"\r" in history:
        return False
    if b" " in history and b'": ' in history:  # a single byte is looked for forty times as fast
        return False
    _entries(history)
    return True
