function (doc, req) {
  const http = require("lib/http");
  if (!doc || !require("lib/task").isTask(doc)) {
    return http.refused(require("lib/errors").notFound("there is no task " + http.repr(req.id)));
  }
  const told = Object.assign({}, doc);
  delete told._revisions; // which CouchDB adds for functions like this one
  delete told._conflicts;
  return http.json(200, told);
}
