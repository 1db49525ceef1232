// reduce: _count
function (doc) {
  // All that is told of workers, so that nobody has to read every task: with `group` these are few rows.
  const found = require("views/lib/keys").of(doc);
  if (found !== null && found.worker !== null) {
    emit([found.worker, "task", found.status], null);
  }
  if (!doc._id.startsWith("worker:") || typeof doc.name !== "string") {
    return;
  }
  if (doc.type === "control") {
    const note = typeof doc.note === "string" ? doc.note : null;
    emit([doc.name, "control", { paused: Boolean(doc.paused), note: note }], null);
  } else if (doc.type === "worker") {
    const told = {};
    for (const field of require("views/lib/table").told) {
      told[field] = doc[field] === undefined ? null : doc[field];
    }
    emit([doc.name, "instance", told], null);
  }
}
