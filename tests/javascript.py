"""Runs the design document's JavaScript as CouchDB does, without a CouchDB: its functions and what they require."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import quickjs

from after.design import design_document

LOADER = """
const design = JSON.parse(DESIGN);
let emitted = [];

function at(root, names) {
  return names.reduce((folder, name) => folder[name], root);
}

function loader(root, path, modules) {
  return function (name) {
    const names = name.split("/");
    const whole = names[0] === "." ? path.concat(names.slice(1)) : names;
    const key = whole.join("/");
    if (!modules[key]) {
      const source = at(root, whole);
      if (typeof source !== "string") throw Error("there is no module " + key);
      const module = { exports: {} };
      modules[key] = module.exports;
      const run = (0, eval)("(function (module, exports, require) { " + source + "\\n })");
      run(module, module.exports, loader(root, whole.slice(0, -1), modules));
    }
    return modules[key];
  };
}

// A map function sees of the design document what is below `views/lib`.
function compiled(source, root) {
  const make = (0, eval)("(function (require, emit) { return (" + source + "\\n) })");
  return make(loader(root, [], {}), (key, value) => emitted.push([key, value]));
}

const functions = {};
const require = loader(design, [], {});

function run(path, given) {
  if (!functions[path]) {
    const names = path.split("/");
    const isMap = names[0] === "views";
    const root = isMap ? { views: { lib: design.views.lib } } : design;
    functions[path] = compiled(isMap ? at(design, names).map : at(design, names), root);
  }
  emitted = [];
  const returned = functions[path].apply(design, given);
  return path.startsWith("views/") ? emitted : returned;
}

function told(work) {
  let answer;
  try {
    const value = work();
    answer = { value: value === undefined ? null : value };
  } catch (thrown) {
    if (thrown && thrown.stack) throw thrown;
    answer = { thrown: thrown };
  }
  return JSON.stringify(answer);
}

function callFunction(path, given) {
  return told(() => run(path, JSON.parse(given)));
}

function callModule(path, name, given) {
  return told(() => require(path)[name](...JSON.parse(given)));
}
"""


class Thrown(Exception):
    """JavaScript has thrown something that is no error of its own; `value` is that."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class DesignDocument:
    """The functions of a design document, to be called from Python; what goes in and comes out is JSON."""

    def __init__(self) -> None:
        self._context = quickjs.Context()
        self._context.set("DESIGN", json.dumps(design_document()))
        self._context.eval(LOADER)

    def function(self, path: str, *given: object) -> Any:
        """Call a function such as `validate_doc_update` or `updates/task`; a view's gives the rows that it emits."""
        return self._told("callFunction", path, json.dumps(given))

    def module(self, path: str, name: str, *given: object) -> Any:
        """Call what a module such as `lib/dates` exports."""
        return self._told("callModule", path, name, json.dumps(given))

    def _told(self, function: str, *given: str) -> Any:
        answer = json.loads(self._context.get(function)(*given))
        if "thrown" in answer:
            raise Thrown(answer["thrown"])
        return answer["value"]


@cache
def javascript() -> DesignDocument:
    """Give the design document of this source tree, compiled once for all tests."""
    return DesignDocument()
