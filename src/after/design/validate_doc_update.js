function (newDoc, oldDoc, userCtx) {
  // Runs for every document that is written: most of them are sound tasks, and nothing is made for those.
  if (newDoc._deleted || newDoc._id.startsWith("_design/")) {
    return;
  }
  const task = require("lib/task");
  const isAdmin = userCtx.roles.includes("_admin");
  const isWorker = isAdmin || userCtx.roles.includes("worker");
  const old = oldDoc && !oldDoc._deleted ? oldDoc : null;

  if (!task.isTask(newDoc)) {
    const types = [newDoc.type, old !== null && old.type];
    if (!isWorker && types.includes("worker")) {
      throw { forbidden: "type: the document of a worker process is written by workers only" };
    }
    if (!isWorker && types.includes("history")) {
      throw { forbidden: "type: an archive of a task's history is written by workers only" };
    }
    return;
  }
  try {
    task.check(newDoc);
  } catch (refusal) {
    // What was written while there were no rules may be wrong: it cannot be mended by a worker, only ended.
    const ends = isWorker && old !== null && require("lib/table").ended.includes(newDoc.status);
    if (!ends || task.isSound(old)) {
      throw refusal.reason === undefined ? refusal : { forbidden: refusal.reason };
    }
  }
  if (isAdmin) {
    return; // a replication, which admins run, jumps over revisions
  }
  const before = old !== null && task.isTask(old) ? old.status || "waiting" : null;
  const reason = require("lib/status").refused(before, newDoc.status || "waiting", isWorker ? "worker" : "client");
  if (reason !== null) {
    throw { forbidden: reason };
  }
  if (!isWorker) {
    const field = require("lib/status").forgedField(newDoc, old);
    if (field !== null) {
      throw { forbidden: field + ": is set by workers only" };
    }
  }
}
