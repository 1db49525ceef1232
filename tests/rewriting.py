"""The REST interface of the design document without a CouchDB: its functions run in a JavaScript engine.

Views are computed here from their map functions and sorted as the embedded server sorts; what only CouchDB does
(writing, the feed, attachments) is tested against a real one.
"""

from __future__ import annotations

import json
from collections import Counter
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import unquote

from javascript import DesignDocument
from serving import Answer

from after.collation import collation_key
from after.task import Document

BASE = "/after/_design/after/_rewrite"
LIST_FUNCTIONS = """
let rows, sent, begun;

function start(answer) { begun = answer; }
function send(text) { sent += text.toString(); }
function getRow() { return rows.shift() || null; }

function callList(name, given, req) {
  rows = JSON.parse(given);
  sent = "";
  begun = {};
  const rest = run("lists/" + name, [{}, JSON.parse(req)]);
  return JSON.stringify({ code: begun.code || 200, headers: begun.headers, body: sent + (rest || "") });
}
"""
"""What CouchDB gives to list functions."""


class Rewriting(NamedTuple):
    """The design document's interface to some documents."""

    design: Lists
    documents: list[Document]

    def get(self, path: str, method: str = "GET") -> Answer:
        """Ask below the rewrite prefix."""
        told = self.rewritten(path, method)
        if "code" not in told:
            told = self._answer(told["path"], told["query"])
        headers = Message()
        for name, value in told["headers"].items():
            headers[name] = value
        return Answer(told["code"], headers, told["body"].encode())  # type: ignore[arg-type]

    def rewritten(self, path: str, method: str = "GET") -> dict[str, Any]:
        """Give what the rewrite function makes of a request."""
        found: dict[str, Any] = self.design.function("rewrites", {"method": method, "raw_path": BASE + path})
        return found

    def _answer(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        kind, name, what = path.split("/")
        if kind == "_list":
            if what == "_all_docs":
                return self.design.list(name, self._named(json.loads(query["keys"])), {"query": query})
            keys = {name: json.loads(value) for name, value in query.items() if name in ("startkey", "endkey")}
            return self.design.list(name, self._rows(what, {**query, **keys}), {"query": query})
        assert kind == "_show"
        identity = unquote(what)
        document = next((document for document in self.documents if document["_id"] == identity), None)
        if document is not None:
            document = {**document, "_revisions": {"start": 1, "ids": []}}
        shown: dict[str, Any] = self.design.function(f"shows/{name}", document, {"id": identity, "query": query})
        return {"code": 200, **shown}

    def _named(self, ids: list[str]) -> list[dict[str, Any]]:
        """Give the rows of documents by their ids, as CouchDB has them for a list function."""
        known = {document["_id"]: document for document in self.documents}
        return [{"id": one, "key": one, "doc": known[one]} if one in known else {"key": one} for one in ids]

    def _rows(self, view: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        """Give the rows of a view that a query selects, as far as our rewrites ask."""
        found = [
            (collation_key(key), document["_id"], key, document)
            for document in self.documents
            for key, _ in self.design.function(f"views/{view}", document)
        ]
        found.sort(key=lambda row: row[:2])
        if "startkey" in query:
            low = (collation_key(query["startkey"]), query.get("startkey_docid", ""))
            high = collation_key(query["endkey"])
            assert low[0] <= high, "CouchDB refuses such a range"
            found = [row for row in found if row[:2] >= low and row[0] < high]
        if query.get("group") == "true":
            counts = Counter(json.dumps(row[2]) for row in found)
            return [{"key": json.loads(key), "value": count} for key, count in counts.items()]
        return [{"id": row[1], "key": row[2], "value": None, "doc": row[3]} for row in found]


class Lists(DesignDocument):
    """A design document whose list functions can be called as well."""

    def __init__(self) -> None:
        super().__init__()
        self._context.eval(LIST_FUNCTIONS)

    def list(self, name: str, rows: Any, req: Any) -> dict[str, Any]:
        """Give what a list function answers to the rows of a view."""
        answer: dict[str, Any] = json.loads(self._context.get("callList")(name, json.dumps(rows), json.dumps(req)))
        return answer
