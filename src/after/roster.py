"""What is told of a worker: the documents of its processes, its control document and its tasks, put together.

A worker process keeps the document `worker:NAME:INSTANCE`, of the type `worker`; clients pause and stop a worker by
`worker:NAME`, of the type `control`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from after.dates import parse_instant
from after.task import Document

SILENT = 15_000
"""Milliseconds without a heartbeat after which a worker process no longer counts as running."""
PREFIX = "worker:"
TOLD = (
    "instance", "host", "pid", "state", "started", "heartbeat", "concurrency", "running", "held", "jobs", "counters"
)  # fmt: skip


def roster(
    documents: Iterable[Document], counts: Mapping[tuple[str, str], int], now: int, name: str | None = None
) -> list[Document]:
    """Give all workers, or the one of this name, by name.

    `documents` are those whose ids begin with PREFIX, `counts` the tasks of each worker in each status.
    """
    controls: dict[str, Document] = {}
    instances: dict[str, list[Document]] = {}
    for document in documents:
        own = document.get("name")
        if not isinstance(own, str):
            continue  # anyone who may write documents may write such a one
        if document.get("type") == "control":
            controls[own] = document
        elif document.get("type") == "worker":
            instances.setdefault(own, []).append(document)
    tasks: dict[str, dict[str, int]] = {}
    for (worker, status), count in counts.items():
        tasks.setdefault(worker, {})[status] = count
    names = sorted(controls.keys() | instances.keys() | tasks.keys()) if name is None else [name]
    return [
        told(one, controls.get(one, {}), instances.get(one, []), tasks.get(one, {}), now)
        for one in names
        if one in controls or one in instances or one in tasks
    ]


def told(name: str, control: Document, instances: list[Document], counts: dict[str, int], now: int) -> Document:
    """Give what everyone may know of one worker."""
    alive = [one for one in instances if is_alive(one, now)]
    return {
        "name": name,
        "state": _state(control, instances, alive),
        "paused": bool(control.get("paused")),
        "note": note if isinstance(note := control.get("note"), str) else None,
        "jobs": sorted({job for one in alive for job in _jobs(one)}),
        "instances": [
            {field: one.get(field) for field in TOLD} | {"state": one["state"] if is_alive(one, now) else _ended(one)}
            for one in instances
        ],
        "tasks": counts,
    }


def _jobs(instance: Document) -> list[str]:
    jobs = instance.get("jobs")
    return [job for job in jobs if isinstance(job, str)] if isinstance(jobs, list) else []


def _state(control: Document, instances: list[Document], alive: list[Document]) -> str:
    if alive:
        return "paused" if control.get("paused") else str(alive[0]["state"])
    return "stopped" if instances and all(one.get("state") == "stopped" for one in instances) else "down"


def _ended(instance: Document) -> str:
    return "stopped" if instance.get("state") == "stopped" else "lost"


def is_alive(instance: Document, now: int) -> bool:
    """Tell whether a process has been heard of lately, as far as our clock can tell."""
    try:
        silent = now - parse_instant(instance["heartbeat"])
    except (KeyError, ValueError):
        return False
    return instance.get("state") in ("running", "paused", "draining") and silent <= SILENT
