function (doc) {
  // Tasks that a worker process holds.
  const found = require("views/lib/keys").of(doc);
  if (found !== null && found.worker !== null && found.instance !== null) {
    emit([found.worker, found.instance], null);
  }
}
