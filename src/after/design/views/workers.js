function (doc) {
  // Worker processes, by what their ids say; a worker's name may have colons in it too.
  if (doc.type !== "worker" || !doc._id.startsWith("worker:")) {
    return;
  }
  const end = doc._id.lastIndexOf(":");
  if (end > "worker:".length) {
    emit([doc._id.slice("worker:".length, end), doc._id.slice(end + 1)], doc.state === undefined ? null : doc.state);
  }
}
