// What a task is found by in the views. The counterpart of `keys` in after/server/rows.py.

const dates = require("./dates");
const table = require("./table");
const task = require("./task");

// Worker, status, instant, and the worker process that holds it, of a task; null for any other document. One that was
// written with the validation left out may be wrong in any field: its date is then 0, its worker null.
exports.of = function (document) {
  if (document !== last) {
    found = keysOf(document);
    last = document;
  }
  return found;
};

// CouchDB gives one document to all map functions before it goes on to the next: they share what was found.
let last = null;
let found = null;

function keysOf(document) {
  if (!task.isTask(document)) {
    return null;
  }
  const status = statusOf(document);
  return {
    worker: typeof document.worker === "string" ? document.worker : null,
    status: status,
    date: dateOf(document),
    instance: table.ended.includes(status) ? null : holderOf(document),
  };
}

// When a worker has to act on a task of these keys, null for never. On a wrong one it acts at once: it ends it.
exports.due = function (keys, document) {
  if (!table.requests.includes(keys.status)) {
    return null;
  }
  const asks = keys.status === "cancel" || keys.status === "reschedule";
  return asks || !task.isSound(document) ? 0 : keys.date;
};

function statusOf(document) {
  return table.statuses.includes(document.status) ? document.status : "waiting";
}

function dateOf(document) {
  try {
    return document.date === null || document.date === undefined ? 0 : dates.parseInstant(document.date);
  } catch (problem) {
    return 0;
  }
}

function holderOf(document) {
  const claim = document.claim;
  return claim && typeof claim.instance === "string" ? claim.instance : null;
}
