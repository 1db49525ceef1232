"""What the tests of the REST interface share."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

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


def as_worker(client: Client, identity: str, *statuses: str, **fields: Any) -> Any:
    """Lead a task through these statuses as a worker does, by the document protocol; give it as it is then."""
    place = quote(identity, safe="")
    for status in statuses:
        task = client.get(f"/after/{place}").json
        entry = {"at": "2026-12-01T09:00:00.000Z", "status": status, "by": "w1"}
        told = {"status": status, "history": [*task["history"], entry]}
        if status in ("scheduled", "running"):
            told["claim"] = {"instance": "w1", "at": entry["at"]}
        else:
            task.pop("claim", None)
        written = client.put(f"/after/{place}", {**task, **told, **fields})
        assert written.status == 201, written.json
    return client.get(f"/tasks/{place}").json
