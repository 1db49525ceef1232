"""Where the design document's rewrite function sends a request."""

from __future__ import annotations

import json
import re
from itertools import product
from urllib.parse import quote

import pytest
from rewriting import Lists, Rewriting

from after.selector import compile_selector
from after.server.listing import Filter
from after.status import Status


@pytest.fixture(scope="module")
def lists() -> Lists:
    return Lists()


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/tasks/_bulk"), ("POST", "/tasks/_edit"), ("GET", "/tasks/_audit"), ("GET", "/tasks/_next?count=1"),
     ("GET", "/openapi.json")],
)  # fmt: skip
def test_says_what_couchdb_does_not_serve(lists: Lists, method: str, path: str) -> None:
    answer = Rewriting(lists, []).get(path, method)
    assert (answer.status, answer.json["error"]) == (501, "not_implemented")
    assert re.search(r"with|use|served by", answer.json["reason"])


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "index.html"),
        ("/index.html", "index.html"),
        ("/tasks/a%2Fb", "_show/task/a%2Fb"),
        ("/tasks/a+b", "_show/task/a%2Bb"),
        ("/tasks/..", "_show/task/%2E%2E"),
        ("/tasks/%C3%A9", "_show/task/%C3%A9"),
        ("/tasks/100%", "_show/task/100%25"),
    ],
)
def test_a_path_leads_to_one_of_couchdb(lists: Lists, path: str, target: str) -> None:
    assert Rewriting(lists, []).rewritten(path) == {"path": target, "query": {}}


def test_a_path_with_everything_doubled_leads_there_too(lists: Lists) -> None:
    raw = "//a%2Fdb//_design/after/_rewrite/tasks/x?"
    assert lists.function("rewrites", {"method": "GET", "raw_path": raw})["path"] == "_show/task/x"


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("POST", "/tasks", "_update/task"),
        ("POST", "/tasks/a.b", "_update/task/a%2Eb"),
        ("DELETE", "/tasks/a", "_update/task/a"),
        ("POST", "/tasks/workers/a", "_update/worker/worker%3Aa"),
    ],
)
def test_writes_go_to_update_functions(lists: Lists, method: str, path: str, target: str) -> None:
    assert Rewriting(lists, []).rewritten(path, method) == {"path": target, "query": {}}
    assert Rewriting(lists, []).get(f"{path}?new=true", method).status == 400


def test_the_prefix_alone_leads_to_the_page(lists: Lists) -> None:
    answer = Rewriting(lists, []).rewritten("")
    assert (answer["code"], answer["headers"]["Location"]) == (302, "_rewrite/")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", {}),
        ("feed=live&since=now", {"feed": "live", "since": "now"}),
        ("since=12-g1AAA_b-c&last-event-id=%2213-x%22", {"since": "13-x"}),
        ("heartbeat=true&timeout=99999999999", {"heartbeat": "true", "timeout": "86400000"}),
        ("heartbeat=7&timeout=0", {"heartbeat": "7", "timeout": "0"}),
        ("heartbeat=false&descending=true&include_docs=false", {"descending": "true"}),
        ("limit=0&style=all_docs&conflicts=true", {"limit": "0", "style": "all_docs", "conflicts": "true"}),
        ("worker=%C3%A9%F0%9F%92%A9&status=done,err&tag=x", {}),
    ],
)
def test_the_feed_is_couchdbs_own(lists: Lists, query: str, told: dict[str, str]) -> None:
    usual = {"filter": "_selector", "feed": "normal", "since": "0", "style": "main_only"}
    rewritten = Rewriting(lists, []).rewritten(f"/tasks/_changes?{query}")
    assert (rewritten["method"], rewritten["path"]) == ("POST", "../../_changes")
    assert rewritten["query"] == {**usual, **told}
    length = str(len(rewritten["body"].encode()))
    assert rewritten["headers"] == {"Content-Type": "application/json", "Content-Length": length}


@pytest.mark.parametrize("since", ["x", "", "-1", "1-a b", "9" * 30])
def test_a_position_in_the_feed_is_checked(lists: Lists, since: str) -> None:
    answer = Rewriting(lists, []).get(f"/tasks/_changes?since={quote(since)}")
    assert (answer.status, answer.json["reason"].partition(":")[0]) == (400, "since")


@pytest.mark.parametrize(
    "query", ["", "worker=manobi", "status=done,err", "tag=sale&worker=ma", "status=waiting", "status=err,waiting"]
)
def test_the_feeds_selector_wants_what_the_list_wants(lists: Lists, query: str) -> None:
    kinds = product((None, "task", "control"), (None, "", *Status), ("manobi", "ma"), ([], ["sale", "x"], None))
    documents = [
        {"_id": "a", "job": "raw", "type": kind, "status": status, "worker": worker, "tags": tags}
        for kind, status, worker, tags in kinds
    ]
    documents += [{name: value for name, value in one.items() if value is not None} for one in documents]
    documents += [{"worker": "manobi", "status": "waiting"}, {"type": "task"}, {"type": "worker", "name": "manobi"}]
    body = json.loads(Rewriting(lists, []).rewritten(f"/tasks/_changes?{query}")["body"])
    matches = compile_selector(body["selector"])
    listed = Filter.from_query(dict(part.split("=") for part in query.split("&")) if query else {})
    assert [matches(document) for document in documents] == [listed.matches(document) for document in documents]
    assert any(matches(document) for document in documents)
    assert not matches({"_id": "a", "_rev": "2-a", "_deleted": True})
