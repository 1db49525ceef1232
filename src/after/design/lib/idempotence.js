// When a task that is posted again is the same task. The counterpart of after/idempotence.py.

const json = require("./json");
const table = require("./table");

const NOT_COMPARED = table.workerFields.concat(["type", "status", "date", "_id", "_rev"]);

// The first field in which a task that was posted again differs from the stored one, null where in none; the date is
// compared, where one is given, with the one that the task was made with.
exports.difference = function (given, stored, date) {
  const names = new Set(Object.keys(given).concat(Object.keys(stored)));
  for (const name of Array.from(names).sort(json.compare)) {
    if (!NOT_COMPARED.includes(name) && !json.equal(valueOf(given, name), valueOf(stored, name))) {
      return name;
    }
  }
  const first = (stored.history || [])[0] || {};
  const differs = date !== null && tellsDate(stored) && date !== (json.has(first, "date") ? first.date : stored.date);
  return differs ? "date" : null;
};

// Whether the first entry of a task's history has the date that the task was made with: the oldest entries of a long
// history are in archives, and one that repeats by a rule begins at its first occurrence.
function tellsDate(stored) {
  const repeat = stored.repeat;
  const isRule = json.typeOf(repeat) === "object" && (isGiven(repeat.cron) || isGiven(repeat.rrule));
  return !stored.archived && !isRule;
}

function isGiven(value) {
  return value !== null && value !== undefined;
}

function valueOf(document, name) {
  return json.has(document, name) ? document[name] : null;
}
