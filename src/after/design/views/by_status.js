function (doc) {
  const found = require("views/lib/keys").of(doc);
  if (found !== null) {
    emit([found.status, found.date], null);
  }
}
