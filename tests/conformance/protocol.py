"""What the tests of the document protocol share."""

from __future__ import annotations

import json
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from serving import Answer, Client

TASK: dict[str, Any] = {"worker": "manobi", "job": "start_campaign", "date": "2026-12-01T09:00:00Z"}

DESIGN = "_design/after"
"""A document on CouchDB, and none on the embedded server, whose rules and views are its own."""


def error(answer: Answer) -> tuple[int, str, str]:
    """Give the code, name and reason of an error."""
    return answer.status, answer.json["error"], answer.json["reason"]


def names(client: Client) -> list[str]:
    """Give the ids of all documents."""
    return [row["id"] for row in client.get("/after/_all_docs").json["rows"] if row["id"] != DESIGN]


def last_seq(client: Client) -> Any:
    """Give where the feed stands: a number on the embedded server, a text to be sent back as it is on CouchDB."""
    return client.get("/after/_changes", since="now").json["last_seq"]


def follow(client: Client, answer: Answer) -> Answer:
    """Get what an answer's `Location` leads to."""
    return client.get("/after/" + urlsplit(answer.headers["Location"]).path.rpartition("/")[2])


def read(stream: HTTPResponse) -> Any:
    """Give the next line that is not a heartbeat."""
    while (line := stream.readline()) == b"\n":
        pass
    return json.loads(line)


def event(stream: HTTPResponse) -> list[str]:
    """Give the lines of the next event, which stand between empty lines."""
    lines: list[str] = []
    while (line := stream.readline().decode().removesuffix("\n")) or not lines:
        lines += [line] if line else []
    return lines


def told_event(stream: HTTPResponse) -> Any:
    """Give the row of the next event that is not a sign of life; its position stands in it and beside it."""
    lines = event(stream)
    while lines[0] == "event: heartbeat":
        lines = event(stream)
    data, mark = lines
    row = json.loads(data.removeprefix("data: "))
    assert mark.removeprefix("id: ").strip('"') == str(row["seq"])
    return row
