function (doc, req) {
  // The tasks that a reader of /tasks/_changes wants to hear of. A deleted one has no fields left to be wanted by.
  const listing = require("lib/listing");
  return listing.matches(listing.filter(req.query), doc);
}
