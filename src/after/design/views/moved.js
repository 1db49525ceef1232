function (doc) {
  // Tasks whose history may tell of dates before their own.
  const keys = require("views/lib/keys");
  const found = keys.of(doc);
  if (found !== null && found.worker !== null && keys.isMoved(found, doc)) {
    emit([found.date], found.worker);
  }
}
