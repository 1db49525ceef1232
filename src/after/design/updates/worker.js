function (doc, req) {
  // POST /tasks/workers/NAME pauses or resumes a worker; the id is that of its control document, worker:NAME.
  const request = require("lib/request");
  try {
    return require("lib/answers").controlled(doc, req, Date.now());
  } catch (thrown) {
    return [null, request.refused(thrown)];
  }
}
