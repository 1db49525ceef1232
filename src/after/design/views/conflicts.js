function (doc) {
  // Documents with conflicting revisions, and the worker that they concern, whose processes resolve them.
  if (!doc._conflicts) {
    return;
  }
  const worker = doc._id.startsWith("worker:") ? doc.name : doc.worker;
  emit([doc._id], typeof worker === "string" ? worker : null);
}
