function (head, req) {
  const rows = [];
  for (let row = getRow(); row; row = getRow()) {
    rows.push(row);
  }
  start({ headers: { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" } });
  return require("lib/metrics").text(require("lib/roster").roster(rows, Date.now()));
}
