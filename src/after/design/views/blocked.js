function (doc) {
  // Tasks that wait for others to be done, by the id of each of those.
  const found = require("views/lib/keys").of(doc);
  if (found !== null && found.worker !== null && found.isBlocked) {
    new Set(doc.after).forEach((id) => emit([id], found.worker));
  }
}
