"""The views over HTTP, against what a plain sort in Python gives."""

from __future__ import annotations

import random

import pytest

from after.collation import collation_key

VIEW = "/after/_design/after/_view"
DAY = 86_400_000
STATUSES = ["waiting", "schedule", "reschedule", "cancel", "scheduled", "running", "done", "err", "canceled"]
HELD = ("scheduled", "running", "cancel")


def task(identity, worker, status, day, **more):
    claim = {"claim": {"instance": f"host:{day}", "at": "2026-12-01"}} if status in HELD else {}
    date = f"1970-01-{day + 1:02}"
    return {"_id": identity, "worker": worker, "job": "j", "status": status, "date": date, **claim, **more}


def fields(number):
    """Give some of what decides where a task is found, so that every status meets most of it."""
    more = {}
    if number % 2:
        more["key"] = f"k{number % 3}"
    if number % 5 in (0, 1):
        more |= {"after": ["a", f"b{number % 3}", "a"], "ready": number % 7 == 0 or None}
    if number % 11 == 0:
        more["repeat"] = {"interval": "P1D"}
    if number % 13 == 0:
        more["claim"] = {"instance": "host:0", "at": "2026-12-01"}
    return {**more, "attempt": number % 4}


TASKS = [
    task(f"t{number:03}", worker, status, number % 4, **fields(number))
    for number, (worker, status) in enumerate(
        (worker, status) for worker in ("a", "b", "я", "a-b") for status in STATUSES for _ in range(3)
    )
]


def waits(one):
    return bool(one["status"] in STATUSES[:2] and "after" in one and not one["ready"] and "claim" not in one)


def is_open(one):
    return one["status"] not in STATUSES[6:]


def held(one):
    return "claim" in one and is_open(one)


def place(one):
    return 0 if held(one) or one["status"] in HELD[:2] else 1


def due(one):
    return 0 if one["status"] in ("cancel", "reschedule") else date(one)


def date(one):
    return (int(one["date"][-2:]) - 1) * DAY


MODELS = {
    "due": lambda one: [[one["worker"], due(one)]] if one["status"] in STATUSES[:4] and not waits(one) else [],
    "blocked": lambda one: [[awaited] for awaited in {*one["after"]}] if waits(one) else [],
    "held": lambda one: [[one["worker"], one["claim"]["instance"]]] if held(one) else [],
    "keyed": lambda one: (
        [[one["worker"], one["key"], place(one), date(one)]] if "key" in one and is_open(one) and not waits(one) else []
    ),
    "moved": lambda one: [[date(one)]] if "repeat" in one or one["attempt"] >= 2 - is_open(one) else [],
    "by_date": lambda one: [[date(one)]],
    "by_status": lambda one: [[one["status"], date(one)]],
    "by_worker": lambda one: [[one["worker"], one["status"], date(one)]],
}
"""The keys of a task in each view."""


@pytest.fixture(scope="module")
def filled(shared):
    """What speaks to a database with TASKS and some documents that are none, for tests that only read."""
    others = [
        {"_id": "note", "text": "x"},
        {"_id": "worker:a:host:1", "type": "worker", "state": "running"},
        {"_id": "worker:a:host:2", "type": "worker"},
        {"_id": "worker:a-b:host", "type": "worker", "state": "draining"},
        {"_id": "worker:a", "type": "pause"},
        {"_id": "worker:b:x", "type": "other"},
        task("gone", "a", "waiting", 1),
    ]
    rows = shared.post("/after/_bulk_docs", {"docs": TASKS + others}).json
    assert all(row.get("ok") for row in rows), rows
    shared.delete("/after/gone", rev=rows[-1]["rev"])
    return shared


def modelled(name):
    return sorted(((key, one["_id"]) for one in TASKS for key in MODELS[name](one)), key=order)


def order(row):
    return collation_key(row[0]), row[1]


def view(client, name, **query):
    answer = client.get(f"{VIEW}/{name}", **query)
    assert answer.status == 200, answer.content
    return answer.json["rows"]


def rows(client, name, **query):
    return [(row["key"], row["id"]) for row in view(client, name, **query)]


def bounded(found, *, startkey=..., endkey=..., inclusive_end=True, descending=False, skip=0, limit=None, **docids):
    """Select from sorted rows as CouchDB does."""
    first, last = (startkey, endkey) if not descending else (endkey, startkey)
    first_id, last_id = docids.get("startkey_docid"), docids.get("endkey_docid")
    if descending:
        first_id, last_id = last_id, first_id

    def stands(row, key, identity):
        mine, given = collation_key(row[0]), collation_key(key)
        if identity is not None:
            mine, given = (mine, row[1]), (given, identity)
        return (mine > given) - (mine < given)

    lowest = 0 if inclusive_end or not descending else 1
    highest = 0 if inclusive_end or descending else -1
    kept = [row for row in found if first is ... or stands(row, first, first_id) >= lowest]
    kept = [row for row in kept if last is ... or stands(row, last, last_id) <= highest]
    kept = kept[::-1] if descending else kept
    return kept[skip:] if limit is None else kept[skip : skip + limit]


class TestMapViews:
    @pytest.mark.parametrize("name", MODELS)
    def test_hold_what_they_should_in_order(self, filled, name):
        assert rows(filled, name, reduce=False) == modelled(name)

    @pytest.mark.parametrize("name", MODELS)
    def test_give_any_range(self, filled, name):
        numbers = random.Random(name)
        found = modelled(name)
        compared = 0
        for _ in range(150):
            query = random_query(numbers, found)
            answer = filled.get(f"{VIEW}/{name}", **query, reduce=False)
            if answer.status == 400:
                assert answer.json["reason"].startswith("No rows can match your key range")
                assert bounded(found, **query) == []
                continue
            compared += 1
            assert [(row["key"], row["id"]) for row in answer.json["rows"]] == bounded(found, **query), query
        assert compared > 75

    def test_orders_text_by_code_point(self, client):
        client.post("/after/_bulk_docs", {"docs": [task(worker, worker, "waiting", 0) for worker in "azAZé"]})
        assert "".join(row["key"][0] for row in view(client, "due")) == "AZazé"

    def test_includes_documents_with_null_as_value(self, filled):
        (row,) = view(filled, "due", limit=1, include_docs=True)
        assert row["value"] is None
        assert row["doc"]["_rev"].startswith("1-")
        assert row["doc"]["worker"] == row["key"][0]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("blocked", lambda one: one["worker"]),
            ("moved", lambda one: one["worker"]),
            ("keyed", lambda one: one["claim"]["instance"] if held(one) else None),
            ("held", lambda one: None),
        ],
    )
    def test_tell_a_value(self, filled, name, value):
        tasks = {one["_id"]: one for one in TASKS}
        found = view(filled, name)
        assert [row["value"] for row in found] == [value(tasks[row["id"]]) for row in found]
        assert len(found) > 4

    def test_who_waits_for_some_tasks_is_told_with_documents(self, filled):
        keys = [["b1"], ["nothing"], ["a"], ["b2"]]
        answer = filled.post(f"{VIEW}/blocked", {"keys": keys, "include_docs": True})
        expected = [row for key in keys for row in modelled("blocked") if row[0] == key]
        assert [(row["key"], row["doc"]["_id"]) for row in answer.json["rows"]] == expected
        assert len({row["key"][0] for row in answer.json["rows"]}) == 3

    def test_reads_a_page_after_the_other(self, filled):
        found, query = [], {"startkey": ["a"], "endkey": ["a", {}]}
        while page := rows(filled, "due", limit=5, **query):
            found += page
            query |= {"startkey": page[-1][0], "startkey_docid": page[-1][1], "skip": 1}
        assert found == [row for row in modelled("due") if row[0][0] == "a"]

    def test_takes_keys_in_their_order_from_query_and_body(self, filled):
        keys = [["b", 0], ["nothing", 0], ["a", DAY], "x"]
        expected = [row for key in keys for row in modelled("due") if row[0] == key]
        assert rows(filled, "due", keys=keys) == expected
        answer = filled.post(f"{VIEW}/due", {"keys": keys, "limit": 3, "skip": 1})
        assert [(row["key"], row["id"]) for row in answer.json["rows"]] == expected[1:4]

    def test_takes_all_from_the_body(self, filled):
        answer = filled.post(f"{VIEW}/due", {"startkey": ["b"], "end_key": ["b", {}], "include_docs": True})
        expected = [identity for key, identity in modelled("due") if key[0] == "b"]
        assert [row["doc"]["_id"] for row in answer.json["rows"]] == expected

    def test_tells_totals(self, filled):
        told = filled.get(f"{VIEW}/by_date", limit=1, skip=2, update_seq=True).json
        assert (told["total_rows"], told["offset"]) == (len(TASKS), 2)
        assert filled.get("/after/_changes", since=told["update_seq"]).json["results"] == []

    @pytest.mark.parametrize(
        "query",
        [
            {"startkey": ["b"], "endkey": ["a"]},
            {"startkey": ["a"], "endkey": ["b"], "descending": True},
            {"key": ["a"], "keys": [["a"], ["b"]]},
            {"reduce": True},
            {"group": True},
            {"limit": -1},
            {"include_docs": 1},
            {"foo": 1},
        ],
    )
    def test_refuses_a_query(self, filled, query):
        assert filled.get(f"{VIEW}/due", **query).status == 400

    def test_refuses_a_key_that_is_not_json(self, filled):
        assert filled.call("GET", f"{VIEW}/due?startkey=a").status == 400

    def test_there_is_no_other_view(self, filled):
        assert filled.get(f"{VIEW}/nothing").json == {"error": "not_found", "reason": "missing_named_view"}


def random_query(numbers, found):
    """Make up a query, near the rows that there are."""
    query = {}
    for bound in ("startkey", "endkey"):
        key, identity = numbers.choice(found)
        if numbers.random() < 0.75:
            cut = numbers.randrange(len(key) + 1)
            tail = numbers.choice([[], [], [None], [{}], [5], ["zz"], [True], [[]], [2.5 * DAY]])
            query[bound] = numbers.choice([key, key, key[:cut] + tail, key[:cut] + tail, None, {}, "a", 7])
            if numbers.random() < 0.3:
                query[f"{bound}_docid"] = identity
    if numbers.random() < 0.5:
        query["descending"] = True
        if "startkey" in query and "endkey" in query:
            query |= {"startkey": query["endkey"], "endkey": query["startkey"]}
    if numbers.random() < 0.3:
        query["inclusive_end"] = False
    if numbers.random() < 0.3:
        query |= {"limit": numbers.randrange(40), "skip": numbers.randrange(10)}
    return query


class TestReduce:
    def test_counts_all(self, filled):
        assert view(filled, "by_worker") == [{"key": None, "value": len(TASKS)}]
        assert view(filled, "by_worker", startkey=["яя"]) in ([], [{"key": None, "value": 0}])

    @pytest.mark.parametrize("level", [0, 1, 2, 3, 4])
    @pytest.mark.parametrize(
        "query",
        [
            {},
            {"descending": True},
            {"startkey": ["a"], "endkey": ["b", {}]},
            {"startkey": ["a", "done"], "endkey": ["b", "err"]},
            {"startkey": ["a", "done"], "endkey": ["b", "err", {}]},
            {"startkey": ["a", "done", DAY], "endkey": ["b", "err", DAY]},
            {"startkey": ["b", {}], "endkey": ["a"], "descending": True},
            {"startkey": ["b", "err", 2 * DAY], "endkey": ["a", "err", DAY], "descending": True},
            {"startkey": ["a", "done", DAY], "endkey": ["b", "err", DAY], "inclusive_end": False},
            {"startkey": None, "endkey": {}},
        ],
    )
    def test_counts_groups(self, filled, level, query):
        counted = {}
        for key, _ in bounded(modelled("by_worker"), **query):
            group = tuple(key[:level]) if level else None
            counted[group] = counted.get(group, 0) + 1
        expected = [(list(key) if key else None, count) for key, count in counted.items()]
        told = view(filled, "by_worker", group_level=level, **query)
        assert [(row["key"], row["value"]) for row in told] == expected

    def test_skips_and_limits_groups(self, filled):
        told = view(filled, "by_worker", group_level=1, skip=1, limit=2)
        assert told == [{"key": ["a-b"], "value": 27}, {"key": ["b"], "value": 27}]

    def test_counts_each_of_some_keys(self, filled):
        keys = [["b", "err", 0], ["a", "nothing", 0], ["a", "done", 2 * DAY]]
        found = modelled("by_worker")
        expected = [{"key": key, "value": count} for key in keys if (count := sum(key == one for one, _ in found))]
        assert view(filled, "by_worker", keys=keys, group=True) == expected
        assert len(expected) == 2

    @pytest.mark.parametrize(
        "query", [{"include_docs": True}, {"conflicts": True}, {"keys": [["a"], ["b"]]}, {"group_level": -1}]
    )
    def test_refuses_a_query(self, filled, query):
        assert filled.get(f"{VIEW}/by_worker", **query).status == 400

    def test_follows_what_happens(self, client):
        rev = client.put("/after/t", {"worker": "a", "job": "j"}).json["rev"]
        assert view(client, "by_worker", group_level=2) == [{"key": ["a", "waiting"], "value": 1}]
        rev = client.put("/after/t", {"worker": "a", "job": "j", "status": "done", "_rev": rev}).json["rev"]
        assert view(client, "by_worker", group_level=2) == [{"key": ["a", "done"], "value": 1}]
        client.delete("/after/t", rev=rev)
        assert view(client, "by_worker", group_level=2) == []


class TestOtherViews:
    def test_workers_gives_instances_by_name_with_their_state(self, filled):
        told = [(row["key"], row["value"]) for row in view(filled, "workers")]
        expected = [(["a-b", "host"], "draining"), (["a:host", "1"], "running"), (["a:host", "2"], None)]
        assert told == expected
        assert [row["id"] for row in view(filled, "workers", startkey=["a-b"], endkey=["a-b", {}])] == [
            "worker:a-b:host"
        ]
