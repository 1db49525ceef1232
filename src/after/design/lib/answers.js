// What the update functions write, and what they answer. The counterpart of the writing part of after/server/tasks.py
// and of after/server/workers.py. What CouchDB refuses when it saves a document (somebody else was faster, the rules
// are against it) it answers itself.

const dates = require("./dates");
const errors = require("./errors");
const json = require("./json");
const posted = require("./posted");
const request = require("./request");
const task = require("./task");

const PREFIX = "worker:";
const ADDED = ["_revisions", "_conflicts"]; // by CouchDB, for functions like these

exports.posted = function (doc, req, now) {
  const stored = asStored(doc);
  const post = posted.read(request.document(req), now, req.id, request.revision(req), req.uuid);
  const made = posted.decided(post, stored, now);
  if (made === null) {
    const headers = { ETag: '"' + stored._rev + '"', "X-Couch-Update-NewRev": stored._rev };
    return [null, request.answer(200, { ok: true, id: post.id, rev: stored._rev, task: stored }, headers)];
  }
  const written = { _id: post.id, ...made };
  if (stored !== null) {
    return [written, request.answer(200, { ok: true, id: post.id, task: json.without(written, ["_rev"]) })];
  }
  const headers = { Location: base(req) + "/" + encodeURIComponent(post.id) };
  return [written, request.answer(null, { ok: true, id: post.id, task: written }, headers)];
};

exports.deleted = function (doc, req) {
  const stored = asStored(doc);
  if (stored === null || !task.isTask(stored)) {
    throw errors.notFound("there is no task " + json.cut(json.repr(req.id), 80));
  }
  posted.checkRevision(request.revision(req), stored);
  const gone = { _id: stored._id, _rev: stored._rev, _deleted: true };
  return [gone, request.answer(200, { ok: true, id: stored._id })];
};

exports.controlled = function (doc, req, now) {
  const asked = request.document(req);
  for (const field of Object.keys(asked).sort(json.compare)) {
    if (field !== "paused" && field !== "note") {
      throw errors.badRequest(field + ": is not a known field here; known: note, paused");
    }
  }
  if (typeof asked.paused !== "boolean") {
    throw errors.badRequest("paused: expected true or false");
  }
  const note = asked.note === undefined ? null : asked.note;
  if (note !== null && typeof note !== "string") {
    throw errors.badRequest("note: expected `string`");
  }
  const name = req.id.slice(PREFIX.length);
  const stored = asStored(doc);
  if (stored !== null && stored.type !== "control") {
    throw errors.conflict("the document " + json.repr(req.id) + " exists and does not control a worker");
  }
  const changes = { type: "control", name: name, paused: asked.paused, note: note, by: "client" };
  const control = { ...stored, _id: req.id, ...changes, at: dates.formatInstant(now) };
  return [control, request.answer(200, { ok: true, worker: { name: name, paused: asked.paused, note: note } })];
};

function asStored(doc) {
  return doc ? json.without(doc, ADDED) : null;
}

// Where the tasks are: a virtual host has them at its root.
function base(req) {
  const isVirtual = request.header(req, "x-couchdb-vhost-path") !== null;
  return isVirtual ? "/tasks" : "/" + encodeURIComponent(req.path[0]) + "/_design/after/_rewrite/tasks";
}
