"""Finding jobs: in modules, in folders of modules, in installed packages."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from after.errors import JobError
from after.jobs.job import MARK, Job

ENTRY_POINTS = "after.jobs"


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

    def add_missing(self, jobs: Iterable[Job]) -> None:
        """Take in jobs whose names are still free: what comes with After gives way to what is the worker's own."""
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

        Raises `JobError` for a source that does not load, with its cause, or that has no job in it.
        """
        registry = cls()
        for source in sources:
            found = [job for module in _modules(source) for job in _marked(module)]
            if not found:
                raise JobError(f"{source!r} has no function decorated with @job")
            for job in found:
                registry.add(job)
        if entry_points:
            for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
                for job in _marked(_loaded(point.load, point.value)):
                    registry.add(job)
        return registry


def _modules(source: str) -> Iterator[ModuleType]:
    path = Path(source)
    if path.is_dir():
        folder = str(path.resolve())
        if folder not in sys.path:
            sys.path.insert(0, folder)  # so that the files of a folder can import each other
        for file in sorted(path.glob("*.py")):
            if file.name != "__init__.py":
                yield _loaded(lambda file=file: _from_file(file), str(file))
    elif path.suffix == ".py":
        yield _loaded(lambda: _from_file(path), source)
    else:
        if "" not in sys.path and "." not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        yield _loaded(lambda: importlib.import_module(source), source)


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _loaded(load: object, source: str) -> ModuleType:
    assert callable(load)
    try:
        module = load()
    except (Exception, SystemExit) as error:
        raise JobError(f"{source!r} does not load: {type(error).__name__}: {error}") from error
    if not isinstance(module, ModuleType):
        raise JobError(f"{source!r} is not a module")
    return module


def _marked(module: ModuleType) -> Iterator[Job]:
    for value in list(vars(module).values()):
        known = getattr(value, MARK, None)
        if isinstance(known, Job):
            yield known


def _place(job: Job) -> str:
    return f"{job.function.__module__}.{job.function.__qualname__}"
