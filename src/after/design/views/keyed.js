function (doc) {
  // Open tasks that share a key with others of their worker, those that are held before those that are not.
  const keys = require("views/lib/keys");
  const found = keys.of(doc);
  const place = found === null || found.worker === null ? null : keys.place(found, doc);
  if (place !== null) {
    emit([found.worker, doc.key, place, found.date], found.instance);
  }
}
