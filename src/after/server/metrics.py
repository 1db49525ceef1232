"""What Prometheus collects at `/metrics`: about workers and their tasks, as on CouchDB, and about this server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from after.clock import Clock
from after.server.changes import Changes
from after.server.http import parameters
from after.server.store import Store
from after.server.workers import workers
from after.task import Document

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Answers at `/metrics`."""

    def __init__(self, store: Store, changes: Changes, clock: Clock) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """Give the route."""
        return [Route("/metrics", self.metrics, methods=["GET"])]

    async def metrics(self, request: Request) -> Response:
        """Give all metrics in Prometheus' text format."""
        parameters(request, ())
        known = await workers(self._store, self._clock)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected([*about_workers(known), *self._about_the_server()]))
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE})

    def _about_the_server(self) -> Iterator[Metric]:
        sizes = self._store.sizes()
        yield GaugeMetricFamily("after_documents", "Documents in the database.", sizes["documents"])
        yield GaugeMetricFamily("after_database_bytes", "Size of the database file.", sizes["file"])
        yield GaugeMetricFamily("after_feed_readers", "Requests that wait for changes.", self._changes.readers)


class _Collected(Collector):
    """Metrics that were collected already: reading the database is not for a registry to do."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """Give them."""
        return self._metrics


def about_workers(workers: list[Document]) -> Iterator[Metric]:
    """Give what is counted of workers, which are told as `roster` tells them; `lib/metrics.js` does the same."""
    tasks = GaugeMetricFamily("after_tasks", "Tasks, by worker and status.", labels=["worker", "status"])
    states = GaugeMetricFamily("after_instances", "Worker processes, by worker and state.", labels=["worker", "state"])
    paused = GaugeMetricFamily("after_worker_paused", "1 where a worker is paused, else 0.", labels=["worker"])
    by_instance = ["worker", "instance"]
    running = GaugeMetricFamily("after_instance_running", "Jobs that a worker process runs.", labels=by_instance)
    held = GaugeMetricFamily(
        "after_instance_held", "Tasks that a worker process holds for their dates.", labels=by_instance
    )
    ended = CounterMetricFamily(
        "after_tasks_ended", "Tasks that a worker process has brought to a status.", labels=[*by_instance, "status"]
    )
    for worker in workers:
        name = worker["name"]
        _count(tasks, [name], worker["tasks"])
        _count(states, [name], Counter(one["state"] for one in worker["instances"]))
        paused.add_metric([name], worker["paused"])
        for one in worker["instances"]:
            own = [name, str(one["instance"])]
            _add(running, own, one["running"])
            _add(held, own, one["held"])
            _count(ended, own, one["counters"])
    yield from (tasks, states, paused, running, held, ended)


def _count(metric: GaugeMetricFamily | CounterMetricFamily, labels: list[str], counts: Any) -> None:
    if isinstance(counts, dict):
        for name in sorted(counts):
            _add(metric, [*labels, name], counts[name])


def _add(metric: GaugeMetricFamily | CounterMetricFamily, labels: list[str], value: Any) -> None:
    """Add a sample. Anyone who may write documents may write a worker's, in which numbers need not be numbers."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        metric.add_metric(labels, value)
