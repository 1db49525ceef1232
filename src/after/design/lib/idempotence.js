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
  return date !== null && date !== (json.has(first, "date") ? first.date : stored.date) ? "date" : null;
};

function valueOf(document, name) {
  return json.has(document, name) ? document[name] : null;
}
