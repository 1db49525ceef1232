"""A database of its own on a real CouchDB, for the tests that need one."""

from __future__ import annotations

import base64
import json
import os
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from after.design import design_document

SECONDS = 30.0
SERVER = os.environ.get("AFTER_TEST_COUCHDB_URL", "")
CLUSTER = [url for url in os.environ.get("AFTER_TEST_COUCHDB_CLUSTER", "").split(",") if url]

VIEWS = {
    "due": """if (!task || REQUESTS.indexOf(status) < 0 || doc.claim) return;
        emit([doc.worker, status === 'waiting' ? date : 0]);""",
    "held": "if (task && doc.claim && ENDED.indexOf(status) < 0) emit([doc.worker, doc.claim.instance]);",
    "by_date": "if (task) emit([date]);",
    "by_status": "if (task) emit([status, date]);",
    "by_worker": "if (task) emit([doc.worker, status, date]);",
    "workers": "if (doc.type === 'worker') emit([doc.name, doc.instance], doc.state);",
    "conflicts": "if (doc._conflicts) emit([doc._id], task ? doc.worker : doc.name || null);",
}
MAP = """function (doc) {
    const ENDED = ['done', 'err', 'canceled'], REQUESTS = ['waiting', 'schedule', 'reschedule', 'cancel'];
    const task = doc.type === 'task' || (!doc.type && doc.worker && doc.job);
    const status = doc.status || 'waiting', date = doc.date ? Date.parse(doc.date) : 0;
    %s
}"""


def request(url: str, method: str = "GET", body: Any = None) -> Any:
    """Send a request under the account in the URL and give the answer's JSON; raise `HTTPError` for a refusal."""
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    sent = urllib.request.Request(bare, None if body is None else json.dumps(body).encode(), method=method)
    sent.add_header("Content-Type", "application/json")
    if parts.username:
        account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        sent.add_header("Authorization", f"Basic {base64.b64encode(account.encode()).decode()}")
    with urllib.request.urlopen(sent, timeout=SECONDS) as answer:
        return json.load(answer)


def design() -> dict[str, Any]:
    """Give After's design document; as long as that has no views, one with only them."""
    document = design_document()
    if len(document["views"]) > 1:
        return document
    views = {name: {"map": MAP % body} for name, body in VIEWS.items()}
    views["by_worker"]["reduce"] = "_count"
    return {"_id": "_design/after", "language": "javascript", "views": views}


@contextmanager
def database(server: str, *, installed: bool = True) -> Iterator[str]:
    """Make a database on a server and give its URL, account included; with the design document where `installed`."""
    name = f"worker-{secrets.token_hex(6)}"
    url = f"{server.rstrip('/')}/{name}"
    request(url, "PUT")
    try:
        if installed:
            request(f"{url}/_design/after", "PUT", design())
            request(f"{url}/_design/after/_view/due?limit=0")
        yield url
    finally:
        request(url, "DELETE")
