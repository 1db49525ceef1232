function (head, req) {
  // A page of tasks, from the rows of a view that has them with their documents, and the cursor of the next or null.
  const cursor = require("lib/cursor");
  const listing = require("lib/listing");
  const page = JSON.parse(req.query.page);
  start({ headers: { "Content-Type": "application/json" } });
  send('{"tasks":[');
  let row;
  let last;
  let next = null;
  let count = 0;
  while (next === null && (row = getRow())) {
    const position = [row.key[row.key.length - 1], row.id];
    // The page before has ended with this row, from which the view goes on if it is still there.
    const seen = page.last && position[0] === page.last[0] && position[1] === page.last[1];
    // The index may be older than the document, which then need not be wanted any more.
    if (seen || !row.doc || !listing.matches(page.filter, row.doc)) {
      continue;
    }
    if (count === page.limit) {
      next = cursor.write(last);
    } else {
      send((count ? ",\n" : "\n") + JSON.stringify(row.doc));
      count++;
      last = position;
    }
  }
  return '\n],"cursor":' + JSON.stringify(next) + "}\n";
}
