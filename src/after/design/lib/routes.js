// Where a request of the REST interface goes: which of CouchDB's own paths answers it, or what is wrong with it.
//
// A route is a function of the text of the query, of the id or name in the path, and of the request. It gives what a
// rewrite function gives: `{path, query, …}` below the design document, or an answer. It throws refusals.

const cursor = require("./cursor");
const errors = require("./errors");
const feed = require("./feed");
const histories = require("./history");
const json = require("./json");
const listing = require("./listing");
const parameters = require("./parameters");
const request = require("./request");

const LIST = { GET: tasks, POST: post };
const PAGE = { GET: page };
const PATHS = new Map([
  ["", PAGE],
  ["index.html", PAGE],
  ["metrics", { GET: roster("metrics") }],
  ["openapi.json", { GET: absent("the description of the interface is served by `after serve`") }],
  ["tasks", LIST],
  ["tasks/", LIST],
  ["tasks/_all_tasks", { GET: tasks }],
  ["tasks/_bulk", { POST: absent("write many tasks with the client library, `after add` or the database's _bulk_docs") }],
  ["tasks/_edit", { POST: absent("change many tasks with the client library or the command line") }],
  ["tasks/_audit", { GET: absent("use `after audit`") }],
  ["tasks/_next", { GET: absent("use `after next`") }],
  ["tasks/_changes", { GET: changes }],
  ["tasks/workers", { GET: roster("workers") }],
]);
const TASK = { GET: task, POST: updating("task"), DELETE: updating("task") };
const HISTORY = { GET: history };
const WORKER = { GET: roster("workers"), POST: updating("worker", "worker:") };

// The answer to a request, or where CouchDB finds it; throws a refusal.
exports.route = function (req) {
  // Only the raw path has an encoded slash as it was sent, a plus sign in an id, and a parameter given twice.
  const end = req.raw_path.search(/[?#]|$/);
  const query = req.raw_path.slice(end + 1);
  const path = below(req.raw_path.slice(0, end));
  if (path === null) {
    return { code: 302, headers: { Location: "_rewrite/" }, body: "" };
  }
  const found = find(path);
  if (!json.has(found.methods, req.method)) {
    return notAllowed(Object.keys(found.methods));
  }
  return found.methods[req.method](query, found.name, req);
};

function notAllowed(methods) {
  const told = { error: "method_not_allowed", reason: "this path does not take this method" };
  return request.answer(405, told, { Allow: methods.join(", ").replace("GET", "GET, HEAD") });
}

// What follows /DB/_design/after/_rewrite/ in a path; null where not even the last slash does.
function below(path) {
  const match = /^(?:\/+[^/]+){4}(\/?)(.*)$/.exec(path);
  return match[1] ? match[2] : null;
}

function find(path) {
  if (PATHS.has(path)) {
    return { methods: PATHS.get(path) };
  }
  const [root, id, more, further] = path.split("/");
  if (root === "tasks" && id && further === undefined) {
    if (id === "workers") {
      return { methods: WORKER, name: name(more) };
    }
    if (more === undefined) {
      return { methods: TASK, name: identity(id) };
    }
    if (more === "history" && !PATHS.has("tasks/" + id)) {
      return { methods: HISTORY, name: identity(id) };
    }
  }
  throw errors.notFound("no such path");
}

function identity(part) {
  try {
    return decoded(part);
  } catch (error) {
    throw errors.badRequest("_id: is not UTF-8");
  }
}

function name(part) {
  const given = identity(part);
  if (!given || given.includes("/")) {
    throw errors.notFound("no such path");
  }
  if (json.length(given) > 128) {
    throw errors.badRequest("name: expected 1 to 128 characters");
  }
  return given;
}

function decoded(part) {
  return decodeURIComponent(part.replace(/%(?![0-9a-f]{2})/gi, "%25"));
}

// Encodes a part of a path so that it stays one: CouchDB resolves dots, also of an id.
function encoded(text) {
  return encodeURIComponent(text).replace(/\./g, "%2E");
}

function tasks(query) {
  const wanted = listing.wanted(parameters.read(query, listing.PARAMETERS));
  return { path: "_list/tasks/" + wanted.view, query: wanted.query };
}

function task(query, id) {
  parameters.read(query, []);
  checkTask(id);
  return { path: "_show/task/" + encoded(id), query: {} };
}

function history(query, id) {
  const given = parameters.read(query, ["limit", "cursor"]);
  const first = given.cursor === undefined ? 0 : cursor.read(given.cursor, ["number"])[0];
  const limit = listing.limit(given);
  checkTask(id);
  return { path: "_list/history/_all_docs", query: histories.query(id, first, limit) };
}

// What begins so is no task, and local documents are nobody's business.
function checkTask(id) {
  if (id[0] === "_") {
    throw errors.notFound("there is no task " + parameters.repr(id));
  }
}

// A task without an id in the path may have one in the body: only with it in the path does the update function get
// the task that is there.
function post(query, id, req) {
  return updating("task")(query, (req.body || "").includes('"_id"') ? identityWithin(req) : undefined);
}

function identityWithin(req) {
  try {
    const id = request.document(req)._id;
    encodeURIComponent(id);
    return typeof id === "string" && id ? id : undefined;
  } catch (error) {
    return undefined; // what is wrong with the body is the update function's to say
  }
}

function changes(query) {
  return feed.request(parameters.read(query, feed.PARAMETERS));
}

function page(query) {
  parameters.read(query, []);
  return { path: "index.html", query: {} };
}

// Makes the route to an update function; the id of its document is what the path names, behind a prefix.
function updating(update, prefix) {
  return function (query, id) {
    parameters.read(query, []);
    const document = id === undefined ? "" : "/" + encoded((prefix || "") + id);
    return { path: "_update/" + update + document, query: {} };
  };
}

// Makes the route to a list function that needs no more than the counts and states of all workers, or of one.
function roster(list) {
  return function (query, worker) {
    parameters.read(query, []);
    const wanted = { group: "true" };
    if (worker !== undefined) {
      wanted.startkey = JSON.stringify([worker]);
      wanted.endkey = JSON.stringify([worker, {}]);
      wanted.worker = worker;
    }
    return { path: "_list/" + list + "/roster", query: wanted };
  };
}

function absent(advice) {
  return function () {
    throw { code: 501, error: "not_implemented", reason: "CouchDB does not serve this: " + advice };
  };
}
