"""The jobs that a test names, in whatever form it has them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType

from after.errors import JobError
from after.jobs.job import MARK, Job


def jobs_of(given: object) -> Iterator[Job]:
    """Give the jobs of a decorated function, a module, a `Registry`, or of several of these.

    A module may have none; raises `JobError` for anything else that is no job.
    """
    if isinstance(given, ModuleType):
        yield from filter(None, map(_marked, list(vars(given).values())))
    elif isinstance(given, Mapping):
        yield from jobs_of(given.values())
    elif isinstance(given, Job):
        yield given
    elif isinstance(given, Iterable) and not isinstance(given, str):
        for one in given:
            yield from jobs_of(one)
    elif (found := _marked(given)) is not None:
        yield found
    else:
        raise JobError(f"{given!r} is not a job: decorate it with @job")


def _marked(value: object) -> Job | None:
    # Only what stands in the object itself: a module under test may have proxies, which do not like to be asked.
    found = inspect.getattr_static(value, MARK, None)
    return found if isinstance(found, Job) else None
