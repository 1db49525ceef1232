function (doc, req) {
  // What a worker has to act on: requests to it, and tasks that somebody else ended while it held them.
  const table = require("lib/table");
  const worker = req.query.worker;
  if (!worker) {
    throw { error: "bad_request", reason: "worker: is required with the filter after/requests" };
  }
  if (doc.worker !== worker || doc._deleted || !require("lib/task").isTask(doc)) {
    return false;
  }
  const status = doc.status || "waiting";
  return table.requests.includes(status) || (table.ended.includes(status) && Boolean(doc.claim));
}
