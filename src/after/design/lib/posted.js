// What a posted document asks for: a new task, the same one again, or a change of one that exists.
// The counterpart of after/server/posted.py.

const dates = require("./dates");
const errors = require("./errors");
const idempotence = require("./idempotence");
const json = require("./json");
const lifecycle = require("./lifecycle");
const status = require("./status");
const table = require("./table");
const task = require("./task");

const ANY = "*";
const WORKER_ONLY = ["scheduled", "running", "canceled"];
const BY = "client";

// Read a document that was posted: `{id, fields, rev, dated}`, its date resolved, without `_id` and `_rev`. `id` and
// `rev` are what path and header say, null where nothing; `uuid` makes an id where there is none.
exports.read = function (document, now, id, rev, uuid) {
  const fields = json.without(document, ["_id", "_rev"]);
  const post = { id: identity(document, id, now, uuid), fields: fields, rev: revision(document, rev), dated: false };
  for (const name of Object.keys(fields)) {
    if (name[0] === "_" || name.includes("\n_")) {
      throw errors.badRequest(name + ": a field must not begin with '_'");
    }
  }
  if (Array.isArray(fields.after) && fields.after.includes(post.id)) {
    throw errors.invalidTask("after", "a task cannot wait for itself");
  }
  const date = fields.date;
  if (typeof date === "string" && date[0] === "P") {
    fields.date = fromNow(date, now);
  } else {
    post.dated = date !== null && date !== undefined;
  }
  return post;
};

// Decide by what is stored, null for nothing: the task to write, or null where nothing is to be written.
exports.decided = function (post, stored, now) {
  const wanted = typeof post.fields.status === "string" ? post.fields.status : null;
  const made = post.rev === null && !wantsReading(post.fields) ? lifecycle.create(post.fields, now, BY) : null;
  if (stored === null) {
    return made || anew(post, wanted, now);
  }
  if (!task.isTask(stored)) {
    throw errors.conflict("the document " + json.repr(post.id) + " exists and is not a task");
  }
  exports.checkRevision(post.rev, stored);
  if (WORKER_ONLY.includes(wanted)) {
    throw errors.forbidden(refusedToAll(stored.status || "waiting", wanted));
  }
  if (isOfExisting(wanted) || wanted === "schedule") {
    return requested(post, stored, now);
  }
  checkRepeated(post, stored, now);
  return null;
};

// Throw unless the revision that a client names, if it does, is the current one.
exports.checkRevision = function (rev, stored) {
  if (rev !== null && rev !== ANY && rev !== stored._rev) {
    const shown = json.cut(json.repr(rev), 80);
    throw errors.conflict("_rev: " + shown + " is not the current revision of " + json.repr(stored._id));
  }
};

function identity(document, id, now, uuid) {
  const inside = document._id;
  if (inside === undefined || inside === null) {
    return id === null ? newId(now, uuid) : task.checkId(id);
  }
  if (id !== null && inside !== id) {
    throw errors.invalidTask("_id", json.cut(json.repr(inside), 80) + " is not the id in the path");
  }
  return task.checkId(inside);
}

// An id of the form of a UUIDv7 (RFC 9562, 5.7), which ascends with time, of the randomness that CouchDB has given.
function newId(now, uuid) {
  const random = ("0".repeat(18) + uuid.replace(/[^0-9a-f]/g, "")).slice(-18);
  const variant = "89ab"[parseInt(random[3], 16) & 3];
  const digits = now.toString(16).padStart(12, "0") + "7" + random.slice(0, 3) + variant + random.slice(3);
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, "$1-$2-$3-$4-$5");
}

function revision(document, named) {
  const inside = document._rev;
  if (inside === undefined || inside === null) {
    return named;
  }
  if (typeof inside !== "string") {
    throw errors.invalidTask("_rev", "expected a revision, as a string");
  }
  if (named !== null && named !== ANY && named !== inside) {
    throw errors.invalidTask("_rev", "differs from the revision in If-Match");
  }
  return inside;
}

function fromNow(duration, now) {
  const instant = now + task.checked("date", dates.parseElapsed, duration);
  return task.checked("date", dates.formatInstant, instant);
}

function isOfExisting(wanted) {
  return table.statuses.includes(wanted) && !table.newByClient.includes(wanted);
}

function wantsReading(fields) {
  if (fields.status === "schedule" && !(json.has(fields, "worker") && json.has(fields, "job"))) {
    return true; // what has ended is to run once more
  }
  return isOfExisting(fields.status) || table.workerFields.some((field) => json.has(fields, field));
}

function anew(post, wanted, now) {
  if (isOfExisting(wanted) && !WORKER_ONLY.includes(wanted)) {
    throw errors.notFound("there is no task " + json.repr(post.id) + " that could become '" + wanted + "'");
  }
  if (post.rev !== null) {
    const reason = "there is no task " + json.repr(post.id) + ", so that no revision of it is current";
    throw errors.conflict("_rev: " + reason);
  }
  return lifecycle.create(post.fields, now, BY);
}

function refusedToAll(old, wanted) {
  const otherwise = "status: '" + wanted + "' is set by workers only, also where it is " + json.repr(old);
  return status.refused(old, wanted, "client") || otherwise;
}

function requested(post, stored, now) {
  if (Object.keys(post.fields).every((field) => stands(field, post.fields[field], stored))) {
    return null;
  }
  return lifecycle.requested(stored, { status: post.fields.status, changes: post.fields, by: BY }, now);
}

// Whether a field is already as a client wants it.
function stands(field, value, stored) {
  const there = json.has(stored, field) ? stored[field] : null;
  if (field !== "date" || typeof value !== "string" || typeof there !== "string") {
    return json.equal(value, there);
  }
  return task.checked("date", dates.parseInstant, value) === dates.parseInstant(there);
}

// A client that heard no answer asks again: the same task changes nothing, another one is refused.
function checkRepeated(post, stored, now) {
  const unchanged = table.workerFields.filter((name) => json.equal(post.fields[name], stored[name]));
  const own = json.without(post.fields, unchanged);
  const made = lifecycle.create(own, now, BY); // for its checks
  const field = idempotence.difference(own, stored, post.dated ? made.date : null);
  if (field !== null) {
    throw errors.conflict(
      field + ": the task " + json.repr(post.id) + " exists with another " + field +
        "; to change it, post what is to change with the status 'reschedule'"
    );
  }
}
