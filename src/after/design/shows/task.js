function (doc, req) {
  const json = require("lib/json");
  const request = require("lib/request");
  if (!doc || !require("lib/task").isTask(doc)) {
    return request.refused(require("lib/errors").notFound("there is no task " + json.cut(json.repr(req.id), 80)));
  }
  // These two CouchDB adds for functions like this one.
  return request.answer(200, json.without(doc, ["_revisions", "_conflicts"]));
}
