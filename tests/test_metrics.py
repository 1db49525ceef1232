"""What Prometheus collects from the embedded server."""

from __future__ import annotations

import pytest
from documented import ROOT, codes, section, table
from prometheus_client.parser import text_string_to_metric_families
from rest import TASK, as_worker
from serving import Client

from after.clock import SystemClock, now
from after.dates import format_instant

WORKER = {
    "type": "worker", "name": "manobi", "instance": "i1", "state": "running", "running": 3, "held": 4,
    "counters": {"done": 7, "err": 1},
}  # fmt: skip


@pytest.fixture
def samples(client: Client):
    """Give the samples of a metric as `{labels: value}`, its labels as a sorted tuple of pairs."""

    def ask(name: str) -> dict[tuple[tuple[str, str], ...], float]:
        found = {
            tuple(sorted(sample.labels.items())): sample.value
            for metric in text_string_to_metric_families(client.get("/metrics").content.decode())
            for sample in metric.samples
            if sample.name == name
        }
        assert found or name in client.get("/metrics").content.decode(), f"there is no metric {name}"
        return found

    return ask


def put_worker(client: Client, **fields: object) -> None:
    heartbeat = format_instant(now(SystemClock()))
    assert client.put("/after/worker:manobi:i1", {**WORKER, "heartbeat": heartbeat, **fields}).status == 201


def test_is_prometheus_text(client: Client) -> None:
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.content.decode()))
    assert all(metric.documentation and metric.type in ("gauge", "counter") for metric in families)
    assert all(metric.name.startswith("after_") for metric in families)
    assert client.call("HEAD", "/metrics").content == b""


def test_every_metric_is_documented(client: Client) -> None:
    rows = table(section(ROOT / "docs" / "http.md", "### `GET /metrics`"), "metric")
    served = text_string_to_metric_families(client.get("/metrics").content.decode())
    names = [metric.name + "_total" * (metric.type == "counter") for metric in served]
    assert [codes(row[0]) for row in rows] == [[name] for name in names]


def test_counts_tasks_by_worker_and_status(client: Client, samples) -> None:
    for identity in ("a", "b", "c"):
        client.post(f"/tasks/{identity}", TASK)
    as_worker(client, "a", "scheduled", "running", "done")
    assert samples("after_tasks") == {
        (("status", "waiting"), ("worker", "manobi")): 2,
        (("status", "done"), ("worker", "manobi")): 1,
    }


def test_tells_of_processes(client: Client, samples) -> None:
    put_worker(client)
    name, instance = ("worker", "manobi"), ("instance", "i1")
    assert samples("after_instances") == {(("state", "running"), name): 1}
    assert samples("after_instance_running") == {(instance, name): 3}
    assert samples("after_instance_held") == {(instance, name): 4}
    assert samples("after_tasks_ended_total") == {
        (instance, ("status", "done"), name): 7,
        (instance, ("status", "err"), name): 1,
    }


def test_tells_of_lost_and_paused_ones(client: Client, samples) -> None:
    put_worker(client, heartbeat="2011-10-12T00:00:00.000Z")
    assert samples("after_instances") == {(("state", "lost"), ("worker", "manobi")): 1}
    assert samples("after_worker_paused") == {(("worker", "manobi"),): 0}
    client.post("/tasks/workers/manobi", {"paused": True})
    assert samples("after_worker_paused") == {(("worker", "manobi"),): 1}


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "back\\nslash", "é💩", "a,b={}"])
def test_escapes_labels(client: Client, samples, name: str) -> None:
    client.post("/tasks", {**TASK, "worker": name})
    assert samples("after_tasks") == {(("status", "waiting"), ("worker", name)): 1}


def test_leaves_out_what_is_no_number(client: Client, samples) -> None:
    put_worker(client, running="many", held=True, counters={"done": None, "err": 2})
    assert samples("after_instance_running") == {}
    assert samples("after_instance_held") == {}
    assert list(samples("after_tasks_ended_total").values()) == [2]
    put_worker_without_counters = {**WORKER, "counters": 5, "instance": None}
    assert client.put("/after/worker:manobi:i2", put_worker_without_counters).status == 201
    assert len(samples("after_tasks_ended_total")) == 1


def test_tells_of_the_server_itself(client: Client, samples) -> None:
    client.post("/tasks/a", TASK)
    assert samples("after_documents") == {(): 1}
    assert samples("after_database_bytes")[()] > 0
    assert samples("after_feed_readers") == {(): 0}
    stream = client.stream("/after/_changes", feed="continuous", heartbeat=100)
    stream.readline()
    stream.readline()  # an empty line: by then it waits
    assert samples("after_feed_readers") == {(): 1}


def test_takes_no_parameters(client: Client) -> None:
    assert client.get("/metrics", name="after_tasks").status == 400
