// reduce: _count
function (doc) {
  const found = require("views/lib/keys").of(doc);
  if (found !== null && found.worker !== null) {
    emit([found.worker, found.status, found.date], null);
  }
}
