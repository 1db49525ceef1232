function (doc, req) {
  // The history of a task, the oldest entry first, page by page.
  const http = require("lib/http");
  if (!doc || !require("lib/task").isTask(doc)) {
    return http.refused(require("lib/errors").notFound("there is no task " + http.repr(req.id)));
  }
  const first = Number(req.query.first);
  const last = first + Number(req.query.limit);
  const entries = doc.history || [];
  const cursor = last < entries.length ? require("lib/cursor").write([last]) : null;
  return http.json(200, { history: entries.slice(first, last), cursor: cursor });
}
