// What a client makes of a task. The counterpart of `create` and of the event `Requested` in after/lifecycle.py.

const dates = require("./dates");
const errors = require("./errors");
const json = require("./json");
const repeat = require("./repeat");
const status = require("./status");
const table = require("./table");
const task = require("./task");

// The task that a client's document asks for; throw where it may not be.
exports.create = function (given, now, by) {
  task.check(given);
  const wanted = given.status || "waiting";
  if (!table.newByClient.includes(wanted)) {
    throw errors.forbidden(status.refused(null, wanted, "client"));
  }
  refuseWorkerFields(given, {});
  const date = dates.formatInstant(isAbsent(given.date) ? begun(given, now) : dates.parseInstant(given.date));
  if (!isAbsent(given.repeat)) {
    repeat.checkStart(given.repeat, dates.parseInstant(date));
  }
  const entry = { at: dates.formatInstant(now), status: wanted, by: by, date: date };
  const own = json.without(given, table.workerFields.concat(["type"]));
  return { type: "task", ...own, date: date, status: wanted, history: [entry] };
};

// The date of a task that was given none: now, or the start that its `repeat` names.
function begun(given, now) {
  const start = isAbsent(given.repeat) ? null : repeat.start(given.repeat);
  if (start === null && !isAbsent(given.repeat)) {
    repeat.check(given.repeat, now);
  }
  return start === null ? now : start;
}

// The task that a client's request `{status, changes, by}` makes of a stored one, which stays as it is.
exports.requested = function (stored, request, now) {
  const old = stored.status || "waiting";
  const reason = status.refused(old, request.status, "client");
  if (reason !== null) {
    throw errors.forbidden(reason);
  }
  refuseWorkerFields(request.changes, stored);
  const special = Object.keys(request.changes).filter((name) => name[0] === "_");
  const changes = json.without(request.changes, table.workerFields.concat(special));
  const changed = { ...stored, ...changes, status: request.status };
  if (request.status === "schedule" && table.ended.includes(old)) {
    begin(changed, changes.date || dates.formatInstant(now));
  }
  if (json.has(changes, "after")) {
    delete changed.ready;
  }
  task.check(changed);
  const date = dates.formatInstant(isAbsent(changed.date) ? now : dates.parseInstant(changed.date));
  if (request.status === "schedule" || json.has(changes, "date") || json.has(changes, "repeat")) {
    rearrange(changed, changes, date);
  }
  const entry = { at: dates.formatInstant(now), status: request.status, by: request.by };
  if (date !== stored.date) {
    entry.date = date;
  }
  changed.type = "task";
  changed.date = date;
  changed.history = told(stored, old, now).concat([entry]);
  return changed;
};

// What has ended and runs once more begins anew.
function begin(changed, date) {
  for (const name of ["result", "error", "progress", "log", "claim", "occurrence", "ready", "runs"]) {
    delete changed[name];
  }
  changed.attempt = 0;
  changed.date = date;
}

// A client has changed the date or the repetition. The next run is at the date that was given, and the series is counted
// from it. Where only the repetition was given, or a series by a rule begins anew, a worker looks for its first occurrence.
function rearrange(changed, changes, date) {
  const number = (changed.occurrence || {}).number;
  delete changed.occurrence;
  const rule = changed.repeat;
  const begins = changed.status === "schedule" && typeof rule !== "string";
  if (!isAbsent(rule) && !begins && (!isAbsent(changes.date) || changed.status === "schedule")) {
    changed.attempt = 0;
    changed.occurrence = { start: date, date: date, number: number === undefined ? 1 : number };
  }
}

// The history so far; a change that went round the interface has no entry of its own yet and gets one.
function told(stored, old, now) {
  const history = Array.isArray(stored.history) ? stored.history.filter((one) => json.typeOf(one) === "object") : [];
  const last = history.length ? history[history.length - 1] : {};
  // The entry of a finished run, after which the task goes on to the next one.
  const goesOn = json.has(last, "next") && ["waiting", "scheduled", "running"].includes(old);
  if (last.status === old || goesOn) {
    return history;
  }
  return history.concat([{ at: dates.formatInstant(now), status: old, by: "document" }]);
}

function refuseWorkerFields(given, stored) {
  for (const field of table.workerFields) {
    if (json.has(given, field) && !json.equal(given[field], isAbsent(stored[field]) ? null : stored[field])) {
      throw errors.forbidden(field + ": is set by workers only");
    }
  }
}

function isAbsent(value) {
  return value === null || value === undefined;
}
