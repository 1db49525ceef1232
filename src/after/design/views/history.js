function (doc) {
  // What the history of a task is put together from: the task itself, and its archives by their number.
  if (doc.type === "history") {
    emit([doc.task, doc.number], null);
  } else if (require("views/lib/task").isTask(doc)) {
    emit([doc._id, null], null);
  }
}
