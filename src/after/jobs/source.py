"""Where jobs come from: modules, files, folders and installed packages, loaded anew in each process that runs them."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Literal

from msgspec import Struct

from after.errors import JobError

ENTRY_POINTS = "after.jobs"


class Source(Struct, frozen=True):
    """What one module with jobs is loaded from: its name, the path of its file, or the value of an entry point."""

    kind: Literal["module", "file", "entry point"]
    place: str

    def load(self) -> ModuleType:
        """Import the module; raise `JobError` with the cause where that fails."""
        return _loaded(self._load, self.place)

    def fixed(self) -> Source:
        """Give what is loaded from the same place also in another current folder."""
        return Source("file", str(Path(self.place).resolve())) if self.kind == "file" else self

    def _load(self) -> object:
        if self.kind == "file":
            return _from_file(Path(self.place))
        if self.kind == "module":
            return importlib.import_module(self.place)
        return importlib.metadata.EntryPoint("", self.place, ENTRY_POINTS).load()


def named(text: str) -> Iterator[Source]:
    """Give what is to be loaded for a module's name, or for the path of a file or of a folder of Python files."""
    path = Path(text)
    if path.is_dir():
        folder = str(path.resolve())
        if folder not in sys.path:
            sys.path.insert(0, folder)  # so that the files of a folder can import each other
        for file in sorted(path.glob("*.py")):
            if file.name != "__init__.py":
                yield Source("file", str(file))
    elif path.suffix == ".py":
        yield Source("file", text)
    else:
        if "" not in sys.path and "." not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        yield Source("module", text)


def installed() -> Iterator[Source]:
    """Give what installed packages offer."""
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        yield Source("entry point", point.value)


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _loaded(load: Callable[[], object], place: str) -> ModuleType:
    try:
        module = load()
    except MemoryError:
        raise  # of a process with a limit; that is no fault of the module
    except (Exception, SystemExit) as error:
        raise JobError(f"{place!r} does not load: {type(error).__name__}: {error}") from error
    if not isinstance(module, ModuleType):
        raise JobError(f"{place!r} is not a module")
    return module
