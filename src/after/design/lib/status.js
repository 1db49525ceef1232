// Who may change which status into which. The counterpart of after/status.py, whose table it reads.

const json = require("./json");
const table = require("./table");

// Why this change is refused, naming both statuses, or null where it is allowed; `old` is null for a new task.
exports.refused = function (old, status, role) {
  const roles = (table.transitions[old === null ? "" : old] || {})[status];
  if (!Array.isArray(roles)) {
    if (!table.statuses.includes(status)) {
      return "status: '" + status + "' is not one of " + table.statuses.join(", ");
    }
    return "status: '" + old + "' cannot become '" + status + "'";
  }
  if (roles.includes(role)) {
    return null;
  }
  if (old === null) {
    return "status: a new task is 'waiting' or 'schedule'; '" + status + "' is set by workers only";
  }
  return "status: '" + old + "' becomes '" + status + "' by a worker only";
};

// The first of the fields that workers write which a client has set to something else, null where it has not. It may
// take them away, begin a task's attempts anew, and have a repeating task run next at its date: the REST interface does so
// for it when an ended task is to run once more or another date is asked for, and adds to the history too.
exports.forgedField = function (document, old) {
  for (const field of table.workerFields) {
    const value = document[field];
    if (value === undefined || value === null || field === "history" || (field === "attempt" && value === 0)) {
      continue;
    }
    if (old === null || !(json.equal(value, old[field]) || (field === "occurrence" && isAtItsDate(document, old)))) {
      return field;
    }
  }
  return null;
};

// Whether the occurrence of a task is the one at its date, with the number of the one before, or the first.
function isAtItsDate(document, old) {
  const { start, date, number } = document.occurrence;
  return start === date && date === document.date && [1, (old.occurrence || {}).number].includes(number);
}
