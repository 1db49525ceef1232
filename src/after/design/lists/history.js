function (head, req) {
  // The history of a task, the oldest entry first, page by page. The rows are the task and those of its archives that may
  // be wanted, where they are there. Nothing is sent before it is known whether there is such a task.
  const documents = [];
  for (let row = getRow(); row; row = getRow()) {
    documents.push(row.doc);
  }
  const query = req.query;
  const answer = require("lib/history").page(documents, query.id, Number(query.first), Number(query.limit));
  start({ code: answer.code, headers: answer.headers });
  return answer.body;
}
