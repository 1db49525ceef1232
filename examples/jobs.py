"""Jobs to begin with. `after start manobi --jobs examples/jobs.py` runs the tasks that name them."""

from __future__ import annotations

import asyncio
import time

from after import TaskContext, job


@job
async def start_campaign(campaign: int, budget: int, label: str, *, task: TaskContext) -> dict[str, object]:
    """Pretend to start a campaign: a coroutine, which runs on the worker's event loop."""
    for step in range(1, budget + 1):
        task.progress(step / budget, f"advertisement {step} of {budget}")
        task.log(f"{label}: advertisement {step} is out")
        await asyncio.sleep(0.5)
    return {"campaign": campaign, "advertisements": budget}


@job
async def stop_campaign(campaign: int) -> dict[str, object]:
    """Pretend to stop a campaign."""
    return {"campaign": campaign, "stopped": True}


@job(timeout="PT10M")
def compact_database(name: str) -> str:
    """Pretend to compact a database: a plain function, which runs in a thread."""
    time.sleep(1)
    return f"{name} is compact"


@job(timeout="PT30S", retry={"limit": 3, "interval": "PT1S", "backoff": 2})
async def flaky(*, task: TaskContext) -> str:
    """Fail twice, to show how a task is tried again."""
    if task.attempt < 3:
        raise ConnectionError(f"nobody answered attempt {task.attempt}")
    return f"attempt {task.attempt} succeeded"
