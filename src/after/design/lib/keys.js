// What a task is found by in the views. The counterpart of `keys` in after/server/rows.py.

const dates = require("./dates");
const table = require("./table");
const task = require("./task");

const WAITING = ["waiting", "schedule"];
const HELD = ["scheduled", "running"];

// Worker, status, instant, the worker process that holds it, and whether it is blocked, of a task; null for any other
// document. One that was written with the validation left out may be wrong in any field: its date is then 0, its worker
// null, and it is not blocked, so that a worker ends it.
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
  const instance = table.ended.includes(status) ? null : holderOf(document);
  return {
    worker: typeof document.worker === "string" ? document.worker : null,
    status: status,
    date: dateOf(document),
    instance: instance,
    isBlocked: WAITING.includes(status) && instance === null && waits(document) && task.isSound(document),
  };
}

// When a worker has to act on a task of these keys, null for never. On a wrong one it acts at once: it ends it.
exports.due = function (keys, document) {
  if (!table.requests.includes(keys.status) || keys.isBlocked) {
    return null;
  }
  const asks = keys.status === "cancel" || keys.status === "reschedule";
  return asks || !task.isSound(document) ? 0 : keys.date;
};

// The place of a task of these keys among those with the same `key`: 0 for one that is held, 1 for another that is open;
// null for one that is in nobody's way.
exports.place = function (keys, document) {
  if (typeof document.key !== "string" || keys.isBlocked || table.ended.includes(keys.status)) {
    return null;
  }
  return keys.instance !== null || HELD.includes(keys.status) ? 0 : 1;
};

// Whether the history of a task may tell of dates before its own: it repeats, or was tried again.
exports.isMoved = function (keys, document) {
  const repeats = document.repeat !== null && document.repeat !== undefined;
  return repeats || document.attempt >= (table.ended.includes(keys.status) ? 2 : 1);
};

function waits(document) {
  return Array.isArray(document.after) && document.after.length > 0 && document.ready !== true;
}

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
