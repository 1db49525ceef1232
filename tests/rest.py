"""What the tests of the REST interface share."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from serving import Answer, Client

SEED: dict[str, Any] = {
    "worker": "manobi",
    "date": "2011-10-12",
    "job": {"name": "start_campaign", "arguments": [2, 3, "teste"]},
    "status": "waiting",
}
"""The first example of a task that there was."""

TASK: dict[str, Any] = {"worker": "manobi", "job": "start_campaign", "date": "2026-12-01T09:00:00Z"}

NDJSON = {"Content-Type": "application/x-ndjson"}


def told(answer: Answer) -> tuple[int, str, str]:
    """Give what a refusal says: its code, its name and its reason."""
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json) == {"error", "reason"}
    return answer.status, answer.json["error"], answer.json["reason"]


LONGEST = 300
"""Characters of a reason: it is for people and does not repeat a megabyte."""


def refused(answer: Answer, code: int, error: str, field: str) -> None:
    """See that a request was refused, and that the reason begins with the name of what is wrong."""
    got, name, reason = told(answer)
    assert (got, name) == (code, error)
    assert reason.startswith((f"{field}: ", f"{field}.", f"{field}[")), reason
    assert len(reason) < LONGEST


def rev_of(answer: Answer) -> str:
    """Give the revision that a write by REST has made, or has left as it is.

    CouchDB knows it only after the function that answers has ended: it stands in a header, on both engines.
    """
    assert answer.status in (200, 201), answer.json
    told = answer.headers["X-Couch-Update-NewRev"] or answer.json["rev"]
    assert answer.json.get("rev", told) == told
    return str(told)


def stored(answer: Answer) -> dict[str, Any]:
    """Give the task as it is stored after a post, its revision included."""
    return {**answer.json["task"], "_rev": rev_of(answer)}


def follow(client: Client, answer: Answer) -> Answer:
    """Get what an answer's `Location` leads to."""
    return client.get("/tasks" + urlsplit(answer.headers["Location"]).path.rpartition("/tasks")[2])


def as_worker(client: Client, identity: str, *statuses: str, **fields: Any) -> Any:
    """Lead a task through these statuses as a worker does, by the document protocol; give it as it is then."""
    place = quote(identity, safe="")
    for status in statuses:
        task = client.get(f"/after/{place}").json
        entry = {"at": "2026-12-01T09:00:00.000Z", "status": status, "by": "w1"}
        told: dict[str, Any] = {"status": status, "history": [*task["history"], entry]}
        if status in ("scheduled", "running"):
            told["claim"] = {"instance": "w1", "at": entry["at"]}
        else:
            task.pop("claim", None)
        written = client.put(f"/after/{place}", {**task, **told, **fields})
        assert written.status == 201, written.json
    return client.get(f"/tasks/{place}").json
