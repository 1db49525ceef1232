function (head, req) {
  // All workers, or the one that is asked for. Nothing is sent before it is known whether there is one.
  const request = require("lib/request");
  const rows = [];
  for (let row = getRow(); row; row = getRow()) {
    rows.push(row);
  }
  const workers = require("lib/roster").roster(rows, Date.now());
  const name = req.query.worker;
  let answer = request.answer(200, { workers: workers });
  if (name !== undefined) {
    // Names that differ may be equal in the order of views.
    const found = workers.find((worker) => worker.name === name);
    const reason = "there is no worker " + require("lib/json").repr(name) + ", and no task for one of this name";
    answer = found ? request.answer(200, found) : request.refused(require("lib/errors").notFound(reason));
  }
  start({ code: answer.code, headers: answer.headers });
  return answer.body;
}
