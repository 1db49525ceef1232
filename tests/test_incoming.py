"""Documents that come many at once: what stays JSON on the way is stored as if it had been decoded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from after.errors import Refusal
from after.server.http import decode_document
from after.server.incoming import LONG, decode_written
from after.server.protocol import edit
from after.task import Document

ENTRY = {"at": "2026-12-01T09:00:00.000Z", "status": "done", "by": "manobi/1", "lateness_ms": 0.25, "duration_ms": 2}
FAILED = {**ENTRY, "status": "err", "error": {"type": "ValueError", "message": "größer, als: {[\"'"}, "note": "a: b, c"}
MISSED = {**ENTRY, "missed": {"first": ENTRY["at"], "last": ENTRY["at"], "count": 3}, "next": ENTRY["at"]}


def task(*last: Any, **fields: Any) -> Document:
    history = [ENTRY, FAILED, MISSED] * 10 + list(last)
    return {"_id": "a", "worker": "manobi", "job": "x", "history": history, "mine": {"history": [1, {}]}, **fields}


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def stored(document: Any) -> tuple[Any, ...]:
    made = edit(document, "a", None)
    return made.body, made.keys, made.deleted


def refusal(read: Any, raw: msgspec.Raw) -> tuple[type, str]:
    with pytest.raises(Refusal) as caught:
        stored(read(raw))
    return type(caught.value), caught.value.reason


@pytest.mark.parametrize("document", [
    task(),
    task(status="done", claim={"instance": "manobi/1", "at": ENTRY["at"]}),
    task({**ENTRY, "mine": [[1]]}),
    task({**ENTRY, "error": {"type": "a", "message": "b", "mine": 1}}),
    {"history": [ENTRY] * 30, "x": 1},
    {"history": "h" * LONG},
    {"x": [ENTRY] * 30},
    task(_deleted=True),
])  # fmt: skip
def test_what_is_stored_is_the_same_either_way(document: Document) -> None:
    raw = msgspec.Raw(msgspec.json.encode(document))
    assert len(memoryview(raw)) > LONG
    assert stored(decode_written(raw)) == stored(decode_document(raw))


def test_a_history_of_known_entries_stays_as_it_is() -> None:
    raw = msgspec.Raw(msgspec.json.encode(task()))
    assert isinstance(decode_written(raw)["history"], msgspec.Raw)


@pytest.mark.parametrize("indent", [0, 2])
def test_spaces_between_the_entries_are_not_stored(indent: int) -> None:
    raw = msgspec.Raw(msgspec.json.format(msgspec.json.encode(task()), indent=indent))
    assert stored(decode_written(raw)) == stored(task())


@pytest.mark.parametrize("space", [b"\n", b"\r"])
def test_a_line_stays_a_line(space: bytes) -> None:
    """The changes feed tells a document in one line."""
    raw = msgspec.Raw(msgspec.json.encode(task()).replace(b"},{", b"}," + space + b"{"))
    assert stored(decode_written(raw)) == stored(task())


@pytest.mark.parametrize("wrong", [
    task({**ENTRY, "status": "weird"}),
    task({**ENTRY, "at": 5}),
    task({**ENTRY, "error": {"type": "a"}}),
    task("entry"),
    task(priority="high"),
    task({**ENTRY, "mine": nested(70)}),
    task(mine=nested(70)),
])  # fmt: skip
def test_what_is_wrong_is_told_in_the_same_words(wrong: Document) -> None:
    raw = msgspec.Raw(msgspec.json.encode(wrong))
    assert refusal(decode_written, raw) == refusal(decode_document, raw)


@pytest.mark.parametrize(("good", "bad"), [
    (b'"manobi/1"', b'"manobi\xff"'),
    (b'"manobi/1"', b'"man\x01obi"'),
    (b"0.25", b"1e999"),
    (b"0.25", b"00.25"),
    (b"]", b""),
    (b'"at"', b'"at":1,at'),
])  # fmt: skip
def test_what_is_not_json_is_refused_as_ever(good: bytes, bad: bytes) -> None:
    raw = msgspec.Raw(msgspec.json.encode(task()).replace(good, bad))
    assert refusal(decode_written, raw) == refusal(decode_document, raw)
