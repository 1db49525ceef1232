function (doc) {
  // Tasks that a worker has to act on: requests at 0, the others at their date.
  const keys = require("views/lib/keys");
  const found = keys.of(doc);
  const due = found === null || found.worker === null ? null : keys.due(found, doc);
  if (due !== null) {
    emit([found.worker, due], null);
  }
}
