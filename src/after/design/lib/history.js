// The whole history of a task: its oldest entries stand in documents of their own, `history:ID:N`, a hundred in each. The
// counterpart of after/server/archives.py.

const cursor = require("./cursor");
const errors = require("./errors");
const json = require("./json");
const request = require("./request");
const table = require("./table");
const task = require("./task");

// The query for `_all_docs` which gives the task and all archives that the entries from number `first` may be in.
exports.query = function (id, first, limit) {
  const keys = [id];
  for (let number = Math.floor(first / table.archived); number * table.archived < first + limit; number++) {
    keys.push("history:" + id + ":" + number);
  }
  const told = { id: id, first: String(first), limit: String(limit) };
  return { keys: JSON.stringify(keys), include_docs: "true", ...told };
};

// The answer with up to `limit` entries from number `first`, of what that query has found.
exports.page = function (documents, id, first, limit) {
  const found = documents.find((document) => document && document._id === id && task.isTask(document));
  if (!found) {
    return request.refused(errors.notFound("there is no task " + json.cut(json.repr(id), 80)));
  }
  const old = found.archived || 0;
  const own = Array.isArray(found.history) ? found.history : [];
  const last = first + limit;
  const archives = documents.filter((document) => document && document.type === "history" && document.task === id);
  let entries = [];
  for (const archive of archives.sort((one, other) => one.number - other.number)) {
    const start = archive.number * table.archived;
    // An archive may be there before the task is cut: it does not count yet.
    entries = entries.concat(archive.history.slice(Math.max(first - start, 0), Math.max(Math.min(last, old) - start, 0)));
  }
  entries = entries.concat(own.slice(Math.max(first - old, 0), Math.max(last - old, 0)));
  return request.answer(200, { history: entries, cursor: last < old + own.length ? cursor.write([last]) : null });
};
