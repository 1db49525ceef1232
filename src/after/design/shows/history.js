function (doc, req) {
  // The history of a task, the oldest entry first, page by page.
  const json = require("lib/json");
  const request = require("lib/request");
  if (!doc || !require("lib/task").isTask(doc)) {
    return request.refused(require("lib/errors").notFound("there is no task " + json.cut(json.repr(req.id), 80)));
  }
  const first = Number(req.query.first);
  const last = first + Number(req.query.limit);
  const entries = doc.history || [];
  const cursor = last < entries.length ? require("lib/cursor").write([last]) : null;
  return request.answer(200, { history: entries.slice(first, last), cursor: cursor });
}
