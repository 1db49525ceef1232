function (doc) {
  const found = require("views/lib/keys").of(doc);
  if (found !== null && Array.isArray(doc.tags)) {
    new Set(doc.tags).forEach((tag) => emit([tag, found.date], null));
  }
}
