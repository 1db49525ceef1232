function (doc, req) {
  // POST /tasks[/ID] creates or changes a task, DELETE removes it. CouchDB tells the new revision in a header.
  const request = require("lib/request");
  const answers = require("lib/answers");
  try {
    return req.method === "DELETE" ? answers.deleted(doc, req) : answers.posted(doc, req, Date.now());
  } catch (thrown) {
    return [null, request.refused(thrown)];
  }
}
