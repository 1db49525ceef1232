"""Putting the design document together from its JavaScript files and Python's tables."""

from __future__ import annotations

import base64
import mimetypes
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec

from after.design.table import table
from after.task import Document

ID = "_design/after"
FOLDERS = ("filters", "lib", "lists", "shows", "updates")
"""Each of their files is a function of the design document, or a module of `lib`, under its own name."""
VIEW_LIBRARY = ("dates", "errors", "json", "keys", "repeat", "table", "task")
"""The modules that map functions may require; those that are there of them."""


def design_document(*, validation: bool = True) -> Document:
    """Give the design document as it is to be put into a database, without a revision.

    Without `validation` the rules are left out, which makes bulk writes eight times as fast, and leaves it to who
    writes to keep them. Two design documents do the same when the `digest` in their `after` is the same.
    """
    root = files("after.design")
    parts: Document = {folder: _scripts(root / folder) for folder in FOLDERS}
    parts["lib"]["table"] = table()
    parts["views"] = _views(root / "views", parts["lib"])
    parts["rewrites"] = _text(root / "rewrites.js")
    if validation:
        parts["validate_doc_update"] = _text(root / "validate_doc_update.js")
    parts["_attachments"] = _attachments(files("after") / "dashboard")
    told = {"version": version("after-io"), "digest": _digest(parts)}
    return {"_id": ID, "language": "javascript", "after": told, **parts}


def _views(folder: Traversable, library: dict[str, str]) -> Document:
    """Give the views: a map function for each file, and the reduce that the first line of some of them names."""
    views: Document = {}
    for name, source in _scripts(folder).items():
        first, _, rest = source.partition("\n")
        reduce = first.removeprefix("// reduce: ").strip()
        views[name] = {"map": source} if reduce == first.strip() else {"map": rest, "reduce": reduce}
    views["lib"] = {name: library[name] for name in VIEW_LIBRARY if name in library}
    return views


def _scripts(folder: Traversable) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    scripts = sorted((one for one in folder.iterdir() if one.name.endswith(".js")), key=lambda one: one.name)
    return {one.name.removesuffix(".js"): _text(one) for one in scripts}


def _text(file: Traversable) -> str:
    return file.read_text(encoding="utf-8").strip()


def _attachments(folder: Traversable) -> Document:
    """Give the dashboard's files in the form in which CouchDB takes attachments."""
    if not folder.is_dir():
        return {}
    return {
        one.name: {
            "content_type": mimetypes.guess_type(one.name)[0] or "application/octet-stream",
            "data": base64.b64encode(one.read_bytes()).decode(),
        }
        for one in sorted(folder.iterdir(), key=lambda one: one.name)
        if one.is_file() and not one.name.endswith(".py")
    }


def _digest(parts: Document) -> str:
    return blake2b(msgspec.json.encode(parts, order="deterministic"), digest_size=16).hexdigest()
