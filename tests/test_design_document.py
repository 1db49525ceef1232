"""How the design document is put together."""

from __future__ import annotations

from typing import Any

import pytest
from javascript import javascript
from msgspec import inspect

from after.design import design_document
from after.design.table import described
from after.server.viewrows import VIEWS
from after.status import TRANSITIONS, Role

ON_COUCHDB = {"by_tag", "by_worker_date", "roster"}
"""Views that only the lists of the REST interface on CouchDB need."""


def test_it_has_the_views_of_the_embedded_server() -> None:
    views = design_document()["views"]
    assert views.keys() == {"lib", *VIEWS, *ON_COUCHDB}
    reduced = {name for name, view in views.items() if name != "lib" and "reduce" in view}
    assert reduced == {name for name, view in VIEWS.items() if view.reduced} | {"roster"}
    assert all(views[name]["reduce"] == "_count" for name in reduced)


def functions(part: Any) -> list[str]:
    return [part] if isinstance(part, str) else [source for one in part.values() for source in functions(one)]


def test_every_function_is_one_expression_which_older_engines_want() -> None:
    document = design_document()
    maps = [view["map"] for name, view in document["views"].items() if name != "lib"]
    others = (
        document.get(part, {}) for part in ("filters", "lists", "rewrites", "shows", "updates", "validate_doc_update")
    )
    for source in [*maps, *(one for part in others for one in functions(part))]:
        assert source.startswith("function (")
        assert source.endswith("}")


def test_nothing_in_it_is_younger_than_the_engines_that_run_it() -> None:
    sources = functions(
        {name: part for name, part in design_document().items() if name not in ("after", "_attachments")}
    )
    young = ("?.", "??", "async ", "await ", ".at(", ".flat(", ".replaceAll(", "Object.hasOwn(", "this.#")
    for word in (*young, "Date.parse"):
        assert not [source for source in sources if word in source], word


def test_without_validation_only_the_rules_are_missing() -> None:
    whole, open_ = design_document(), design_document(validation=False)
    assert whole.keys() - open_.keys() == {"validate_doc_update"}
    assert whole["after"]["digest"] == design_document()["after"]["digest"] != open_["after"]["digest"]


def test_the_table_of_statuses_is_pythons() -> None:
    javascript().module("lib/task", "isTask", {})  # the modules can be loaded at all
    source = design_document()["lib"]["table"]
    assert source == design_document()["views"]["lib"]["table"]
    assert source.count('"client"') == sum(Role.CLIENT in roles for roles in TRANSITIONS.values())


def test_a_pattern_without_a_counterpart_in_javascript_is_noticed() -> None:
    with pytest.raises(NotImplementedError):
        described(inspect.StrType(pattern="^x"))
