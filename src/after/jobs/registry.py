"""The jobs that a worker knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType

from after.errors import JobError
from after.jobs.job import MARK, Job
from after.jobs.source import Source, installed, named


class Registry(Mapping[str, Job]):
    """The jobs that a worker knows, by name. Two different functions of one name are refused."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._jobs: dict[str, Job] = {}
        for job in jobs:
            self.add(job)

    def add(self, job: Job) -> None:
        """Take in a job; raise `JobError` where its name is another's already."""
        known = self._jobs.setdefault(job.name, job)
        if known.function is not job.function:
            raise JobError(f"two jobs are named {job.name!r}: {_place(known)} and {_place(job)}")

    def add_defaults(self, jobs: Iterable[Job]) -> None:
        """Take in jobs of After's own, except where the user has one of that name."""
        for job in jobs:
            self._jobs.setdefault(job.name, job)

    def __getitem__(self, name: str) -> Job:
        return self._jobs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    @classmethod
    def of(cls, *functions: object) -> Registry:
        """Make a registry of decorated functions."""
        registry = cls()
        for function in functions:
            known = getattr(function, MARK, None)
            if not isinstance(known, Job):
                raise JobError(f"{function!r} is not a job: decorate it with @job")
            registry.add(known)
        return registry

    @classmethod
    def load(cls, sources: Iterable[str], *, entry_points: bool = True) -> Registry:
        """Load modules by name (`shop.jobs`), or files and folders of Python files by path (`./jobs`).

        With `entry_points` also the jobs that installed packages offer. Raises `JobError` for a source that does not
        load, with its cause, or that has no job in it.
        """
        registry = cls()
        for text in sources:
            found = [job for source in named(text) for job in jobs_of(source)]
            if not found:
                raise JobError(f"{text!r} has no function decorated with @job")
            for job in found:
                registry.add(job)
        for source in installed() if entry_points else ():
            for job in jobs_of(source):
                registry.add(job)
        return registry


def jobs_of(source: Source) -> list[Job]:
    """Load a module and give the jobs in it, which remember where they are from; raise `JobError` where it fails."""
    module = source.load()
    return [dataclasses.replace(job, source=source.fixed()) for job in _marked(module)]


def _marked(module: ModuleType) -> Iterator[Job]:
    for value in list(vars(module).values()):
        known = getattr(value, MARK, None)
        if isinstance(known, Job):
            yield known


def _place(job: Job) -> str:
    return f"{job.function.__module__}.{job.function.__qualname__}"
