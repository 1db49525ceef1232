"""The embedded server's feed: its numbers, what it keeps in memory, many who follow, and how it ends."""

from __future__ import annotations

import json

import pytest


def write(client, *documents):
    rows = client.post("/after/_bulk_docs", {"docs": list(documents)}).json
    assert all(row.get("ok") for row in rows), rows


def test_a_seq_is_a_number(client):
    write(client, *({"_id": name} for name in "abc"))
    assert [row["seq"] for row in client.get("/after/_changes", since="1").json["results"]] == [2, 3]
    told = client.get("/after/_changes", descending=True, limit=2).json
    assert (told["last_seq"], told["pending"]) == (2, 1)


def test_design_documents_can_be_followed_alone(client):
    write(client, {"_id": "a"}, {"_id": "_design/x"})
    (row,) = client.get("/after/_changes", filter="_design").json["results"]
    assert row["id"] == "_design/x"


@pytest.mark.parametrize("since", [0, 4_500])
def test_tells_more_than_memory_keeps(client, since):
    for start in range(0, 10_000, 5_000):
        write(client, *({"_id": f"{number:05}"} for number in range(start, start + 5_000)))
    told = client.get("/after/_changes", since=since).json
    assert [row["seq"] for row in told["results"]] == list(range(since + 1, 10_001))


def test_many_follow_at_once(client):
    streams = [client.stream("/after/_changes", feed="continuous") for _ in range(200)]
    for name in "abc":
        write(client, {"_id": name})
    for stream in streams:
        assert [json.loads(stream.readline())["id"] for _ in range(3)] == ["a", "b", "c"]


def test_a_reader_that_left_does_not_matter(client):
    stream = client.stream("/after/_changes", feed="continuous")
    client.close()
    stream.close()
    write(client, {"_id": "a"})
    assert client.get("/after/a").status == 200


def test_feeds_end_when_the_server_stops(server, client):
    kinds = ("continuous", "longpoll", "eventsource")
    streams = [client.stream("/after/_changes", feed=kind, heartbeat=True) for kind in kinds]
    idle = client.stream("/after/_changes", feed="continuous", timeout=60_000)
    server.stop()
    assert [stream.read() for stream in streams] == [
        b'{"last_seq":0,"pending":0}\n',
        b'{"results":[\n\n],\n"last_seq":0,"pending":0}\n',
        b"",
    ]
    assert idle.read() == b'{"last_seq":0,"pending":0}\n'
